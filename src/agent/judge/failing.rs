//! Answers about pods: what fails, and what comes next.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::Judge;
use crate::{
    act::VerdictStage,
    attempts::{ONE_ATTEMPT, Tally},
    fuse::{By, Judgement, Opinion},
    local::{of_journal, timestamp, v1},
    pods::PodFacts,
    policy::Because,
};

/// Changes that an answer about one pod names.
const MOST_CHANGES: usize = 20;

impl Judge {
    pub(super) fn failing(&mut self, wanted: &v1::ListPodsRequest) -> v1::ListPodsResponse {
        let fits = |wanted: &str, name: &str| wanted.is_empty() || wanted == name;
        let mut images = Vec::new();
        for pod in self.parts.pods.all() {
            if fits(&wanted.namespace, &pod.namespace) && fits(&wanted.name, &pod.name) {
                images.extend(self.failing_of(&pod));
            }
        }
        v1::ListPodsResponse { images, holdup: self.holdup.clone().unwrap_or_default() }
    }

    pub(super) fn failing_of(&mut self, pod: &PodFacts) -> Vec<v1::FailingImage> {
        let opinions = self.opinions(pod, self.now());
        opinions.iter().filter_map(|opinion| self.image(pod, opinion)).collect()
    }

    /// A pod of this node, the newest if a deleted one of that name still exists.
    pub(super) fn find_pod(&self, namespace: &str, name: &str) -> Option<PodFacts> {
        let pods = self.parts.pods.all().into_iter();
        pods.filter(|pod| pod.namespace == namespace && pod.name == name)
            .min_by_key(|pod| pod.deleting)
    }

    pub(super) fn pod(&mut self, wanted: &v1::GetPodRequest) -> Option<v1::GetPodResponse> {
        let pod = self.find_pod(&wanted.namespace, &wanted.name)?;
        let images = self.failing_of(&pod);
        let all = self.journal.since(Timestamp::MIN);
        let changes: Vec<_> = all.filter(|(_, change)| change.pod.2 == pod.uid).collect();
        let skipped = changes.len().saturating_sub(MOST_CHANGES);
        let changes = changes.into_iter().skip(skipped).map(|(n, change)| of_journal(n, change));
        let changes = changes.collect();
        Some(v1::GetPodResponse {
            outlook: self.outlook_of(&pod, &images),
            namespace: pod.namespace,
            name: pod.name,
            uid: pod.uid,
            phase: pod.phase,
            images,
            pulls: Vec::new(),
            changes,
        })
    }

    /// What comes next for a pod, in one sentence.
    fn outlook_of(&self, pod: &PodFacts, images: &[v1::FailingImage]) -> String {
        if let Some(image) = images.iter().min_by_key(|image| urgency(image)) {
            return image.outlook.clone();
        }
        if let Some(verdict) = self.verdicts.get(&pod.uid)
            && pod.judged
        {
            return format!("the pod was ended: {}", verdict.text());
        }
        if pod.phase != "Pending" {
            return format!("no image of it fails: the pod is {}", pod.phase);
        }
        if let Some(pull) = self.parts.pulls.of_pod(&pod.uid) {
            return format!("{} is being pulled since {:.0}", pull.key.image, pull.since);
        }
        if let Some(holdup) = self.holdup.as_ref().filter(|_| pod.waits) {
            return format!("it waits for its turn: {holdup}");
        }
        "no image of it has failed; it is Pending for another reason, which `kubectl describe pod` \
         may tell"
            .into()
    }

