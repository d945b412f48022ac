//! The Event that tells a pod's owner about a verdict.

use super::{REASON, VerdictRecord};
use crate::events::{Note, Subject};

/// The one Event of a verdict, however often it is written.
pub(super) fn of(record: &VerdictRecord) -> Note {
    Note {
        subject: Subject::Pod {
            namespace: record.tally.namespace.clone(),
            name: record.tally.pod.clone(),
            uid: record.key.pod_uid.clone(),
        },
        warning: true,
        reason: REASON,
        action: "FailPod",
        text: format!("{}. The pod is set to Failed{}.", record.text(), by_hand(record)),
        key: record.key.pod_uid.clone(),
        // Once more if the kubelet took it back.
        since: Some(record.written_at.unwrap_or(record.decided_at)),
    }
}

fn by_hand(record: &VerdictRecord) -> String {
    record.released.map_or_else(String::new, |by| format!(", released by user {}", by.uid))
}
