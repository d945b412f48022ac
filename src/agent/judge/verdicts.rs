//! Begins verdicts and takes in what they came to.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use super::{Done, Judge, Parts};
use crate::{
    act::{Outcome, VerdictRecord, VerdictStage},
    faultpoint::{Point, reached},
    fuse::{By, Held, Judgement, Opinion},
    journal::{Change, Kind},
    pods::{PodFacts, PodUid},
};

/// After a verdict was withdrawn, and while a pull may go on that nobody heard begin.
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
            if take_up && !self.unsaved.verdicts.contains_key(&pod.uid) {
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
        let now = self.now();
        // Also of its other images: one verdict ends them all.
        self.waiting.retain(|key, _| key.pod_uid != pod.uid);
        let held_before: BTreeMap<_, _> =
            self.held.extract_if(.., |key, _| key.pod_uid == pod.uid).collect();
        for opinion in self.opinions(pod, now) {
            self.bad_annotations(pod, &opinion.ruling.bad_annotations);
            let key = opinion.key.clone();
            match opinion.judgement {
                // One image that will not come is enough.
                Judgement::Fail => return self.begin(pod, opinion, now).await,
                Judgement::Wait(until) => drop(self.waiting.insert(key, until)),
                Judgement::Held(held) => {
                    let before = held_before.get(&key);
                    if before.is_none_or(|before| before.by != held.by)
                        && let Some(tally) = self.fuse.attempts().get(&key)
                    {
                        let text = held.to_string();
                        tracing::info!(pod = pod.full_name(), image = key.image, "{text}");
                        self.note(Change::of_image(now, Kind::Held, &key, tally, &text));
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

    /// What is to be done about each failing image of a pod. A verdict waits for the next outcome if
    /// the kubelet may be pulling since before anybody listened.
    pub(super) fn opinions(&mut self, pod: &PodFacts, now: Timestamp) -> Vec<Opinion> {
        let settings = Arc::clone(&self.settings);
        let mut opinions = self.fuse.judge(pod, &settings, now);
        let Parts { pulls, clock, .. } = &self.parts;
        for opinion in &mut opinions {
            let tally = self.fuse.attempts().get(&opinion.key);
            if opinion.judgement == Judgement::Fail
                && tally.is_some_and(|tally| pulls.may_go_on_unheard(tally, clock))
            {
                let until = now.checked_add(LOOK_AGAIN).unwrap_or(now);
                opinion.judgement = Judgement::Held(Held { by: By::Unheard, until });
            }
        }
        opinions
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
        record.released = self.fuse.released(&pod.uid).filter(|_| enforce);
        let kind = if enforce { Kind::Verdict } else { Kind::DryRun };
        let text = match (enforce, record.released) {
            (false, _) => "a dry run would end the pod".into(),
            (true, None) => "the pod is to be ended".into(),
            (true, Some(by)) => format!("the pod is to be ended, released by user {}", by.uid),
        };
        self.note(Change::of_image(now, kind, &record.key, &record.tally, &text));
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
        reached(Point::Decided);
        self.store(record).await;
    }

    /// Stores a verdict, and carries it out if it is meant; what cannot be stored is taken up once it
    /// is.
    pub(super) async fn store(&mut self, record: VerdictRecord) {
        let uid = record.key.pod_uid.clone();
        self.verdicts.insert(uid.clone(), record.clone());
        self.unsaved.verdicts.insert(uid.clone(), Some(record.clone()));
        self.save().await;
        if record.stage == VerdictStage::Decided && !self.unsaved.verdicts.contains_key(&uid) {
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
                self.note_outcome(&uid, outcome);
                // A pod that went away while its verdict was carried out is not told of again.
                let there = self.parts.pods.get(&uid).is_some();
                let stage = match outcome {
                    Outcome::Held if there => VerdictStage::Held,
                    Outcome::GivenUp if there => VerdictStage::GivenUp,
                    Outcome::Held | Outcome::GivenUp => {
                        self.verdicts.remove(&uid);
                        self.unsaved.verdicts.insert(uid, None);
                        return self.save().await;
                    }
                    Outcome::Gone | Outcome::Withdrawn(_) | Outcome::ImageArrived => {
                        let record = self.verdicts.remove(&uid);
                        if let Some(record) = record.filter(|r| r.stage == VerdictStage::Decided) {
                            // Nobody was ended.
                            let VerdictRecord { key, tally, decided_at, .. } = record;
                            self.fuse.not_ended(&tally.namespace, decided_at);
                            self.keep_caps();
                            // What changed meanwhile was seen and left to the verdict.
                            if let Outcome::Withdrawn(_) = outcome {
                                self.waiting.insert(key, self.now() + LOOK_AGAIN);
                            }
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

    fn note_outcome(&mut self, uid: &PodUid, outcome: Outcome) {
        let (kind, text) = match outcome {
            Outcome::Held => (Kind::Ended, "the pod was ended".to_owned()),
            Outcome::Gone => (Kind::Withdrawn, "the pod is gone".into()),
            Outcome::Withdrawn(because) => (Kind::Withdrawn, because.sentence().into()),
            Outcome::ImageArrived => (Kind::Withdrawn, "the image has arrived".into()),
            Outcome::GivenUp => {
                (Kind::GivenUp, "the API server or the kubelet would not have it".into())
            }
        };
        let Some(record) = self.verdicts.get(uid) else { return };
        let change = Change::of_image(self.now(), kind, &record.key, &record.tally, &text);
        self.note(change);
    }

    fn set_stage(&mut self, uid: &PodUid, stage: VerdictStage) {
        if let Some(record) = self.verdicts.get_mut(uid) {
            record.stage = stage;
            self.unsaved.verdicts.insert(uid.clone(), Some(record.clone()));
        }
    }
}
