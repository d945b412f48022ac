//! Begins verdicts and takes in what they came to.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use super::{Done, Judge};
use crate::{
    act::{Outcome, VerdictRecord, VerdictStage},
    fuse::{Judgement, Opinion},
    pods::{PodFacts, PodUid},
    policy::Because,
};

/// After a verdict was withdrawn for an outage.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(30);

impl Judge {
    /// Begins, or takes up again, what is due for one pod.
    pub(super) async fn judge(&mut self, pod: &PodFacts) {
        if self.under_way.contains(&pod.uid) {
            // Who asks while it is watched hears that it was written.
            if pod.phase == "Failed"
                && pod.judged
                && let Some(record) = self.verdicts.get_mut(&pod.uid)
            {
                record.stage = VerdictStage::Written;
            }
            return;
        }
        if let Some(record) = self.verdicts.get(&pod.uid) {
            let take_up = match record.stage {
                VerdictStage::Decided | VerdictStage::Written => true,
                VerdictStage::Held => pod.phase != "Failed",
                VerdictStage::DryRun | VerdictStage::GivenUp => false,
            };
            let dry_run = record.stage == VerdictStage::DryRun;
            if take_up {
                let mut record = record.clone();
                if record.stage == VerdictStage::Held {
                    record.stage = VerdictStage::Written;
                }
                self.carry_out(record);
            }
            // Another configuration may mean it.
            if !dry_run {
                return;
            }
        }
        let now = Timestamp::now();
        let settings = Arc::clone(&self.settings);
        // Also of its other images: one verdict ends them all.
        self.waiting.retain(|key, _| key.pod_uid != pod.uid);
        let held_before: BTreeMap<_, _> =
            self.held.extract_if(.., |key, _| key.pod_uid == pod.uid).collect();
        for opinion in self.fuse.judge(pod, &settings, now) {
            self.bad_annotations(pod, &opinion.ruling.bad_annotations);
            let key = opinion.key.clone();
            match opinion.judgement {
                // One image that will not come is enough.
                Judgement::Fail => return self.begin(pod, opinion, now).await,
                Judgement::Wait(until) => drop(self.waiting.insert(key, until)),
                Judgement::Held(held) => {
                    if held_before.get(&key) != Some(&held) {
                        tracing::info!(pod = pod.full_name(), image = key.image, "{held}");
                    }
                    self.waiting.insert(key.clone(), held.until);
                    self.held.insert(key, held);
                }
                Judgement::Report(because) => self.report(pod, &opinion, because),
                Judgement::Leave(because) => {
                    tracing::debug!(
                        pod = pod.full_name(),
                        image = key.image,
                        because = because.as_str(),
                        "left alone"
                    );
                }
            }
        }
    }

    async fn begin(&mut self, pod: &PodFacts, opinion: Opinion, now: Timestamp) {
        let Opinion { key, ruling, cause, .. } = opinion;
        let Some(tally) = self.fuse.attempts().get(&key).cloned() else { return };
        let enforce = !ruling.dry_run;
        if !enforce && self.verdicts.contains_key(&pod.uid) {
            // Told before.
            return;
        }
        let method = self.settings.config.act.method;
        let mut record = VerdictRecord::new(key, tally, cause, now, method);
        if enforce {
            self.fuse.ended(&pod.namespace, &self.settings, now);
            self.keep_caps();
        } else {
            record.stage = VerdictStage::DryRun;
            self.parts.metrics.verdict("dry_run", "dry_run", &pod.namespace);
        }
        tracing::info!(
            pod = pod.full_name(),
            uid = pod.uid,
            image = record.key.image,
            attempts = record.tally.attempts,
            scope = ruling.scope,
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
                let step = present.and_then(|p| self.fuse.set_image_was_present(&key, p));
                self.absorb(step.into_iter().collect()).await;
            }
            Done::Verdict(uid, outcome) => {
                self.under_way.remove(&uid);
                let of = self.verdicts.get(&uid).map(|record| record.tally.namespace.as_str());
                self.parts.metrics.verdict("fail", outcome.as_str(), of.unwrap_or_default());
                let stage = match outcome {
                    Outcome::Held => VerdictStage::Held,
                    Outcome::GivenUp => VerdictStage::GivenUp,
                    Outcome::Gone | Outcome::Withdrawn(_) | Outcome::ImageArrived => {
                        let record = self.verdicts.remove(&uid);
                        if let (Outcome::Withdrawn(Because::RegistryOutage), Some(record)) =
                            (outcome, record)
                        {
                            // The outage's end judges every pod; this is for one that ended meanwhile.
                            self.waiting.insert(record.key, Timestamp::now() + LOOK_AGAIN);
                        }
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
