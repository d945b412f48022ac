//! What changed at this node lately, for whoever is asked what happened.
//!
//! In: [`Change`]s. Out: those of a time. Pure, bounded in number and age; the ledger keeps it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    attempts::{PullKey, Tally},
    classify::Class,
    clock::moved,
    pods::PodFacts,
    text::plain,
};

/// Changes that are kept; a node with a hundred failing pods has that many in a bad day.
const MOST: usize = 1000;
/// How long they are kept.
pub const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24);
/// Bytes of a text: what is more stands in the log.
const LONGEST_TEXT: usize = 400;

/// What kind of change it is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    /// The agent started: what happened before, while none ran, is not known.
    Started,
    /// An image began to fail for a pod.
    Failing,
    /// It failed again.
    Attempt,
    /// It fails of another cause now.
    Cause,
    /// It came.
    Pulled,
    /// The pod was deleted, or ended by somebody else.
    Gone,
    /// The pod is to be ended.
    Verdict,
    /// A dry run would have ended it.
    DryRun,
    /// The verdict is held by an outage or a cap.
    Held,
    /// The limits are reached, and the pod is left alone.
    Reported,
    /// The pod was ended and stayed so.
    Ended,
    /// The verdict was taken back before it was written.
    Withdrawn,
    /// The API server or the kubelet would not have the verdict.
    GivenUp,
    /// A registry's breaker changed.
    Breaker,
    /// One pull holds up the node.
    Holdup,
    /// An operator released a pod.
    Released,
    /// Another configuration is in effect.
    Config,
}

impl Kind {
    /// The name in output.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether it is remembered. Repeated attempts are many and change nothing.
    fn is_kept(self) -> bool {
        self != Self::Attempt
    }
}

/// Something that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// What kind of change it is.
    pub kind: Kind,
    /// Namespace, name and UID of the pod; empty if it is about none.
    pub pod: (String, String, String),
    /// The image; empty if it is about none.
    pub image: String,
    /// The registry whose breaker it is about.
    pub registry: String,
    /// Failed attempts so far.
    pub attempts: u32,
    /// Their last cause.
    pub class: Option<Class>,
    /// For people.
    pub text: String,
}

impl Change {
    /// A change of the node.
    pub fn of_node(at: Timestamp, kind: Kind, text: &str) -> Self {
        Self {
            at,
            kind,
            pod: Default::default(),
            image: String::new(),
            registry: String::new(),
            attempts: 0,
            class: None,
            text: plain(text, LONGEST_TEXT),
        }
    }

    /// A change about one image of one pod.
    pub fn of_image(at: Timestamp, kind: Kind, key: &PullKey, tally: &Tally, text: &str) -> Self {
        Self {
            pod: (tally.namespace.clone(), tally.pod.clone(), key.pod_uid.clone()),
            image: key.image.clone(),
            attempts: tally.attempts,
            class: Some(tally.cause().class),
            ..Self::of_node(at, kind, text)
        }
    }

    /// A change about a pod.
    pub fn of_pod(at: Timestamp, kind: Kind, pod: &PodFacts, text: &str) -> Self {
        let pod = (pod.namespace.clone(), pod.name.clone(), pod.uid.clone());
        Self { pod, ..Self::of_node(at, kind, text) }
    }

    /// Whether it belongs to this namespace; what concerns the whole node belongs to each, and the
    /// empty name is all of them.
    pub fn concerns(&self, namespace: &str) -> bool {
        namespace.is_empty() || self.pod.0.is_empty() || self.pod.0 == namespace
    }
}

/// The changes of the last day.
#[derive(Debug, Default)]
pub struct Journal {
    kept: BTreeMap<u64, Change>,
    next: u64,
}

impl Journal {
    /// Goes on from what the ledger kept.
    pub fn new(kept: BTreeMap<u64, Change>) -> Self {
        let next = kept.last_key_value().map_or(0, |(last, _)| last.saturating_add(1));
        Self { kept, next }
    }

    /// Takes in a change and returns its number, and whether it is to be kept.
    pub fn push(&mut self, change: Change) -> (u64, bool) {
        let (number, kept) = (self.next, change.kind.is_kept());
        self.next = self.next.saturating_add(1);
        if kept {
            self.kept.insert(number, change);
        }
        (number, kept)
    }

    /// Moves every time, because the clock was set.
    pub fn shift(&mut self, by: SignedDuration) {
        self.kept.values_mut().for_each(|change| change.at = moved(change.at, by));
    }

    /// The number of the next change.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// What changed at that time or later, the oldest first.
    pub fn since(&self, since: Timestamp) -> impl Iterator<Item = (u64, &Change)> {
        let all = self.kept.iter().map(|(number, change)| (*number, change));
        all.filter(move |(_, change)| change.at >= since)
    }

    /// From when on nothing is missing.
    pub fn complete_since(&self, now: Timestamp) -> Timestamp {
        let day = now.checked_sub(KEPT_FOR).unwrap_or(Timestamp::MIN);
        match self.kept.first_key_value() {
            None => now,
            Some((0, first)) => first.at,
            Some((_, first)) if self.kept.len() >= MOST => first.at,
            Some(_) => day,
        }
    }

    /// Drops what is too old or too much, and returns the numbers.
    pub fn trim(&mut self, now: Timestamp) -> Vec<u64> {
        let too_many = self.kept.len().saturating_sub(MOST);
        let mut dropped: Vec<u64> = self.kept.keys().take(too_many).copied().collect();
        let old = |change: &Change| now.duration_since(change.at) > KEPT_FOR;
        dropped.extend(self.kept.iter().filter(|(_, change)| old(change)).map(|(n, _)| *n));
        for number in &dropped {
            self.kept.remove(number);
        }
        dropped
    }
}

#[cfg(test)]
mod tests;
