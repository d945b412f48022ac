//! Answers what only the judge knows.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use super::Judge;
use crate::{
    act::VerdictStage,
    classify::Disposition,
    fuse::By,
    history::{self, Episode},
    local::{Question, Remembered, Summary, WhatIf, duration, timestamp, v1},
    policy::breaker::State,
};

/// Pods that an answer names.
const MOST_REGRETS: usize = 20;

impl Judge {
    /// Whoever asked may have gone away meanwhile.
    pub(super) async fn answer(&mut self, question: Question) {
        match question {
            Question::Summary(answer) => drop(answer.send(self.summary())),
            Question::Pods(wanted, answer) => drop(answer.send(self.failing(&wanted))),
            Question::Pod(wanted, answer) => drop(answer.send(self.pod(&wanted))),
            Question::Images(answer) => drop(answer.send(self.images())),
            Question::Registries(answer) => drop(answer.send(self.registries())),
            Question::Changes(since, namespace, answer) => {
                drop(answer.send(self.changes(since, &namespace)));
            }
            Question::WhatIf(question, answer) => drop(answer.send(self.what_if(question))),
            Question::Release(hold, uid, answer) => {
                drop(answer.send(self.release(&hold, uid).await));
            }
        }
    }

    fn changes(&self, since: Option<SignedDuration>, namespace: &str) -> Remembered {
        let now = self.now();
        let since = since.and_then(|since| now.checked_sub(since).ok()).unwrap_or(Timestamp::MIN);
        let changes = self.journal.since(since).filter(|(_, change)| change.concerns(namespace));
        Remembered {
            changes: changes.map(|(number, change)| (number, Arc::new(change.clone()))).collect(),
            since: self.journal.complete_since(now),
            next: self.journal.next(),
        }
    }

    fn summary(&self) -> Summary {
        let at = |stage| number(self.verdicts.values().filter(|v| v.stage == stage).count());
        let counts = v1::Counts {
            pods: number(self.parts.pods.count(|_| true)),
            failing_images: number(self.fuse.attempts().iter().count()),
            verdicts_under_way: number(self.under_way.len()),
            verdicts_held: at(VerdictStage::Held),
            verdicts_dry_run: at(VerdictStage::DryRun),
            verdicts_given_up: at(VerdictStage::GivenUp),
            held_back: number(self.held.len()),
        };
        Summary { counts, breakers: self.breakers() }
    }

    pub(super) fn breakers(&self) -> Vec<v1::Breaker> {
        let settings = &self.settings.config.breaker;
        let breaker = |(registry, state): (&str, State)| {
            let (name, since, longest) = match state {
                State::Open { since } => (v1::breaker::State::Open, since, settings.hold),
                State::HalfOpen { since } => (v1::breaker::State::HalfOpen, since, settings.window),
                State::Closed => return None,
            };
            let until = since.checked_add(longest).ok();
            Some(v1::Breaker {
                registry: registry.to_owned(),
                state: name.into(),
                since: Some(timestamp(since)),
                until: until.map(timestamp),
            })
        };
        self.fuse.breaker().troubled().filter_map(breaker).collect()
    }

    fn what_if(&self, question: WhatIf) -> v1::WhatIfResponse {
        let now = self.now();
        let limits = &self.settings.config.limits;
        let disposition =
            question.class.map_or(Disposition::Permanent, |class| class.disposition());
        let configured = limits.of_disposition(disposition).min_elapsed;
        let min_elapsed = question.min_elapsed.unwrap_or(configured);
        let going_on: Vec<Episode> =
            (self.fuse.attempts().iter()).map(|(key, tally)| Episode::of(key, tally)).collect();
        let since = self.history.iter().chain(&going_on).filter_map(|e| e.attempts.first());
        let since = since.map(|attempt| attempt.at).min();
        let asked = history::Question {
            max_attempts: question.max_attempts,
            min_elapsed,
            class: question.class,
        };
        let answer = self.history.what_if(going_on.iter(), &asked, now);
        let regret = |regret: &history::Regret| v1::what_if_response::Regret {
            namespace: regret.namespace.clone(),
            pod: regret.pod.clone(),
            image: regret.image.clone(),
            at: Some(timestamp(regret.at)),
        };
        let mut regrets: Vec<_> = answer.regrets.iter().collect();
        regrets.sort_by_key(|regret| std::cmp::Reverse(regret.at));
        let class = |(class, (would_fail, recovered)): (_, _)| {
            let class: crate::classify::Class = class;
            let class = class.as_str().to_owned();
            v1::what_if_response::Class { class, would_fail, recovered }
        };
        let by_class: BTreeMap<_, _> = answer.by_class;
        v1::WhatIfResponse {
            since: since.map(timestamp),
            max_attempts: question.max_attempts,
            min_elapsed: Some(duration(min_elapsed)),
            episodes: answer.episodes,
            would_fail: answer.would_fail,
            recovered: answer.recovered,
            deleted: answer.deleted,
            failed: answer.failed,
            still_stuck: answer.still_stuck,
            waiting_saved: Some(duration(answer.waiting_saved)),
            classes: by_class.into_iter().map(class).collect(),
            regrets: regrets.into_iter().take(MOST_REGRETS).map(regret).collect(),
        }
    }

    /// Numbers for the metrics.
    pub(super) fn count_what_waits(&self) {
        let held = |reason: &str| self.held.values().filter(|h| h.by.as_str() == reason).count();
        let reasons = By::NAMES.map(|reason| (reason, held(reason)));
        self.parts.metrics.held_back(reasons);
        let troubled = self.fuse.breaker().troubled();
        self.parts.metrics.breakers(troubled.map(|(registry, state)| (registry, state.as_str())));
        let dry_run = self.verdicts.values().filter(|v| v.stage == VerdictStage::DryRun).count();
        self.parts.metrics.dry_run_stuck(dry_run);
    }
}

pub(super) fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
