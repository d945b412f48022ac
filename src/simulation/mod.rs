//! What pullfuse would have done over a stream of calls, in simulated time.
//!
//! In: [`Settings`], [`Call`]s in the order of their ends, and the time. Out: a [`Fate`] for each
//! image of each pod. Pure; `replay` plays recordings through it.
//!
//! A call tells of its pod only UID, namespace and name. So a pod is taken for Pending with
//! restartPolicy Never, without labels and owner; and as nobody looks at a status, an error whose
//! text is not on the wire stays unknown.

mod fate;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

pub use self::fate::{Fate, Outlook};
use crate::{
    attempts::{Call, PullKey},
    fuse::{Fuse, Judgement, Opinion, Step},
    pods::{ImageState, PodFacts, PodUid, Trouble},
    settings::Settings,
};

/// The loop of the agent's judge, without an agent.
pub struct Simulation {
    settings: Settings,
    fuse: Fuse,
    now: Timestamp,
    pods: BTreeMap<PodUid, PodFacts>,
    /// Pods for which a pull goes on: none of them is ended.
    pulling: BTreeSet<PodUid>,
    /// When to judge again what waits.
    due: BTreeMap<PullKey, Timestamp>,
    /// Pods of which it was decided that they are ended.
    decided: BTreeSet<PodUid>,
    fates: BTreeMap<PullKey, Fate>,
    judgements: u64,
}

impl Simulation {
    /// Nothing has happened yet.
    pub fn new(settings: Settings, start: Timestamp) -> Self {
        Self {
            settings,
            fuse: Fuse::default(),
            now: start,
            pods: BTreeMap::new(),
            pulling: BTreeSet::new(),
            due: BTreeMap::new(),
            decided: BTreeSet::new(),
            fates: BTreeMap::new(),
            judgements: 0,
        }
    }

    /// Takes in a call, at the time when it ended.
    pub fn hear(&mut self, call: Call) {
        self.pass(call.ended);
        let (key, came) = (call.key.clone(), call.error.is_none());
        let pod = self
            .pods
            .entry(key.pod_uid.clone())
            .or_insert_with(|| PodFacts::pending(&call.namespace, &call.pod, &key.pod_uid));
        pod.images.insert(key.image.clone(), state(call.error.as_deref()));
        if came {
            let fate = self.fates.entry(key.clone()).or_insert_with(|| pulled(&call));
            fate.came.get_or_insert(self.now);
        }
        if pod.phase != PENDING {
            // The pod would have been gone, and this call never made.
            return;
        }
        let steps = self.fuse.observe_call(call, &self.settings, self.now);
        let outages_changed = self.absorb(steps);
        self.judge(&key.pod_uid);
        if outages_changed {
            self.judge_all();
        }
    }

