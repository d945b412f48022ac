//! Somebody sets the node's clock: no time passes by that, for nobody.

use jiff::{SignedDuration, Timestamp};

use super::Judge;
use crate::clock::moved;

impl Judge {
    pub(super) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// To be called at least every few seconds; until then all goes by the clock as it was.
    pub(super) fn follow_clock(&mut self) {
        if let Some(by) = self.parts.clock.follow() {
            self.clock_was_set(by);
        }
    }

    /// Moves whatever is dated, so that it is as long ago as before.
    pub(super) fn clock_was_set(&mut self, by: SignedDuration) {
        tracing::warn!(
            by_s = by.as_secs(),
            now = %self.now(),
            "the node's clock was set: what was seen before is dated anew, and no limit is nearer"
        );
        self.fuse.shift(by);
        self.history.shift(by);
        self.journal.shift(by);
        self.sources.shift(by);
        self.verdicts.values_mut().for_each(|record| record.shift(by));
        self.waiting.values_mut().for_each(|until| *until = moved(*until, by));
        self.held.values_mut().for_each(|held| held.until = moved(held.until, by));
        self.early.shift(by);
        self.parts.events.shift(by);
        self.parts.breaker.send_replace(self.fuse.breaker().clone());
        self.keep_all();
    }
}
