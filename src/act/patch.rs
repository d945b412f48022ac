//! The bodies of the writes that end a pod.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{CONDITION, REASON, VERDICT_ANNOTATION, VerdictRecord};
use crate::pods::PodFacts;

/// Identity of the version that was judged: the API server answers 409 to a stale one.
fn precondition(pod: &PodFacts) -> Value {
    json!({ "uid": pod.uid, "resourceVersion": pod.resource_version })
}

/// Strategic merge patch of `pods/status` that ends the pod.
///
/// The annotation is not decoration: a change of status alone reaches the kubelet as RECONCILE,
/// where its own status wins; with a change of metadata it is an UPDATE, and the pod worker sees
/// the terminal phase.
pub(super) fn failed(record: &VerdictRecord, pod: &PodFacts, now: Timestamp) -> Value {
    let mut patch = condition(record, pod, now);
    patch["status"]["phase"] = json!("Failed");
    patch["status"]["reason"] = json!(REASON);
    patch["status"]["message"] = json!(record.text());
    patch
}

/// Strategic merge patch of `pods/status` that explains without ending.
pub(super) fn condition(record: &VerdictRecord, pod: &PodFacts, now: Timestamp) -> Value {
    let mut metadata = precondition(pod);
    metadata["annotations"] = json!({ VERDICT_ANNOTATION: record.annotation() });
    json!({
        "metadata": metadata,
        "status": { "conditions": [{
            "type": CONDITION,
            "status": "True",
            "reason": REASON,
            "message": record.text(),
            // metav1.Time has whole seconds.
            "lastTransitionTime": format!("{now:.0}"),
        }] },
    })
}

/// Merge patch of the pod itself that lets the kubelet end it.
pub(super) fn deadline(pod: &PodFacts) -> Value {
    json!({ "metadata": precondition(pod), "spec": { "activeDeadlineSeconds": 1 } })
}