    fn image(&self, pod: &PodFacts, opinion: &Opinion) -> Option<v1::FailingImage> {
        let Opinion { key, ruling, cause, judgement } = opinion;
        let tally = self.fuse.attempts().get(key)?;
        let verdict = self.verdicts.get(&pod.uid).filter(|verdict| verdict.key == *key);
        let mut attempts_by_class = HashMap::new();
        for (judged, count) in tally.causes.iter() {
            let sum: &mut u32 =
                attempts_by_class.entry(judged.class.as_str().to_owned()).or_default();
            *sum = sum.saturating_add(count);
        }
        let stage = verdict.map(|verdict| verdict.stage);
        let waits = stage.is_none_or(|stage| stage == VerdictStage::DryRun);
        let (decision, because) = if waits { words(judgement) } else { ("fail", "") };
        let held = match judgement {
            Judgement::Held(held) if waits => Some(held),
            _ => None,
        };
        let held_by = match held.map(|held| &held.by) {
            Some(By::Breaker { registry, .. }) => registry.clone(),
            Some(By::Cap(_) | By::Unheard) | None => String::new(),
        };
        let pull = self.parts.pulls.of_pod(&pod.uid).filter(|pull| pull.key == *key);
        let only_reported = ruling.only_reported.map(Because::as_str);
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
            decision: decision.into(),
            because: because.into(),
            held_by,
            held_until: held.map(|held| timestamp(held.until)),
            verdict_at: verdict_at(opinion, tally).filter(|_| waits).map(timestamp),
            pulling_since: pull.map(|pull| timestamp(pull.since)),
            released: self.fuse.released(&pod.uid).is_some(),
            only_reported: only_reported.unwrap_or_default().into(),
        })
    }
}

/// What is done about an image, and why not more, in one word each.
fn words(judgement: &Judgement) -> (&'static str, &'static str) {
    match judgement {
        Judgement::Fail => ("fail", ""),
        Judgement::Wait(_) => ("wait", ""),
        Judgement::Held(held) => ("held", held.by.as_str()),
        Judgement::Report(because) => ("report", because.as_str()),
        Judgement::Leave(because) => ("leave", because.as_str()),
    }
}

/// Of several images of a pod the one with the smallest decides what becomes of it.
fn urgency(image: &v1::FailingImage) -> (u8, i64) {
    let at = image.verdict_at.map_or(i64::MAX, |at| at.seconds);
    let rank = match image.decision.as_str() {
        "fail" => 0,
        "wait" => 1,
        "held" => 2,
        _ if image.verdict_at.is_some() => 3,
        "report" => 4,
        _ => 5,
    };
    (rank, at)
}

/// When the pod is ended, if it goes on as it did.
fn verdict_at(opinion: &Opinion, tally: &Tally) -> Option<Timestamp> {
    match &opinion.judgement {
        Judgement::Wait(until) => Some(*until),
        Judgement::Leave(Because::BelowLimit) if opinion.ruling.only_reported.is_none() => {
            let settles =
                if tally.last_call.is_some() { ONE_ATTEMPT } else { SignedDuration::ZERO };
            opinion.ruling.reached_at?.checked_add(settles).ok()
        }
        Judgement::Fail | Judgement::Held(_) | Judgement::Report(_) | Judgement::Leave(_) => None,
    }
}

/// What comes next for one image of a pod, in one sentence.
pub(super) fn outlook(opinion: &Opinion, stage: Option<VerdictStage>, tally: &Tally) -> String {
    match stage {
        Some(VerdictStage::Decided) => return "the pod is being ended".into(),
        Some(VerdictStage::Written) => {
            return "the pod was ended; whether it stays so is watched".into();
        }
        Some(VerdictStage::Held) => return "the pod was ended".into(),
        Some(VerdictStage::GivenUp) => {
            return "the pod should be ended, but the API server or the kubelet would not have it; \
                    `pullfuse release` tries again"
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
            match ruling.only_reported {
                None => format!("the pod {ended} after {left} more such {attempts}"),
                Some(because) => format!(
                    "the pod is reported, not ended, after {left} more such {attempts}: {}",
                    because.sentence()
                ),
            }
        }
        Judgement::Leave(because) => {
            format!("left alone after {} failed attempts: {}", tally.attempts, because.sentence())
        }
    }
}
