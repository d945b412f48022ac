//! Answers what only the judge knows.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::Judge;
use crate::{
    act::VerdictStage,
    attempts::Tally,
    classify::Disposition,
    fuse::{By, Judgement, Opinion},
    history::{self, Episode},
    local::{Question, Summary, WhatIf, duration, timestamp, v1},
    pods::PodFacts,
    policy::{Because, breaker::State},
};

/// Pods that an answer names.
const MOST_REGRETS: usize = 20;

impl Judge {
    /// Whoever asked may have gone away meanwhile.
    pub(super) fn answer(&mut self, question: Question) {
        match question {
            Question::Summary(answer) => drop(answer.send(self.summary())),
            Question::Pods(wanted, answer) => drop(answer.send(self.failing(&wanted))),
            Question::WhatIf(question, answer) => drop(answer.send(self.what_if(question))),
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
        Summary { counts, breakers: self.fuse.breaker().troubled().filter_map(breaker).collect() }
    }

    fn failing(&mut self, wanted: &v1::ListPodsRequest) -> v1::ListPodsResponse {
        let (settings, now) = (Arc::clone(&self.settings), Timestamp::now());
        let fits = |wanted: &str, name: &str| wanted.is_empty() || wanted == name;
        let mut images = Vec::new();
        for pod in self.parts.pods.all() {
            if fits(&wanted.namespace, &pod.namespace) && fits(&wanted.name, &pod.name) {
                let opinions = self.fuse.judge(&pod, &settings, now);
                images.extend(opinions.iter().filter_map(|opinion| self.image(&pod, opinion)));
            }
        }
        v1::ListPodsResponse { images }
    }

    fn image(&self, pod: &PodFacts, opinion: &Opinion) -> Option<v1::FailingImage> {
        let Opinion { key, ruling, cause, .. } = opinion;
        let tally = self.fuse.attempts().get(key)?;
        let verdict = self.verdicts.get(&pod.uid).filter(|verdict| verdict.key == *key);
        let mut attempts_by_class = std::collections::HashMap::new();
        for (judged, count) in tally.causes.iter() {
            let sum: &mut u32 =
                attempts_by_class.entry(judged.class.as_str().to_owned()).or_default();
            *sum = sum.saturating_add(count);
        }
        let stage = verdict.map(|verdict| verdict.stage);
        let waits = stage.is_none_or(|stage| stage == VerdictStage::DryRun);
        Some(v1::FailingImage {
            namespace: pod.namespace.clone(),
            pod: pod.name.clone(),
            pod_uid: pod.uid.clone(),
            image: key.image.clone(),
            attempts: tally.attempts,
            attempts_by_class,
            first_attempt: Some(timestamp(tally.first_attempt)),
            last_attempt: Some(timestamp(tally.last_attempt)),
            source: tally.source.as_str().into(),
            class: cause.class.as_str().into(),
            disposition: cause.disposition.as_str().into(),
            rule: cause.rule.clone(),
            host: cause.host.clone().unwrap_or_default(),
            reason: tally.trouble.reason.clone(),
            message: tally.trouble.message.clone(),
            advice: cause.advice.clone(),
            limit: ruling.limit.unwrap_or_default(),
            counted: ruling.counted,
            scope: ruling.scope.clone().unwrap_or_default(),
            outlook: outlook(opinion, stage, tally),
            next_attempt: tally.next_attempt().filter(|_| waits).map(timestamp),
            verdict: stage.map(|stage| stage.as_str().to_owned()).unwrap_or_default(),
            dry_run: ruling.dry_run,
        })
    }

    fn what_if(&self, question: WhatIf) -> v1::WhatIfResponse {
        let now = Timestamp::now();
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
        let troubled = |wanted: &str| {
            self.fuse.breaker().troubled().filter(|(_, state)| state.as_str() == wanted).count()
        };
        self.parts.metrics.breakers(["open", "half_open"].map(|state| (state, troubled(state))));
        let dry_run = self.verdicts.values().filter(|v| v.stage == VerdictStage::DryRun).count();
        self.parts.metrics.dry_run_stuck(dry_run);
    }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// What comes next for a pod, in one sentence.
fn outlook(opinion: &Opinion, stage: Option<VerdictStage>, tally: &Tally) -> String {
    match stage {
        Some(VerdictStage::Decided) => return "the pod is being ended".into(),
        Some(VerdictStage::Written) => {
            return "the pod was ended; whether it stays so is watched".into();
        }
        Some(VerdictStage::Held) => return "the pod was ended".into(),
        Some(VerdictStage::GivenUp) => {
            return "the pod should be ended, but the API server or the kubelet would not have it"
                .into();
        }
        Some(VerdictStage::DryRun) if opinion.ruling.dry_run => {
            return "a dry run would have ended the pod".into();
        }
        // Verdicts are meant by now.
        Some(VerdictStage::DryRun) | None => {}
    }
    let Opinion { judgement, ruling, .. } = opinion;
    let ended = if ruling.dry_run { "would be ended (dry run)" } else { "is ended" };
    match judgement {
        Judgement::Fail => format!("the pod {ended}"),
        Judgement::Wait(until) => format!("the pod {ended} at {until:.0}, unless its image comes"),
        Judgement::Held(held) => held.to_string(),
        Judgement::Report(because) => format!("reported only: {}", because.sentence()),
        Judgement::Leave(Because::BelowLimit) => {
            let left = ruling.limit.unwrap_or_default().saturating_sub(ruling.counted);
            let attempts = if left == 1 { "attempt" } else { "attempts" };
            format!("the pod {ended} after {left} more such {attempts}")
        }
        Judgement::Leave(because) => {
            format!("left alone after {} failed attempts: {}", tally.attempts, because.sentence())
        }
    }
}
