//! Tells people what is no verdict: outages, limits that are only reported, annotations that are not
//! understood.

use super::{Done, Judge};
use crate::{
    events::{Note, Subject, digest},
    fuse::Opinion,
    journal::{Change, Kind},
    pods::PodFacts,
    policy::{
        Because,
        breaker::{State, Transition},
    },
};

impl Judge {
    pub(super) fn tell(&mut self, note: Note) {
        let events = self.parts.events.clone();
        self.tasks.spawn(async move {
            events.tell(&note).await;
            Done::Told
        });
    }

    /// What happened again too soon after it was told.
    pub(super) fn tell_rest(&mut self) {
        if self.parts.events.has_rest() {
            let events = self.parts.events.clone();
            self.tasks.spawn(async move {
                events.tell_rest().await;
                Done::Told
            });
        }
    }

    /// A registry seems to be out of order, or no longer does.
    pub(super) fn breaker_changed(&mut self, transition: &Transition) {
        self.judge_all = true;
        let Transition { registry, to, why, at, .. } = transition;
        self.parts.metrics.breaker_changed(to.as_str());
        let text = transition.text();
        let open = matches!(to, State::Open { .. });
        let change = Change::of_node(*at, Kind::Breaker, &text);
        self.note(Change { registry: registry.clone(), ..change });
        if open {
            tracing::warn!(registry, breaker = to.as_str(), why = why.as_str(), "{text}");
        } else {
            tracing::info!(registry, breaker = to.as_str(), why = why.as_str(), "{text}");
        }
        let (reason, action) = match to {
            State::Open { .. } => ("RegistryOutage", "HoldVerdicts"),
            State::HalfOpen { .. } => ("RegistryRecovering", "HoldVerdicts"),
            State::Closed => ("RegistryOutageOver", "JudgePods"),
        };
        self.tell(Note {
            subject: Subject::Node,
            warning: open,
            reason,
            action,
            text,
            key: format!("{}-{}", to.as_str().replace('_', "-"), digest(registry)),
            since: Some(*at),
        });
    }

    /// The limits are reached, and the pod is left alone all the same.
    pub(super) fn report(&mut self, pod: &PodFacts, opinion: &Opinion, because: Because) {
        if opinion.ruling.dry_run || !self.reported.insert(opinion.key.clone()) {
            return;
        }
        let Some(tally) = self.fuse.attempts().get(&opinion.key) else { return };
        let first_attempt = tally.first_attempt;
        self.parts.metrics.verdict("report", "reported", &pod.namespace);
        let text = format!(
            "Image \"{}\" could not be pulled: {} failed attempts, the last of cause {}: {}. The pod \
             is left alone: {}. {}: {}",
            opinion.key.image,
            tally.attempts,
            opinion.cause.class.as_str(),
            opinion.cause.advice,
            because.sentence(),
            tally.trouble.reason,
            tally.trouble.message,
        );
        tracing::info!(pod = pod.full_name(), because = because.as_str(), "reported: {text}");
        let left_alone = format!("left alone: {}", because.sentence());
        let change = Change::of_image(self.now(), Kind::Reported, &opinion.key, tally, &left_alone);
        self.tell(Note {
            subject: subject(pod),
            warning: true,
            reason: "ImagePullFailing",
            action: "Report",
            text,
            key: format!("report-{}-{}", pod.uid, digest(&opinion.key.image)),
            // Once more after its image came and went.
            since: Some(first_attempt),
        });
        self.note(change);
    }

    /// An annotation of the pod cannot be followed, or none any more.
    pub(super) fn bad_annotations(&mut self, pod: &PodFacts, sentences: &[String]) {
        let text = sentences.join("; ");
        let before = self.told_annotations.insert(pod.uid.clone(), text.clone());
        if text.is_empty() || before.as_ref() == Some(&text) {
            return;
        }
        tracing::warn!(pod = pod.full_name(), "{text}");
        self.tell(Note {
            subject: subject(pod),
            warning: true,
            reason: "BadAnnotation",
            action: "UseDefault",
            // Another bad value is another Event.
            key: format!("annotation-{}-{}", pod.uid, digest(&text)),
            // Of a pod that an earlier agent may have looked at nobody knows.
            since: before.map(|_| self.now()),
            text,
        });
    }
}

pub(super) fn subject(pod: &PodFacts) -> Subject {
    Subject::Pod { namespace: pod.namespace.clone(), name: pod.name.clone(), uid: pod.uid.clone() }
}
