//! Tells people what pullfuse saw and did, as Kubernetes Events.
//!
//! In: a [`Note`]. Out: one Event, however often the same note is told, and a bounded number for each
//! pod. Touches Events at the API server only.

mod told;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};

use self::told::Told;
use crate::{
    api::{ApiError, Turns, limited},
    pods::{LONGEST_NAME, PodUid},
    text,
};

/// Longest note of an Event, in bytes.
const NOTE_LIMIT: usize = 1024;
/// Where Events about a node are kept, as the kubelet's own are.
const NODE_NAMESPACE: &str = "default";
/// Tries for one note. While Events fail there is one try in half a minute or so for all notes
/// together.
const TRIES: usize = 5;

/// What an Event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A pod.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its UID.
        uid: PodUid,
    },
    /// The agent's own node.
    Node,
}

/// Something worth telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What it is about.
    pub subject: Subject,
    /// Whether it asks for attention.
    pub warning: bool,
    /// Why, in one word for programs.
    pub reason: &'static str,
    /// What was done, in one word for programs.
    pub action: &'static str,
    /// What people read: what happened, how often, and what to do.
    pub text: String,
    /// Tells it from other notes about the subject; lower case letters, digits and dashes.
    pub key: String,
}

/// Writes Events; clones share one connection and its turns.
#[derive(Clone)]
pub struct Events {
    client: Client,
    node: String,
    turns: Arc<Turns>,
    told: Told,
}

impl Events {
    /// Events of the agent of this node.
    pub fn new(client: Client, node: String) -> Self {
        Self { client, node, turns: Arc::default(), told: Told::default() }
    }

    /// Tells once: the Event's name is made from the subject and the note's key. An Event that
    /// cannot be written is logged and left; nothing depends on it.
    pub async fn tell(&self, note: &Note) {
        if !self.told.allow(note) {
            tracing::info!(
                reason = note.reason,
                text = note.text,
                "not told: this pod has enough Events of this reason"
            );
            return;
        }
        for tries_left in (0..TRIES).rev() {
            let turn = self.turns.take().await;
            match self.create(note).await {
                Ok(()) => return turn.worked(),
                Err(error) if tries_left > 0 && error.passes() => turn.failed(),
                Err(error) => {
                    turn.failed();
                    tracing::warn!(reason = note.reason, text = note.text, %error,
                        "an Event could not be written");
                    return;
                }
            }
        }
    }

    /// Forgets the pods for which `keep` is false.
    pub fn retain(&self, keep: impl Fn(&PodUid) -> bool) {
        self.told.retain(keep);
    }

    async fn create(&self, note: &Note) -> Result<(), ApiError> {
        let event = event(note, &self.node, Timestamp::now());
        let namespace = event.metadata.namespace.as_deref().unwrap_or(NODE_NAMESPACE);
        let api = Api::<v1::Event>::namespaced(self.client.clone(), namespace);
        match limited(api.create(&PostParams::default(), &event)).await {
            Ok(_) | Err(ApiError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn event(note: &Note, node: &str, now: Timestamp) -> v1::Event {
    let (namespace, regarding) = match &note.subject {
        Subject::Pod { namespace, name, uid } => (
            namespace.clone(),
            ObjectReference {
                api_version: Some("v1".into()),
                kind: Some("Pod".into()),
                namespace: Some(namespace.clone()),
                name: Some(name.clone()),
                uid: Some(uid.clone()),
                ..ObjectReference::default()
            },
        ),
        Subject::Node => (
            NODE_NAMESPACE.to_owned(),
            ObjectReference {
                api_version: Some("v1".into()),
                kind: Some("Node".into()),
                name: Some(node.to_owned()),
                // The kubelet's Events about its node have the name here too; `kubectl
                // describe node` looks for it.
                uid: Some(node.to_owned()),
                ..ObjectReference::default()
            },
        ),
    };
    let about = regarding.name.clone().unwrap_or_default();
    v1::Event {
        metadata: ObjectMeta {
            name: Some(name(&about, &note.key)),
            namespace: Some(namespace),
            ..ObjectMeta::default()
        },
        type_: Some(if note.warning { "Warning" } else { "Normal" }.into()),
        reason: Some(note.reason.into()),
        action: Some(note.action.into()),
        note: Some(text::plain(&note.text, NOTE_LIMIT)),
        regarding: Some(regarding),
        event_time: Some(MicroTime(now)),
        reporting_controller: Some("pullfuse.io/pullfuse".into()),
        reporting_instance: Some(node.to_owned()),
        ..v1::Event::default()
    }
}

fn name(about: &str, key: &str) -> String {
    let suffix = format!(".pullfuse-{key}");
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
        }
    }

    #[test]
    fn the_longest_name_leaves_room_for_what_makes_it_unique() {
        let event = event(&note("x".into()), "node-a", start());
        let name = event.metadata.name.unwrap();
        assert!(
            name.len() <= 253 && name.ends_with(&format!(".pullfuse-{}", "u".repeat(36))),
            "{name}"
        );
        let about = format!("{}-.{}", "p".repeat(205), "q".repeat(46));
        assert_eq!(super::name(&about, &"u".repeat(36)).find('.'), Some(205), "a part ends in -");
    }

    proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn hostile_texts_stay_within_the_limits_of_the_api_server(text in hostile()) {
            let note = event(&note(text), "node-a", start()).note.unwrap();
            prop_assert!(note.len() <= 1024 && is_fit(&note), "{note:?}");
        }
    }
}
