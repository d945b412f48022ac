//! What was told: bounds how many Events a pod gets and how often each is written.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Note, Subject};
use crate::{clock::moved, pods::PodUid};

/// Different notes of one reason about one pod. Whoever has not read five will not read the sixth, and
/// who may change a pod's annotations, or hang its registry, must not fill the API server.
const MOST: usize = 5;
/// A series is written at most once in this time, as client-go ends one that was quiet for as long.
/// What happens again meanwhile is told together.
const EVERY: Duration = Duration::from_mins(6);
/// By default an API server keeps an Event for an hour after it was written.
const KEPT: Duration = Duration::from_hours(1);

/// What an Event is found by: its pod, or else the node, reason and key.
type Id = (Option<PodUid>, &'static str, String);

/// What was told; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Told(Arc<Mutex<BTreeMap<Id, Series>>>);

/// What is known of one Event.
#[derive(Debug)]
struct Series {
    note: Note,
    /// When what happened last began.
    latest: Option<Timestamp>,
    /// How often it happened since the Event was written.
    untold: u32,
    /// How often the Event says that it happened; 0: nobody knows whether there is one.
    count: u32,
    /// Whether it is being written.
    busy: bool,
    written: Option<Instant>,
    /// When it was last written again.
    rewritten: Option<Instant>,
}

/// The pod has enough Events of this reason.
#[derive(Debug)]
pub(super) struct TooMany;

/// An Event that is to be written now; dropped half-way, it is written later.
#[derive(Debug)]
pub(super) struct Writing {
    told: Told,
    id: Id,
    pub(super) note: Note,
    /// See [`Series`].
    pub(super) latest: Timestamp,
    pub(super) untold: u32,
    pub(super) count: u32,
}

impl Told {
    /// Takes in a note; `None`: it was told, or will be.
    pub(super) fn take(&self, note: &Note) -> Result<Option<Writing>, TooMany> {
        let of = match &note.subject {
            Subject::Pod { uid, .. } => Some(uid.clone()),
            // The node's own are bounded by what tells them.
            Subject::Node => None,
        };
        let id = (of, note.reason, note.key.clone());
        let mut all = self.0.lock();
        if id.0.is_some() && !all.contains_key(&id) {
            let of_reason = all.range((id.0.clone(), id.1, String::new())..);
            let of_reason = of_reason.take_while(|(other, _)| (&other.0, other.1) == (&id.0, id.1));
            if of_reason.count() >= MOST {
                return Err(TooMany);
            }
        }
        let series = all.entry(id.clone()).or_insert_with(|| Series::of(note));
        let since = note.since.unwrap_or(Timestamp::MIN);
        if series.latest.is_none_or(|latest| latest < since) {
            series.latest = Some(since);
            series.untold = series.untold.saturating_add(1);
            series.note = note.clone();
        }
        Ok(series.due().then(|| self.begin(id, series)))
    }

    /// Something that waited and is due.
    pub(super) fn next(&self) -> Option<Writing> {
        let mut all = self.0.lock();
        let (id, series) = all.iter_mut().find(|(_, series)| series.due())?;
        Some(self.begin(id.clone(), series))
    }

    /// Whether something that waited is due.
    pub(super) fn any(&self) -> bool {
        self.0.lock().values().any(Series::due)
    }

    fn begin(&self, id: Id, series: &mut Series) -> Writing {
        series.busy = true;
        Writing {
            told: self.clone(),
            id,
            note: series.note.clone(),
            latest: series.latest.unwrap_or(Timestamp::MIN),
            untold: series.untold,
            count: series.count,
        }
    }

    /// Moves every time, because the clock was set.
    pub(super) fn shift(&self, by: SignedDuration) {
        for series in self.0.lock().values_mut() {
            series.latest = series.latest.map(|latest| moved(latest, by));
        }
    }

    /// Forgets the pods for which `keep` is false, and Events about the node that are gone by now.
    pub(super) fn retain(&self, keep: impl Fn(&PodUid) -> bool) {
        self.0.lock().retain(|(pod, ..), series| match pod {
            Some(uid) => keep(uid),
            None => series.untold > 0 || series.written.is_some_and(|at| at.elapsed() < KEPT),
        });
    }
}

impl Series {
    fn of(note: &Note) -> Self {
        Self {
            note: note.clone(),
            latest: None,
            untold: 0,
            count: 0,
            busy: false,
            written: None,
            rewritten: None,
        }
    }

    fn due(&self) -> bool {
        self.untold > 0 && !self.busy && self.rewritten.is_none_or(|at| at.elapsed() >= EVERY)
    }
}

impl Writing {
    /// The Event says now that it happened so often.
    pub(super) fn told(self, count: u32) {
        self.end(|series, untold| {
            series.written = Some(Instant::now());
            if series.count > 0 || count > untold {
                series.rewritten = series.written;
            }
            series.count = count;
        });
    }

    /// It cannot be written. If the same is told again, it is tried again.
    pub(super) fn gave_up(self) {
        self.end(|series, _| series.latest = None);
    }

    fn end(self, how: impl FnOnce(&mut Series, u32)) {
        // Its pod may be gone.
        if let Some(series) = self.told.0.lock().get_mut(&self.id) {
            series.untold = series.untold.saturating_sub(self.untold);
            how(series, self.untold);
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if let Some(series) = self.told.0.lock().get_mut(&self.id) {
            series.busy = false;
        }
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
            since: None,
        }
    }

    #[test]
    fn a_pod_gets_so_many_events_of_one_reason_and_no_more() {
        let told = Told::default();
        let allowed = |note: &Note| told.take(note).is_ok();
        let first = (0..20).filter(|key| allowed(&note("a", "BadAnnotation", *key))).count();
        assert_eq!(first, MOST);
        assert!(allowed(&note("a", "BadAnnotation", 0)), "the same again is the same Event");
        assert!(allowed(&note("a", "ImagePullFailed", 20)), "a verdict is always told");
        assert!(allowed(&note("b", "BadAnnotation", 20)), "another pod");
        told.retain(|uid| uid != "a");
        assert!(allowed(&note("a", "BadAnnotation", 20)));
        let node = Note { subject: Subject::Node, ..note("", "RegistryOutage", 0) };
        assert!((0..20).all(|key| allowed(&Note { key: key.to_string(), ..node.clone() })));
    }
}
