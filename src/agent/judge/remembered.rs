//! What the fuse remembers, to the ledger and back.

use super::Judge;
use crate::{
    attempts::{Attempts, Came},
    fuse::Fuse,
    ledger::{Batch, Kept, LedgerError},
};

/// Names under which the ledger keeps what the fuse remembers beside the tallies.
const BREAKER: &str = "breaker";
const CAPS: &str = "caps";
const CAME: &str = "came";

/// The fuse as the ledger kept it. Takes that out of `kept`.
pub(super) fn fuse(kept: &mut Kept) -> Fuse {
    let tallies = std::mem::take(&mut kept.tallies);
    Fuse::new(Attempts::new(tallies, kept.state(CAME)), kept.state(BREAKER), kept.state(CAPS))
}

/// Adds to the batch which images came, if that is not what was `handed` over last.
fn keep_came(fuse: &Fuse, handed: &mut Came, batch: &mut Batch) -> Result<(), LedgerError> {
    let came = fuse.attempts().came();
    if came == handed {
        return Ok(());
    }
    handed.clone_from(came);
    batch.set_state(CAME, came)
}

impl Judge {
    /// Hands over what changes with what is seen, if it did.
    pub(super) fn keep_remembered(&mut self) {
        if *self.parts.breaker.borrow() != *self.fuse.breaker() {
            self.parts.breaker.send_replace(self.fuse.breaker().clone());
            let kept = self.unsaved.set_state(BREAKER, self.fuse.breaker());
            self.note_save(kept);
        }
        let kept = keep_came(&self.fuse, &mut self.came_handed, &mut self.unsaved);
        self.note_save(kept);
    }

    pub(super) fn keep_caps(&mut self) {
        let kept = self.unsaved.set_state(CAPS, self.fuse.caps());
        self.note_save(kept);
    }

    /// Hands over everything.
    pub(super) fn keep_all_remembered(&mut self) {
        let kept = self.unsaved.set_state(BREAKER, self.fuse.breaker());
        self.note_save(kept);
        self.came_handed.clone_from(self.fuse.attempts().came());
        let kept = self.unsaved.set_state(CAME, &self.came_handed);
        self.note_save(kept);
        self.keep_caps();
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use tempfile::TempDir;

    use super::*;
    use crate::{
        attempts::Call,
        fixtures::{key, pod, start, trouble},
        fuse::Step,
        ledger::Ledger,
        pods::ImageState,
        settings::Settings,
    };

    #[test]
    fn a_restart_knows_that_an_image_came() {
        let settings = Settings::new(crate::config::parse("").unwrap());
        let after = |seconds| start() + SignedDuration::from_secs(seconds);
        let call = |at, error: Option<&str>| Call {
            key: key(),
            namespace: "batch".into(),
            pod: "p".into(),
            started: after(at),
            ended: after(at),
            error: error.map(str::to_owned),
        };
        let folder = TempDir::new().unwrap();
        let (ledger, mut kept) = Ledger::open(folder.path()).unwrap();
        let (mut fuse, mut handed) = (fuse(&mut kept), Came::default());
        fuse.observe_call(call(1, Some("")), &settings, after(1));
        let steps = fuse.observe_call(call(15, None), &settings, after(15));
        assert!(steps.iter().any(|step| matches!(step, Step::Reset(..))), "{steps:?}");
        let mut batch = Batch::default();
        keep_came(&fuse, &mut handed, &mut batch).unwrap();
        ledger.commit(&batch).unwrap();
        drop(ledger);

        let (_, mut kept) = Ledger::open(folder.path()).unwrap();
        let mut again = super::fuse(&mut kept);
        let before = pod(Some(ImageState::Failed(trouble("of before"))));
        assert_eq!(again.observe(&before, &settings, after(20)), []);

        let mut batch = Batch::default();
        keep_came(&fuse, &mut handed, &mut batch).unwrap();
        assert!(batch.is_empty(), "nothing is written again that did not change");
    }
}
