//! Turns what pod status and the CRI socket say about images into counted attempts per (pod UID,
//! image).
//!
//! In: [`PodFacts`], [`Call`]s and the time. Out: [`Change`]s for the ledger and the judge. Pure.

mod calls;
mod came;
mod causes;
mod exchange;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::{
    calls::{Call, ONE_ATTEMPT},
    came::Came,
    causes::{Causes, Judged},
};
use crate::{
    classify::Class,
    clock::moved,
    pods::{ImageState, PodFacts, PodUid, Trouble},
};

/// The kubelet's first and longest back-off, see `pkg/kubelet/kubelet.go` (`imageBackOffPeriod`,
/// `MaxImageBackOff`).
const FIRST_BACK_OFF: SignedDuration = SignedDuration::from_secs(10);
const LONGEST_BACK_OFF: SignedDuration = SignedDuration::from_secs(300);

/// After so many it no longer grows.
const DOUBLINGS: u32 = 8;

/// Attempts of which the time is kept. With the kubelet's longest back-off of 5 minutes they span
/// about five hours; limits beyond that cannot be tried on them.
pub const MOST_SEEN: usize = 64;

/// A failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it was seen.
    pub at: Timestamp,
    /// Its cause.
    pub class: Class,
}

/// What attempts are counted by; the kubelet's back-off uses the same pair.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PullKey {
    /// UID of the pod that needs the image.
    pub pod_uid: PodUid,
    /// The image as the pod's spec spells it.
    pub image: String,
}

/// The failed attempts of one image in one pod since its last success.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Counted attempts; 1 or more.
    pub attempts: u32,
    /// When the first of them was seen.
    pub first_attempt: Timestamp,
    /// When the last of them was seen.
    pub last_attempt: Timestamp,
    /// The kubelet's reason and text of the last of them.
    pub trouble: Trouble,
    /// The first attempts, at most [`MOST_SEEN`], for those who ask what other limits would have
    /// done.
    #[serde(default)]
    pub seen: Vec<Attempt>,
    /// What was found to be the causes of the attempts.
    #[serde(default)]
    pub causes: Causes,
    /// What the status showed last.
    pub stage: Stage,
    /// Whether the node had the image at the first attempt; unknown without an answer of the
    /// runtime.
    pub image_was_present: Option<bool>,
    /// Where the last attempt was seen first.
    #[serde(default)]
    pub source: Source,
    /// Attempts of that source which the other has not shown yet; the status may lag behind by
    /// several, and each it then shows must not count again.
    #[serde(default)]
    pub unconfirmed: u32,
    /// When the last `PullImage` call of that attempt ended.
    #[serde(default)]
    pub last_call: Option<Timestamp>,
}

/// Where an attempt was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The status of the pod.
    #[default]
    PodStatus,
    /// A `PullImage` call on the CRI socket.
    Wire,
}

impl Source {
    /// The name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PodStatus => "pod-status",
            Self::Wire => "wire",
        }
    }
}

impl Tally {
    /// What the last attempt failed of.
    pub fn cause(&self) -> Judged {
        self.causes.last(self.attempts)
    }

    /// When the kubelet's back-off ends; it tries again within a few seconds of that.
    pub fn next_attempt(&self) -> Option<Timestamp> {
        self.attempt_after(1)
    }

    /// When the last of so many more attempts is due, by the kubelet's back-off.
    pub fn attempt_after(&self, more: u32) -> Option<Timestamp> {
        let grows = (0..more.min(DOUBLINGS)).try_fold(SignedDuration::ZERO, |sum, step| {
            sum.checked_add(back_off(self.attempts.saturating_add(step)))
        })?;
        let rest = i32::try_from(more.saturating_sub(DOUBLINGS)).ok()?;
        let waiting = grows.checked_add(LONGEST_BACK_OFF.checked_mul(rest)?)?;
        self.last_attempt.checked_add(waiting).ok()
    }

    /// Whether the last attempt was a refusal by the kubelet, which did not even ask the runtime for
    /// the image.
    pub fn is_refused(&self) -> bool {
        self.stage == Stage::Refused && self.source == Source::PodStatus
    }

    /// When it is sure that the last attempt is over: until then another credential may be tried,
    /// and what that one meets counts as well.
    pub fn settled_at(&self) -> Option<Timestamp> {
        self.last_call?.checked_add(ONE_ATTEMPT).ok()
    }

