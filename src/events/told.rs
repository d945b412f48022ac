//! Bounds how many Events a pod gets.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Note, Subject};
use crate::pods::PodUid;

/// Different notes of one reason about one pod. Whoever has not read five will not read the sixth, and
/// who may change a pod's annotations, or hang its registry, must not fill the API server.
const MOST: usize = 5;

type Keys = BTreeMap<&'static str, BTreeSet<String>>;

/// What was told about each pod; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Told(Arc<Mutex<BTreeMap<PodUid, Keys>>>);

impl Told {
    /// Whether this may still be told; what was told before may always be told again, since it is the
    /// same Event.
    pub(super) fn allow(&self, note: &Note) -> bool {
        // The node's own are bounded by what tells them.
        let Subject::Pod { uid, .. } = &note.subject else { return true };
        let mut told = self.lock();
        let keys = told.entry(uid.clone()).or_default().entry(note.reason).or_default();
        if keys.contains(&note.key) {
            return true;
        }
        let room = keys.len() < MOST;
        if room {
            keys.insert(note.key.clone());
        }
        room
    }

    /// Forgets the pods for which `keep` is false.
    pub(super) fn retain(&self, keep: impl Fn(&PodUid) -> bool) {
        self.lock().retain(|uid, _| keep(uid));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PodUid, Keys>> {
        // A panic elsewhere leaves nothing half done that matters.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(uid: &str, reason: &'static str, key: usize) -> Note {
        Note {
            subject: Subject::Pod { namespace: "n".into(), name: "p".into(), uid: uid.into() },
            warning: true,
            reason,
            action: "Action",
            text: String::new(),
            key: key.to_string(),
        }
    }

    #[test]
    fn a_pod_gets_so_many_events_of_one_reason_and_no_more() {
        let told = Told::default();
        let allowed = (0..20).filter(|key| told.allow(&note("a", "BadAnnotation", *key))).count();
        assert_eq!(allowed, MOST);
        assert!(told.allow(&note("a", "BadAnnotation", 0)), "the same again is the same Event");
        assert!(told.allow(&note("a", "ImagePullFailed", 20)), "a verdict is always told");
        assert!(told.allow(&note("b", "BadAnnotation", 20)), "another pod");
        told.retain(|uid| uid != "a");
        assert!(told.allow(&note("a", "BadAnnotation", 20)));
        let node = Note { subject: Subject::Node, ..note("", "RegistryOutage", 0) };
        assert!((0..20).all(|key| told.allow(&Note { key: key.to_string(), ..node.clone() })));
    }
}
