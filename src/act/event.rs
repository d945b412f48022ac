//! The Event that tells a pod's owner about a verdict.

use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};

use super::{REASON, VerdictRecord};

/// Longest name of an object in Kubernetes.
const NAME_LIMIT: usize = 253;

/// The one Event of a verdict.
pub(super) fn of(record: &VerdictRecord, node: &str, now: Timestamp) -> Event {
    let namespace = record.tally.namespace.clone();
    Event {
        metadata: ObjectMeta {
            name: Some(name(record)),
            namespace: Some(namespace.clone()),
            ..ObjectMeta::default()
        },
        type_: Some("Warning".into()),
        reason: Some(REASON.into()),
        action: Some("FailPod".into()),
        note: Some(format!("{}. The pod is set to Failed.", record.text())),
        regarding: Some(ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            namespace: Some(namespace),
            name: Some(record.tally.pod.clone()),
            uid: Some(record.key.pod_uid.clone()),
            ..ObjectReference::default()
        }),
        event_time: Some(MicroTime(now)),
        reporting_controller: Some("pullfuse.io/pullfuse".into()),
        reporting_instance: Some(node.into()),
        ..Event::default()
    }
}

fn name(record: &VerdictRecord) -> String {
    let suffix = format!(".pullfuse-{}", record.key.pod_uid);
    // Names and UIDs are ASCII.
    let room = NAME_LIMIT.saturating_sub(suffix.len());
    record.tally.pod.chars().take(room).chain(suffix.chars()).collect()
}
