//! What could speak for a pod, looked at before each write.

use super::{Actor, Outcome, Parts, Round, VerdictRecord};
use crate::{
    pods::PodFacts,
    policy::{Because, Decision},
};

impl Actor {
    /// Looks once more at all that could speak for the pod; `None`: nothing does.
    pub(super) async fn evidence(&self, pod: &PodFacts, record: &VerdictRecord) -> Option<Round> {
        let VerdictRecord { key, tally, .. } = record;
        let (settings, now) = (self.settings(), self.parts.clock.now());
        let ruling = settings.policy.judge(pod, &key.image, tally, now);
        let withdrawn = |because| Some(Round::Done(Outcome::Withdrawn(because)));
        match ruling.decision {
            Decision::Fail if ruling.dry_run => return withdrawn(Because::DryRun),
            // The clock was set back since, so the record's times are no longer the judge's.
            Decision::Fail if record.decided_at > now => return withdrawn(Because::TooEarly),
            Decision::Fail => {}
            Decision::Report(_) if record.released.is_some() && !ruling.dry_run => {}
            Decision::Wait(_) => return withdrawn(Because::TooEarly),
            Decision::Leave(because) | Decision::Report(because) => return withdrawn(because),
        }
        let host = record.cause.as_ref().and_then(|cause| cause.host.as_deref());
        let outage = self.parts.breaker.borrow().holds(
            &settings.config.breaker,
            &key.image,
            host,
            tally.last_attempt,
            now,
        );
        if outage.is_some() && record.released.is_none() {
            // Not waited for here: once it is over the pod is judged by its newest attempt.
            return withdrawn(Because::RegistryOutage);
        }
        if let Some(settles_in) = self.parts.pods.settles_in() {
            let why = "the API server was away: the kubelet may not see a write yet";
            return Some(Round::After(settles_in, why));
        }
        // A name that the kubelet cannot parse can never arrive, and runtimes differ in how they
        // answer a question about it.
        if settings.config.act.check_image && tally.trouble.reason != "InvalidImageName" {
            match self.parts.runtime.has_image(&key.image).await {
                // Present all along and failing all the same, as with imagePullPolicy Always: then
                // its presence says nothing about the next pull.
                Ok(true) if tally.image_was_present != Some(true) => {
                    return Some(Round::Done(Outcome::ImageArrived));
                }
                Ok(_) => {}
                Err(error) => {
                    return Some(Round::Later(format!(
                        "cannot ask the runtime whether the image has arrived: {error}"
                    )));
                }
            }
        }
        // Last, since this takes no time.
        self.pulling(record)
    }

    /// What speaks for a pod of what was heard of its pulls.
    fn pulling(&self, record: &VerdictRecord) -> Option<Round> {
        let Parts { pulls, clock, .. } = &self.parts;
        if let Some(pull) = pulls.of_pod(&record.key.pod_uid) {
            let why = format!("a pull of {} goes on since {:.0}", pull.key.image, pull.since);
            return Some(Round::Later(why));
        }
        // The status may not know yet.
        if pulls.came(&record.key) {
            return Some(Round::Done(Outcome::ImageArrived));
        }
        pulls
            .may_go_on_unheard(&record.tally, clock)
            .then_some(Round::Done(Outcome::Withdrawn(Because::Unheard)))
    }
}
