//! The Event of a note, as the API server keeps it.

use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};

use super::{Note, Subject};
use crate::{pods::LONGEST_NAME, text};

/// Longest note of an Event, in bytes.
const NOTE_LIMIT: usize = 1024;
/// Where Events about a node are kept, as the kubelet's own are.
const NODE_NAMESPACE: &str = "default";

/// The Event of what happened so often until now.
pub(super) fn event(note: &Note, node: &str, count: u32, now: Timestamp) -> v1::Event {
    let regarding = match &note.subject {
        Subject::Pod { namespace, name, uid } => ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            namespace: Some(namespace.clone()),
            name: Some(name.clone()),
            uid: Some(uid.clone()),
            ..ObjectReference::default()
        },
        Subject::Node => ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Node".into()),
            name: Some(node.to_owned()),
            // The kubelet's Events about its node have the name here too; `kubectl
            // describe node` looks for it.
            uid: Some(node.to_owned()),
            ..ObjectReference::default()
        },
    };
    v1::Event {
        metadata: ObjectMeta {
            name: Some(name(note, node)),
            namespace: Some(namespace(note).to_owned()),
            ..ObjectMeta::default()
        },
        type_: Some(if note.warning { "Warning" } else { "Normal" }.into()),
        reason: Some(note.reason.into()),
        action: Some(note.action.into()),
        note: Some(text::plain(&note.text, NOTE_LIMIT)),
        regarding: Some(regarding),
        event_time: Some(MicroTime(now)),
        series: (count > 1).then(|| series(count, now)),
        reporting_controller: Some("pullfuse.io/pullfuse".into()),
        reporting_instance: Some(node.to_owned()),
        ..v1::Event::default()
    }
}

/// That it happened so often; the API server takes no series of fewer than two.
pub(super) fn series(count: u32, now: Timestamp) -> v1::EventSeries {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    v1::EventSeries { count, last_observed_time: MicroTime(now) }
}

/// How often it happened, as the Event says, and when it was last told.
pub(super) fn told(event: &v1::Event) -> (u32, Timestamp) {
    match &event.series {
        Some(series) => (u32::try_from(series.count).unwrap_or(1), series.last_observed_time.0),
        None => (1, event.event_time.as_ref().map_or(Timestamp::MAX, |at| at.0)),
    }
}

/// The Event's namespace.
pub(super) fn namespace(note: &Note) -> &str {
    match &note.subject {
        Subject::Pod { namespace, .. } => namespace,
        Subject::Node => NODE_NAMESPACE,
    }
}

/// The Event's name: the same for the same note. `daemonset/admission.yaml` knows pullfuse's Events by it.
pub(super) fn name(note: &Note, node: &str) -> String {
    let about = match &note.subject {
        Subject::Pod { name, .. } => name,
        Subject::Node => node,
    };
    let suffix = format!(".pullfuse-{}", note.key);
    // Names and UIDs are ASCII.
    let room = LONGEST_NAME.saturating_sub(suffix.len());
    let cut = about.get(..room).unwrap_or(about);
    // What stands before the suffix's dot must be a name too.
    format!("{}{suffix}", cut.trim_end_matches(['-', '.']))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixtures::{hostile, is_fit, start};

    fn note(text: String) -> Note {
        Note {
            subject: Subject::Pod {
                namespace: "batch".into(),
                name: "p".repeat(253),
                uid: "u".repeat(36),
            },
            warning: true,
            reason: "Reason",
            action: "Action",
            text,
            key: "u".repeat(36),
            since: None,
        }
    }

    #[test]
    fn the_longest_name_leaves_room_for_what_makes_it_unique() {
        let event = event(&note("x".into()), "node-a", 1, start());
        let name = event.metadata.name.unwrap();
        assert!(
            name.len() <= 253 && name.ends_with(&format!(".pullfuse-{}", "u".repeat(36))),
            "{name}"
        );
        let node = format!("{}-.{}", "p".repeat(205), "q".repeat(46));
        let of_node = Note { subject: Subject::Node, ..note("x".into()) };
        assert_eq!(super::name(&of_node, &node).find('.'), Some(205), "a part ends in -");
    }

    proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn hostile_texts_stay_within_the_limits_of_the_api_server(text in hostile()) {
            let note = event(&note(text), "node-a", 1, start()).note.unwrap();
            prop_assert!(note.len() <= 1024 && is_fit(&note), "{note:?}");
        }
    }
}
