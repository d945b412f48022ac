//! Pods by what is wrong with them, in bounded memory. Pure: no I/O, no clock.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    found::{Found, State},
    shown::Names,
};
use crate::classify::Class;

/// More than anybody reads; the memory of a cluster that fails everywhere has an end.
const MOST: usize = 1000;

/// What pods of a group have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Key {
    pub(super) state: State,
    pub(super) image: String,
    pub(super) class: Option<Class>,
    pub(super) host: Option<String>,
}

/// Pods with the same image and cause.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Group {
    pub(super) pods: u64,
    pub(super) namespaces: Names,
    pub(super) nodes: Names,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    /// The latest of the pods, as namespace/name, and what it says.
    pub(super) example: String,
    pub(super) advice: String,
    pub(super) error: String,
}

/// A group and what its pods have in common.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Row<'a> {
    #[serde(flatten)]
    pub(super) key: &'a Key,
    #[serde(flatten)]
    pub(super) group: &'a Group,
}

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: BTreeMap<Key, Group>,
    /// Pods of further images, for which there was no room.
    pub(super) left_out: u64,
}

impl Groups {
    pub(super) fn add(&mut self, found: Found) {
        let Found { state, image, class, host, namespace, pod, node, first, last, advice, error } =
            found;
        let key = Key { state, image, class, host };
        if self.groups.len() >= MOST && !self.groups.contains_key(&key) {
            self.left_out += 1;
            return;
        }
        let group = self.groups.entry(key).or_default();
        group.namespaces.add(&namespace);
        group.nodes.add(&node);
        if group.pods == 0 || last.or(first) > group.last.or(group.first) {
            group.example = format!("{namespace}/{pod}");
            group.advice = advice;
            group.error = error;
        }
        group.pods += 1;
        group.first = earliest(group.first, first);
        group.last = group.last.max(last);
    }

    /// The most urgent first: verdicts that do not hold, then those with the most pods.
    pub(super) fn sorted(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<_> = self.groups.iter().map(|(key, group)| Row { key, group }).collect();
        rows.sort_by_key(|row| (row.key.state, std::cmp::Reverse(row.group.pods)));
        rows
    }
}

fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::fixtures::start;

    fn found(state: State, image: &str, class: Class, number: u32) -> Found {
        let at = start() + SignedDuration::from_secs(number.into());
        Found {
            state,
            image: image.into(),
            class: Some(class),
            host: None,
            namespace: format!("ns-{}", number % 2),
            pod: format!("p-{number}"),
            node: format!("node-{}", number % 3),
            first: Some(at),
            last: Some(at),
            advice: "do this".into(),
            error: format!("error {number}"),
        }
    }

    #[test]
    fn pods_with_one_image_and_cause_are_one_group_and_the_latest_speaks() {
        let mut groups = Groups::default();
        for number in [4, 9, 2] {
            groups.add(found(State::Ended, "a", Class::NotFound, number));
        }
        groups.add(found(State::Ended, "a", Class::Unauthorized, 1));
        groups.add(found(State::Waiting, "a", Class::NotFound, 1));
        groups.add(found(State::NotHeld, "b", Class::NotFound, 1));
        let sorted = groups.sorted();
        let shown =
            sorted.iter().map(|row| (row.key.state, row.group.pods, row.group.example.as_str()));
        let shown: Vec<_> = shown.collect();
        assert_eq!(
            shown,
            [
                (State::NotHeld, 1, "ns-1/p-1"),
                (State::Ended, 3, "ns-1/p-9"),
                (State::Ended, 1, "ns-1/p-1"),
                (State::Waiting, 1, "ns-1/p-1"),
            ]
        );
        let group = sorted[1].group;
        assert_eq!(group.error, "error 9");
        assert_eq!(group.first, Some(start() + SignedDuration::from_secs(2)));
        assert_eq!(group.last, Some(start() + SignedDuration::from_secs(9)));
        assert_eq!(group.namespaces.long(), "ns-0, ns-1");
        assert_eq!(group.nodes.long(), "node-0, node-1, node-2");
    }

    #[test]
    fn a_cluster_that_fails_everywhere_fits_into_memory() {
        let mut groups = Groups::default();
        for number in 0..3000 {
            groups.add(found(State::Ended, &format!("image-{number}"), Class::NotFound, 1));
            groups.add(found(State::Ended, "image-0", Class::NotFound, 2));
        }
        assert_eq!((groups.sorted().len(), groups.left_out), (MOST, 2000));
        assert_eq!(groups.sorted()[0].group.pods, 3001);
    }
}
