//! Begins verdicts and takes in what they came to.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Done, Judge};
use crate::{
    act::{Outcome, VerdictRecord, VerdictStage},
    attempts::PullKey,
    pods::{PodFacts, PodUid},
    policy::Decision,
};

impl Judge {
    /// Begins, or takes up again, what is due for one pod.
    pub(super) async fn judge(&mut self, pod: &PodFacts) {
        if self.under_way.contains(&pod.uid) {
            return;
        }
        if let Some(record) = self.verdicts.get(&pod.uid) {
            let take_up = match record.stage {
                VerdictStage::Decided | VerdictStage::Written => true,
                VerdictStage::Held => pod.phase != "Failed",
                VerdictStage::DryRun | VerdictStage::GivenUp => false,
            };
            if take_up {
                let mut record = record.clone();
                if record.stage == VerdictStage::Held {
                    record.stage = VerdictStage::Written;
                }
                self.carry_out(record);
            }
            return;
        }
        let now = Timestamp::now();
        for image in pod.images.keys() {
            let key = PullKey { pod_uid: pod.uid.clone(), image: image.clone() };
            let Some(tally) = self.attempts.get(&key) else { continue };
            let ruling = self.parts.policy.judge(pod, image, tally, now);
            match ruling.decision {
                Decision::Fail => {
                    let method = self.parts.config.act.method;
                    let record = VerdictRecord::new(key, tally.clone(), now, method);
                    return self.begin(record, pod, ruling.dry_run).await;
                }
                Decision::Wait(until) => {
                    self.waiting.insert(key, until);
                }
                Decision::Leave(because) | Decision::Report(because) => {
                    tracing::debug!(
                        pod = pod.full_name(),
                        image,
                        attempts = tally.attempts,
                        because = because.as_str(),
                        "left alone"
                    );
                    self.waiting.remove(&key);
                }
            }
        }
    }

    async fn begin(&mut self, mut record: VerdictRecord, pod: &PodFacts, dry_run: bool) {
        let enforce = !dry_run;
        if !enforce {
            record.stage = VerdictStage::DryRun;
            self.parts.act_metrics.verdict("dry_run");
        }
        tracing::info!(
            pod = pod.full_name(),
            uid = pod.uid,
            image = record.key.image,
            attempts = record.tally.attempts,
            enforce,
            "verdict: {}",
            record.text()
        );
        self.verdicts.insert(pod.uid.clone(), record.clone());
        self.unsaved.verdicts.insert(pod.uid.clone(), Some(record.clone()));
        self.save().await;
        if enforce {
            self.carry_out(record);
        }
    }

    fn carry_out(&mut self, record: VerdictRecord) {
        let uid = record.key.pod_uid.clone();
        self.under_way.insert(uid.clone());
        let actor = Arc::clone(&self.parts.actor);
        self.tasks.spawn(async move { Done::Verdict(uid, actor.carry_out(record).await) });
    }

    pub(super) async fn on_done(&mut self, done: Done) {
        match done {
            Done::Told => {}
            Done::Presence(key, present) => {
                let change = present.and_then(|p| self.attempts.set_image_was_present(&key, p));
                self.absorb(change.into_iter().collect()).await;
            }
            Done::Verdict(uid, outcome) => {
                self.under_way.remove(&uid);
                let stage = match outcome {
                    Outcome::Held => VerdictStage::Held,
                    Outcome::GivenUp => VerdictStage::GivenUp,
                    Outcome::Gone | Outcome::Withdrawn(_) | Outcome::ImageArrived => {
                        self.verdicts.remove(&uid);
                        self.unsaved.verdicts.insert(uid, None);
                        return self.save().await;
                    }
                };
                self.set_stage(&uid, stage);
                self.save().await;
            }
        }
    }

    fn set_stage(&mut self, uid: &PodUid, stage: VerdictStage) {
        if let Some(record) = self.verdicts.get_mut(uid) {
            record.stage = stage;
            self.unsaved.verdicts.insert(uid.clone(), Some(record.clone()));
        }
    }
}
