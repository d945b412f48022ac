//! Answers what only the judge knows.

use super::Judge;
use crate::{
    act::VerdictStage,
    local::{Question, v1},
};

impl Judge {
    /// Whoever asked may have gone away meanwhile.
    pub(super) fn answer(&self, question: Question) {
        match question {
            Question::Counts(answer) => drop(answer.send(self.counts())),
        }
    }

    fn counts(&self) -> v1::Counts {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let at = |stage| number(self.verdicts.values().filter(|v| v.stage == stage).count());
        v1::Counts {
            pods: number(self.parts.pods.count(|_| true)),
            failing_images: number(self.attempts.iter().count()),
            verdicts_under_way: number(self.under_way.len()),
            verdicts_held: at(VerdictStage::Held),
            verdicts_dry_run: at(VerdictStage::DryRun),
            verdicts_given_up: at(VerdictStage::GivenUp),
        }
    }
}
