use std::collections::{BTreeMap, HashSet};

use anyhow::Context;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// Within this time an agent follows a new configuration.
const FOLLOWS: SignedDuration = SignedDuration::from_secs(60);
/// The agents of the DaemonSet, whose tokens the kubelet asks for.
const SHIPPED: &str = "pullfuse, of the DaemonSet";

/// Which agents a node has, and what they were told.
#[derive(Default)]
pub struct Agents {
    /// Names by the identity of their tokens.
    names: BTreeMap<String, String>,
    /// Configurations by name, in the order in which they were written.
    configs: BTreeMap<String, Vec<(Timestamp, String)>>,
    /// What an operator released, as `pullfuse release` names it.
    released: HashSet<String>,
}

impl Agents {
    /// Notes whose token this is.
    pub fn identify(&mut self, name: &str, token: &str) -> anyhow::Result<()> {
        let claims = token.split('.').nth(1).context("a token without claims")?;
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
        let id = claims["jti"].as_str().context("a token without an identity")?;
        self.names.insert(format!("JTI={id}"), name.to_owned());
        Ok(())
    }

    /// Notes that an agent is told this from now on.
    pub fn configure(&mut self, name: &str, at: Timestamp, config: &str) {
        self.configs.entry(name.to_owned()).or_default().push((at, config.to_owned()));
    }

    /// Notes what the DaemonSet's agents are told.
    pub fn ship(&mut self, config: &str) {
        self.configure(SHIPPED, Timestamp::now(), config);
    }

    /// Notes that an operator releases a pod, which is then ended though it would only be reported.
    pub fn release(&mut self, pod: &str) {
        self.released.insert(pod.to_owned());
    }

    /// Whether this pod was released.
    pub fn released(&self, namespace: &str, pod: &str) -> bool {
        self.released.contains(&format!("{namespace}/{pod}"))
    }

    /// Whose token it is.
    pub fn name(&self, token: Option<&str>) -> &str {
        token.and_then(|token| self.names.get(token)).map_or("pullfuse", String::as_str)
    }

    /// The configurations that may have been in force then for who showed this token; of a token
    /// that nobody knows, those of all agents.
    pub fn in_force(&self, token: Option<&str>, at: Timestamp) -> Vec<&str> {
        let name = token.and_then(|token| self.names.get(token));
        let all = self.configs.iter().filter(|(of, _)| name.is_none_or(|name| name == *of));
        let mut texts = Vec::new();
        for (_, configs) in all {
            for (number, (from, text)) in configs.iter().enumerate() {
                let replaced = configs.get(number + 1).map(|(from, _)| *from + FOLLOWS);
                if *from <= at && replaced.is_none_or(|replaced| replaced > at) {
                    texts.push(text.as_str());
                }
            }
        }
        texts
    }
}
