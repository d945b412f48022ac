use jiff::Timestamp;
use serde_json::Value;

/// Who starts with this is an agent, whatever it is called.
pub const AGENTS: &str = "system:serviceaccount:pullfuse:";
const KUBELET: &str = "system:node:";

/// A request that changes something, as the API server's audit log tells of it.
pub struct Entry {
    /// When it was answered.
    pub at: Timestamp,
    /// When it came: what happened later could not be known to who asked.
    pub asked: Timestamp,
    pub user: String,
    /// The identity of the token that was shown.
    pub token: Option<String>,
    /// The node that the token belongs to.
    pub node: Option<String>,
    pub verb: String,
    /// With the subresource, as `pods/status`.
    pub resource: String,
    pub namespace: String,
    pub name: String,
    /// Whether it was carried out; the others changed nothing.
    pub carried_out: bool,
    /// Whether this is the very request; else it is the next one, and shows what an unseen one did.
    pub seen: bool,
    pub request: Value,
    pub response: Value,
}

impl Entry {
    /// Reads a line; `None`: it tells of no answer.
    pub fn read(mut line: Value) -> Option<Self> {
        if line["stage"] != "ResponseComplete" {
            return None;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let extra = |key: &str| Some(line["user"]["extra"][key][0].as_str()?.to_owned());
        let object = &line["objectRef"];
        let resource = match object["subresource"].as_str() {
            Some(sub) => format!("{}/{sub}", text(&object["resource"])),
            None => text(&object["resource"]),
        };
        let done = matches!(line["responseStatus"]["code"].as_u64(), Some(200..=299));
        let only_asked = line["requestURI"].as_str().is_some_and(|uri| uri.contains("dryRun=All"));
        let at = line["stageTimestamp"].as_str()?.parse().ok()?;
        let asked = line["requestReceivedTimestamp"].as_str();
        let mut entry = Self {
            at,
            asked: asked.and_then(|asked| asked.parse().ok()).unwrap_or(at),
            user: text(&line["user"]["username"]),
            token: extra("authentication.kubernetes.io/credential-id"),
            node: extra("authentication.kubernetes.io/node-name"),
            verb: text(&line["verb"]),
            resource,
            namespace: text(&object["namespace"]),
            name: text(&object["name"]),
            carried_out: done && !only_asked,
            seen: true,
            request: Value::Null,
            response: Value::Null,
        };
        entry.request = line["requestObject"].take();
        entry.response = line["responseObject"].take();
        if let Some(meta) = entry.response["metadata"].as_object_mut() {
            meta.remove("managedFields");
        }
        Some(entry)
    }

    pub fn by_an_agent(&self) -> bool {
        self.user.starts_with(AGENTS)
    }

    pub fn by_a_kubelet(&self) -> bool {
        self.user.starts_with(KUBELET)
    }

    /// The write of which this request shows the result: the API server was killed, or gave up
    /// waiting, before it could log that one.
    pub fn unseen(&self) -> Self {
        Self {
            user: "unseen".into(),
            token: None,
            node: None,
            verb: "patch".into(),
            seen: false,
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            resource: self.resource.clone(),
            response: self.response.clone(),
            request: Value::Null,
            ..*self
        }
    }

    /// The UID of the object that the answer shows.
    pub fn uid(&self) -> &str {
        self.response["metadata"]["uid"].as_str().unwrap_or_default()
    }
}