    /// Moves every time in it, because the clock was set.
    pub fn shift(&mut self, by: SignedDuration) {
        self.first_attempt = moved(self.first_attempt, by);
        self.last_attempt = moved(self.last_attempt, by);
        self.last_call = self.last_call.map(|at| moved(at, by));
        for attempt in &mut self.seen {
            attempt.at = moved(attempt.at, by);
        }
    }

    /// From the first to the last attempt, in whole seconds.
    pub fn span(&self) -> SignedDuration {
        let span = self.last_attempt.duration_since(self.first_attempt);
        SignedDuration::from_secs(span.as_secs())
    }
}

/// What the status showed last; an attempt is a step into [`Stage::Failed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// The outcome of an attempt.
    Failed,
    /// A refusal that the kubelet repeats at every sync.
    Refused,
    /// Waiting before the next attempt.
    BackingOff,
}

/// What an observation changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// One more attempt.
    Counted(PullKey),
    /// The stage moved; the count is as before.
    Moved(PullKey),
    /// The image was pulled after these failed attempts; the count starts again. The source is where
    /// that was seen.
    Reset(PullKey, Box<Tally>),
}

/// All tallies of this node.
#[derive(Debug, Default)]
pub struct Attempts {
    tallies: BTreeMap<PullKey, Tally>,
    came: Came,
}

impl Attempts {
    /// Goes on from what the ledger kept.
    pub fn new(tallies: BTreeMap<PullKey, Tally>, came: Came) -> Self {
        Self { tallies, came }
    }

    /// The successes that no status shows yet; to be kept like the tallies.
    pub fn came(&self) -> &Came {
        &self.came
    }

    /// The tally of one image in one pod, if it has failed since its last success.
    pub fn get(&self, key: &PullKey) -> Option<&Tally> {
        self.tallies.get(key)
    }

    /// Every tally.
    pub fn iter(&self) -> impl Iterator<Item = (&PullKey, &Tally)> {
        self.tallies.iter()
    }

