//! The pulls that go on now: set by the agent's listener, asked before a verdict.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

use crate::attempts::PullKey;

/// The pulls that go on now, as far as the CRI socket is heard; clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Pulls {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Since when.
    in_flight: BTreeMap<PullKey, Timestamp>,
    /// When an outcome was last seen; a pull from before that is over, even if its connection
    /// broke without a word.
    ended: BTreeMap<PullKey, Timestamp>,
}

impl Pulls {
    /// Replaces all that go on.
    pub fn set(&self, in_flight: BTreeMap<PullKey, Timestamp>) {
        self.lock().in_flight = in_flight;
    }

    /// Notes that an outcome was seen.
    pub fn ended(&self, key: &PullKey, at: Timestamp) {
        self.lock().ended.insert(key.clone(), at);
    }

    /// Drops what is known of a pod's image.
    pub fn forget(&self, key: &PullKey) {
        self.lock().ended.remove(key);
    }

    /// A pull for this pod that goes on, and since when.
    pub fn of_pod(&self, pod_uid: &str) -> Option<(String, Timestamp)> {
        let state = self.lock();
        let goes_on = |(key, since): &(&PullKey, &Timestamp)| {
            key.pod_uid == pod_uid && state.ended.get(key).is_none_or(|ended| ended < *since)
        };
        let (key, since) = state.in_flight.iter().find(goes_on)?;
        Some((key.image.clone(), *since))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is one assignment, so a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::fixtures::{key, start};

    #[test]
    fn a_pull_goes_on_until_an_outcome_is_seen() {
        let pulls = Pulls::default();
        let at = |second| start() + SignedDuration::from_secs(second);
        pulls.ended(&key(), at(1));
        pulls.set([(key(), at(5))].into());
        assert_eq!(pulls.of_pod("uid-1"), Some(("img".into(), at(5))));
        assert_eq!(pulls.of_pod("uid-2"), None);
        pulls.ended(&key(), at(6));
        assert_eq!(pulls.of_pod("uid-1"), None, "its connection broke without a word");
        pulls.set(BTreeMap::new());
        assert_eq!(pulls.of_pod("uid-1"), None);
    }
}
