//! Notes what changed: for whoever watches, and for whoever asks later.

use std::time::{Duration, Instant};

use super::{Judge, SOURCES};
use crate::{
    attempts::{Call, PullKey, Tally},
    classify::Cause,
    journal::{Change, Kind},
    sources::Failure,
};

impl Judge {
    /// A change. Nobody is waited for: who watches too slowly misses some.
    pub(super) fn note(&mut self, change: Change) {
        let (number, kept) = self.journal.push(change.clone());
        if kept {
            self.unsaved.changes.insert(number, Some(change.clone()));
        }
        // An error means that nobody watches.
        let _ = self.parts.watchers.send((number, std::sync::Arc::new(change)));
    }

    /// An attempt failed, and this is its cause as far as it is known.
    pub(super) fn note_attempt(&mut self, key: &PullKey, cause: &Cause, tally: &Tally) {
        let failure =
            Failure { image: &key.image, host: cause.host.as_deref(), cause: tally.cause() };
        self.sources.failed(failure, tally.last_attempt);
        self.sources_saved.0 = false;
        let known = self.told_causes.insert(key.clone(), cause.class);
        let (kind, text) = match known {
            _ if tally.attempts == 1 => (Kind::Failing, cause.advice.clone()),
            Some(before) if before != cause.class => {
                (Kind::Cause, format!("before {}; {}", before.as_str(), cause.advice))
            }
            _ => (Kind::Attempt, tally.trouble.message.clone()),
        };
        self.note(Change::of_image(tally.last_attempt, kind, key, tally, &text));
    }

    /// The text of an attempt may be known only some time after it was counted.
    pub(super) fn note_cause(&mut self, key: &PullKey) {
        let Some(tally) = self.fuse.attempts().get(key).cloned() else { return };
        let class = tally.cause().class;
        let Some(before) = self.told_causes.insert(key.clone(), class) else { return };
        if before != class {
            let text = format!("before {}", before.as_str());
            self.note(Change::of_image(self.now(), Kind::Cause, key, &tally, &text));
        }
    }

    /// A call on the CRI socket ended well.
    pub(super) fn note_success(&mut self, call: &Call) {
        if call.error.is_none() {
            let took = call.ended.duration_since(call.started);
            self.sources.came(&call.key.image, Some(took), call.ended);
            self.sources_saved.0 = false;
        }
    }

    /// Hands the sources to the ledger, if they have changed and it is time.
    pub(super) fn keep_sources(&mut self, every: Duration) {
        let (saved, at) = self.sources_saved;
        if saved || at.elapsed() < every {
            return;
        }
        let kept = self.unsaved.set_state(SOURCES, &self.sources);
        self.note_save(kept);
        self.sources_saved = (true, Instant::now());
    }
}