    /// Lets time pass, and does what is due until then. The clock never goes back.
    pub fn pass(&mut self, until: Timestamp) {
        while let Some(at) = self.next().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            let steps = self.fuse.tick(&self.settings, self.now);
            let outages_changed = self.absorb(steps);
            let mut due: BTreeSet<PodUid> = BTreeSet::new();
            for (key, at) in &self.due {
                if *at <= self.now && !self.pulling.contains(&key.pod_uid) {
                    due.insert(key.pod_uid.clone());
                }
            }
            self.judge_in_order(due);
            if outages_changed {
                self.judge_all();
            }
        }
        self.now = self.now.max(until);
    }

    /// Drops a pod that is gone; what became of its images stays known. Returns what had been counted.
    pub fn forget(&mut self, pod: &PodUid) -> Vec<Step> {
        self.pods.remove(pod);
        self.decided.remove(pod);
        self.pulling.remove(pod);
        self.due.retain(|key, _| key.pod_uid != *pod);
        self.fuse.retain(|known| known != pod)
    }

    /// Replaces the pods for which a pull goes on now.
    pub fn set_pulling(&mut self, pods: BTreeSet<PodUid>) {
        self.pulling = pods;
    }

    /// What has become of each image of each pod so far.
    pub fn fates(&self) -> impl Iterator<Item = &Fate> {
        self.fates.values()
    }

    /// What is known of one image of one pod.
    pub fn fate(&self, key: &PullKey) -> Option<&Fate> {
        self.fates.get(key)
    }

    /// What was counted and is not over.
    pub fn fuse(&self) -> &Fuse {
        &self.fuse
    }

    /// How often a pod was judged: what all this costs.
    pub fn judgements(&self) -> u64 {
        self.judgements
    }

    /// When something is due. What waits for the end of a pull waits for a call.
    fn next(&self) -> Option<Timestamp> {
        let due = self.due.iter().filter(|(key, _)| !self.pulling.contains(&key.pod_uid));
        due.map(|(_, at)| *at).chain(self.fuse.next_tick(&self.settings)).min()
    }

    /// Notes what became of images; whether an outage began or ended.
    fn absorb(&mut self, steps: Vec<Step>) -> bool {
        let mut outages_changed = false;
        for step in steps {
            match step {
                Step::Reset(key, _) => {
                    self.due.remove(&key);
                    if let Some(fate) = self.fates.get_mut(&key).filter(|fate| !fate.is_verdict()) {
                        fate.outlook = Outlook::Recovered;
                    }
                }
                Step::Breaker(_) => outages_changed = true,
                Step::Counted(..) | Step::Moved(_) | Step::Forgotten(..) => {}
            }
        }
        outages_changed
    }

    fn judge_all(&mut self) {
        let failing = self.fuse.attempts().iter().map(|(key, _)| key.pod_uid.clone()).collect();
        self.judge_in_order(failing);
    }

    fn judge_in_order(&mut self, pods: BTreeSet<PodUid>) {
        let mut pods: Vec<PodUid> = pods.into_iter().collect();
        pods.sort_by_cached_key(|uid| self.fuse.failing_since(uid));
        for uid in pods {
            self.judge(&uid);
        }
    }

    fn judge(&mut self, uid: &PodUid) {
        let Some(pod) = self.pods.get(uid) else { return };
        self.judgements += 1;
        let opinions = self.fuse.judge(pod, &self.settings, self.now);
        for opinion in opinions {
            self.due.remove(&opinion.key);
            let outlook = match &opinion.judgement {
                Judgement::Fail if self.pulling.contains(uid) => Outlook::Pulling,
                Judgement::Fail => return self.decide(opinion),
                Judgement::Wait(until) => Outlook::Wait { until: *until },
                Judgement::Held(held) => Outlook::Held(held.clone()),
                Judgement::Report(because) => Outlook::Report(*because),
                Judgement::Leave(because) => Outlook::Leave(*because),
            };
            let again = if outlook == Outlook::Pulling { Some(self.now) } else { outlook.until() };
            self.due.extend(again.map(|at| (opinion.key.clone(), at)));
            self.note(opinion, outlook);
        }
    }

    fn decide(&mut self, opinion: Opinion) {
        let (uid, dry_run) = (opinion.key.pod_uid.clone(), opinion.ruling.dry_run);
        if !self.decided.insert(uid.clone()) {
            // A dry run says it once.
            return;
        }
        self.note(opinion, Outlook::Fail { at: self.now });
        if dry_run {
            return;
        }
        if let Some(pod) = self.pods.get_mut(&uid) {
            self.fuse.ended(&pod.namespace, &self.settings, self.now);
            pod.phase = FAILED.into();
        }
        // What this means for its other images.
        self.judge(&uid);
        self.due.retain(|key, _| key.pod_uid != uid);
        self.fuse.retain(|known| *known != uid);
    }

    /// A verdict stays, whatever comes after it.
    fn note(&mut self, opinion: Opinion, outlook: Outlook) {
        let Some(tally) = self.fuse.attempts().get(&opinion.key) else { return };
        if !self.fates.get(&opinion.key).is_some_and(Fate::is_verdict) {
            let fate = Fate::of(opinion, tally, outlook);
            self.fates.insert(fate.key.clone(), fate);
        }
    }
}

const PENDING: &str = "Pending";
const FAILED: &str = "Failed";

fn state(error: Option<&str>) -> ImageState {
    error.map_or(ImageState::Pulled, |message| {
        ImageState::Failed(Trouble { reason: "ErrImagePull".into(), message: message.into() })
    })
}

fn pulled(call: &Call) -> Fate {
    Fate {
        key: call.key.clone(),
        namespace: call.namespace.clone(),
        pod: call.pod.clone(),
        attempts: 0,
        counted: 0,
        limit: None,
        scope: None,
        dry_run: false,
        cause: None,
        outlook: Outlook::Pulled,
        came: None,
    }
}

#[cfg(test)]
mod churn_tests;
#[cfg(test)]
mod scale_tests;
#[cfg(test)]
mod tests;
