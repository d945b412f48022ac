//! An object's state in one line, for the error of a test that waited in vain.

use serde::Serialize;
use serde_json::Value;

/// Longer states are cut.
const LONGEST: usize = 2000;

/// The state of an object: for a pod its phase and what its containers wait for, for anything else
/// its status.
pub(crate) fn of<K: Serialize>(object: Option<&K>) -> String {
    let Some(object) = object else { return "it does not exist".to_owned() };
    let Ok(object) = serde_json::to_value(object) else { return "it cannot be shown".to_owned() };
    let status = &object["status"];
    let mut text = match status["phase"].as_str() {
        Some(phase) => pod(phase, status),
        None if status.is_null() => object.to_string(),
        None => status.to_string(),
    };
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    text
}

fn pod(phase: &str, status: &Value) -> String {
    let mut text = phase.to_owned();
    if let Some(reason) = status["reason"].as_str() {
        text += &format!(" ({reason})");
    }
    for kind in ["initContainerStatuses", "containerStatuses"] {
        for container in status[kind].as_array().into_iter().flatten() {
            let name = container["name"].as_str().unwrap_or_default();
            text += &format!("; {name}: {}", container["state"]);
        }
    }
    for condition in status["conditions"].as_array().into_iter().flatten() {
        if condition["status"] != "True" {
            text += &format!("; {} is {}", condition["type"], condition["status"]);
            if let Some(reason) = condition["reason"].as_str() {
                text += &format!(" ({reason})");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    #[test]
    fn a_pod_shows_what_it_waits_for() {
        let pod = json!({ "status": {
            "phase": "Pending",
            "containerStatuses": [
                { "name": "a", "state": { "waiting": { "reason": "ErrImagePull" } } },
            ],
            "conditions": [
                { "type": "Ready", "status": "False", "reason": "ContainersNotReady" },
                { "type": "PodScheduled", "status": "True" },
            ],
        } });
        assert_eq!(
            super::of(Some(&pod)),
            r#"Pending; a: {"waiting":{"reason":"ErrImagePull"}}; "Ready" is "False" (ContainersNotReady)"#
        );
    }

    #[test]
    fn other_objects_show_their_status_and_are_cut() {
        assert_eq!(super::of(Some(&json!({ "status": { "ready": 1 } }))), r#"{"ready":1}"#);
        assert_eq!(super::of(Some(&json!({ "data": "x".repeat(5000) }))).chars().count(), 2001);
        assert_eq!(super::of(None::<&Value>), "it does not exist");
    }
}
