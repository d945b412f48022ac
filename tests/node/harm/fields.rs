//! Which fields a write changed, and which of them a verdict is made of.

use serde_json::Value;

/// What the API server itself changes with every write.
const BOOKKEEPING: [&str; 3] =
    ["metadata.resourceVersion", "metadata.generation", "status.observedGeneration"];
const ANNOTATION: &str = "metadata.annotations.pullfuse.io/verdict";
const CONDITION: &str = "pullfuse.io/ImagePullFailed";

/// A kind of write that ends a pod, or says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Phase, reason, message, condition and annotation, to `pods/status`.
    End,
    /// Condition and annotation, to `pods/status`, before a deadline.
    Explain,
    /// `spec.activeDeadlineSeconds: 1`, to `pods`.
    Deadline,
}

impl Kind {
    pub fn of(resource: &str, before: &Value, after: &Value) -> Self {
        match resource {
            "pods/status" if before["status"]["phase"] != after["status"]["phase"] => Self::End,
            "pods/status" => Self::Explain,
            _ => Self::Deadline,
        }
    }

    /// The fields that such a write changed and must not, with what they became.
    pub fn trespasses(self, before: &Value, after: &Value) -> Vec<String> {
        let mut changed = Vec::new();
        compare(before, after, "", &mut changed);
        changed.retain(|(path, value)| !self.may(path, value));
        changed.into_iter().map(|(path, value)| format!("{path} to {value}")).collect()
    }

    fn may(self, path: &str, value: &Value) -> bool {
        if BOOKKEEPING.contains(&path) {
            return true;
        }
        let explains = path == ANNOTATION || path == format!("status.conditions.{CONDITION}");
        match (self, path) {
            (Self::End, "status.phase") => value == "Failed",
            (Self::End, "status.reason") => value == "ImagePullFailed",
            (Self::End, "status.message") => value.is_string(),
            (Self::End | Self::Explain, _) => explains && !value.is_null(),
            (Self::Deadline, path) => path == "spec.activeDeadlineSeconds" && *value == 1,
        }
    }
}

/// Every path at which two objects differ. Conditions are told apart by their types, as the API
/// server does.
fn compare(before: &Value, after: &Value, path: &str, changed: &mut Vec<(String, Value)>) {
    if before == after {
        return;
    }
    let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    let (before, after) = (by_type(before, path), by_type(after, path));
    let empty = |value: &Value| value.is_null() || value.is_object();
    // All conditions are one field each, whatever they consist of.
    let whole = path.starts_with("status.conditions.");
    if whole || !empty(&before) || !empty(&after) {
        return changed.push((path.to_owned(), after));
    }
    let keys = |value: &Value| value.as_object().map(|all| all.keys().cloned().collect::<Vec<_>>());
    let mut all = keys(&before).unwrap_or_default();
    all.extend(keys(&after).unwrap_or_default());
    all.sort();
    all.dedup();
    for key in all {
        compare(&before[&key], &after[&key], &join(&key), changed);
    }
}

fn by_type(value: &Value, path: &str) -> Value {
    if path != "status.conditions" {
        return value.clone();
    }
    let conditions = value.as_array().into_iter().flatten();
    let by_type = |one: &Value| Some((one["type"].as_str()?.to_owned(), one.clone()));
    Value::Object(conditions.filter_map(by_type).collect())
}