    /// The tallies of one pod.
    pub fn of_pod<'a>(&'a self, uid: &'a PodUid) -> impl Iterator<Item = (&'a PullKey, &'a Tally)> {
        let first = PullKey { pod_uid: uid.clone(), image: String::new() };
        self.tallies.range(first..).take_while(move |(key, _)| key.pod_uid == *uid)
    }

    /// Moves every time, because the clock was set.
    pub fn shift(&mut self, by: SignedDuration) {
        self.tallies.values_mut().for_each(|tally| tally.shift(by));
        self.came.shift(by);
    }

    /// Notes whether the runtime had the image when its first attempt failed.
    pub fn set_image_was_present(&mut self, key: &PullKey, present: bool) -> Option<Change> {
        let tally = self.tallies.get_mut(key)?;
        tally.image_was_present = Some(present);
        Some(Change::Moved(key.clone()))
    }

    /// Notes what the last attempt failed of, or, said again, what it really failed of: the wire may
    /// show an attempt before the status knows its text.
    pub fn set_cause(&mut self, key: &PullKey, cause: Judged) {
        let Some(tally) = self.tallies.get_mut(key) else { return };
        tally.causes.set_last(tally.attempts, cause);
        let seen = u32::try_from(tally.seen.len()).unwrap_or(u32::MAX);
        if seen == tally.attempts {
            if let Some(last) = tally.seen.last_mut() {
                last.class = cause.class;
            }
        } else if tally.seen.len() < MOST_SEEN {
            tally.seen.push(Attempt { at: tally.last_attempt, class: cause.class });
        }
    }

    /// Takes in a version of a pod.
    pub fn observe(&mut self, pod: &PodFacts, now: Timestamp) -> Vec<Change> {
        self.came.trim(pod, |key| self.tallies.contains_key(key), now);
        let change = |(image, state): (&String, &ImageState)| {
            let key = PullKey { pod_uid: pod.uid.clone(), image: image.clone() };
            self.step(key, pod, state, now)
        };
        let mut changes: Vec<Change> = pod.images.iter().filter_map(change).collect();
        changes.extend(self.no_more_refused(pod));
        changes
    }

    /// What the status no longer shows as refused is not refused again and again.
    fn no_more_refused(&mut self, pod: &PodFacts) -> Vec<Change> {
        let over = |(key, tally): &(&PullKey, &Tally)| {
            tally.stage == Stage::Refused
                && (pod.phase != "Pending" || !pod.images.contains_key(&key.image))
        };
        let over = self.of_pod(&pod.uid).filter(over).map(|(key, _)| key.clone());
        let over: Vec<PullKey> = over.collect();
        for key in &over {
            if let Some(tally) = self.tallies.get_mut(key) {
                tally.stage = Stage::BackingOff;
            }
        }
        over.into_iter().map(Change::Moved).collect()
    }

    fn step(
        &mut self,
        key: PullKey,
        pod: &PodFacts,
        state: &ImageState,
        now: Timestamp,
    ) -> Option<Change> {
        let (stage, trouble) = match state {
            ImageState::Pulled => {
                self.came.forget(&key);
                let tally = self.tallies.remove(&key)?;
                return Some(Change::Reset(key, Box::new(tally)));
            }
            ImageState::Failed(trouble) => (Stage::Failed, trouble),
            ImageState::Refused(trouble) => (Stage::Refused, trouble),
            ImageState::BackingOff(_) => {
                // The attempts before this one were not seen, so they are not counted.
                let Some(tally) = self.tallies.get_mut(&key) else {
                    self.came.shows(&key, Stage::BackingOff, now);
                    return None;
                };
                let moved = tally.stage != Stage::BackingOff;
                tally.stage = Stage::BackingOff;
                return moved.then_some(Change::Moved(key));
            }
        };
        match self.tallies.get_mut(&key) {
            Some(tally) if tally.stage == stage => None,
            // The call that was this attempt has been counted; the status may know its text.
            Some(tally) if tally.unconfirmed > 0 && tally.source == Source::Wire => {
                tally.stage = stage;
                tally.unconfirmed -= 1;
                // A status that lags behind tells of an attempt before.
                if tally.trouble.message.is_empty() && tally.unconfirmed == 0 {
                    tally.trouble = trouble.clone();
                }
                Some(Change::Moved(key))
            }
            // All calls that failed since were shown already, perhaps by what was of before them.
            Some(tally) if stage == Stage::Failed && self.came.may_be_before(&key, now) => {
                tally.stage = stage;
                Some(Change::Moved(key))
            }
            Some(tally) => {
                tally.stage = stage;
                tally.trouble = trouble.clone();
                tally.attempts = tally.attempts.saturating_add(1);
                tally.last_attempt = now;
                tally.unconfirmed = match tally.source {
                    Source::PodStatus => tally.unconfirmed.saturating_add(1),
                    Source::Wire => 1,
                };
                tally.source = Source::PodStatus;
                Some(Change::Counted(key))
            }
            None if self.came.shows(&key, stage, now) => None,
            None => {
                let tally = Tally {
                    namespace: pod.namespace.clone(),
                    pod: pod.name.clone(),
                    attempts: 1,
                    first_attempt: now,
                    last_attempt: now,
                    trouble: trouble.clone(),
                    seen: Vec::new(),
                    causes: Causes::default(),
                    stage,
                    image_was_present: None,
                    source: Source::PodStatus,
                    unconfirmed: 1,
                    last_call: None,
                };
                self.tallies.insert(key.clone(), tally);
                Some(Change::Counted(key))
            }
        }
    }

    /// Counts refusals again that the status still shows after a whole back-off: the kubelet
    /// repeats them at every sync and the status does not change, so pod status alone cannot tell
    /// one from the next. Counting them on the schedule of a real pull keeps the limits' meaning. Where
    /// the last attempt is a call that was heard, the next call is awaited.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Change> {
        let mut changes = Vec::new();
        for (key, tally) in &mut self.tallies {
            if recount_at(tally).is_some_and(|at| at <= now) {
                tally.attempts = tally.attempts.saturating_add(1);
                tally.last_attempt = now;
                changes.push(Change::Counted(key.clone()));
            }
        }
        changes
    }

    /// When [`Attempts::tick`] has something to do.
    pub fn next_tick(&self) -> Option<Timestamp> {
        self.tallies.values().filter_map(recount_at).min()
    }

    /// Drops the tallies of every pod for which `keep` is false, and returns them.
    pub fn retain(&mut self, keep: impl Fn(&PodUid) -> bool) -> Vec<(PullKey, Tally)> {
        self.came.retain(&keep);
        self.tallies.extract_if(.., |key, _| !keep(&key.pod_uid)).collect()
    }
}

/// How long the kubelet waits after so many attempts.
fn back_off(attempts: u32) -> SignedDuration {
    let doublings = attempts.saturating_sub(1).min(DOUBLINGS);
    (FIRST_BACK_OFF * (1 << doublings)).min(LONGEST_BACK_OFF)
}

fn recount_at(tally: &Tally) -> Option<Timestamp> {
    tally.is_refused().then(|| tally.next_attempt())?
}

#[cfg(test)]
mod tests;
