//! From what was seen to what is to be done: attempts are counted, their causes found, outages told
//! from missing images, and each pod judged.
//!
//! In: [`PodFacts`], [`Call`]s, [`Settings`] and the time. Out: [`Step`]s to be kept and told, and
//! an [`Opinion`] on each failing image of a pod. Pure: the agent plays it in real time, `replay` a
//! recording.

mod held;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

pub use self::held::{By, Held, Released};
use crate::{
    attempts::{Attempts, Call, Change, Judged, PullKey, Source, Tally},
    classify::{Cause, Failure},
    pods::{PodFacts, PodUid, Trouble},
    policy::{
        Because, Decision, Ruling,
        breaker::{self, Breaker, Transition},
        caps::Caps,
    },
    settings::Settings,
};

/// A success that is older than this does not speak for a registry.
const RECENT: SignedDuration = SignedDuration::from_mins(1);

/// Something that changed, to be kept and told.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// One more attempt, and its cause as far as it is known.
    Counted(PullKey, Cause),
    /// The tally changed, but not its count.
    Moved(PullKey),
    /// The image was pulled after these attempts; the count starts again.
    Reset(PullKey, Box<Tally>),
    /// The pod is gone.
    Forgotten(PullKey, Box<Tally>),
    /// The breaker of a registry changed.
    Breaker(Transition),
}

/// What is to be done about one image of one pod, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Opinion {
    /// The pod and the image.
    pub key: PullKey,
    /// What is to be done.
    pub judgement: Judgement,
    /// What the policy says.
    pub ruling: Ruling,
    /// The cause of the last attempt.
    pub cause: Cause,
}

/// What is to be done about one image of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// End the pod.
    Fail,
    /// The count is reached, the time is not, or another credential may be tried yet: ask again then.
    Wait(Timestamp),
    /// The pod would be ended, but for an outage or a cap.
    Held(Held),
    /// Tell that the limits are reached, and leave the pod alone.
    Report(Because),
    /// Leave the pod alone.
    Leave(Because),
}

/// All that judging remembers.
#[derive(Debug, Default)]
pub struct Fuse {
    attempts: Attempts,
    breaker: Breaker,
    caps: Caps,
    /// The cause of each last attempt, with what it was found in: a text seldom changes from one
    /// attempt to the next, and reading it is the dearest step.
    causes: BTreeMap<PullKey, (Trouble, Cause)>,
    /// Pods that an operator let go on.
    released: BTreeMap<PodUid, Released>,
}

impl Fuse {
    /// Goes on from what the ledger kept.
    pub fn new(attempts: Attempts, breaker: Breaker, caps: Caps) -> Self {
        Self { attempts, breaker, caps, ..Self::default() }
    }

    /// Every image that fails now.
    pub fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    /// When the first attempt of a pod's images failed that still do. Who has waited longest is
    /// judged first, so that nobody is overtaken who waits for room under a cap.
    pub fn failing_since(&self, pod: &PodUid) -> Option<Timestamp> {
        self.attempts.of_pod(pod).map(|(_, tally)| tally.first_attempt).min()
    }

    /// The outages.
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// The verdicts of the last window.
    pub fn caps(&self) -> &Caps {
        &self.caps
    }

    /// Images of which a cause is kept.
    #[cfg(test)]
    pub(crate) fn causes_kept(&self) -> usize {
        self.causes.len()
    }

    /// Takes in a version of a pod.
    pub fn observe(&mut self, pod: &PodFacts, settings: &Settings, now: Timestamp) -> Vec<Step> {
        let changes = self.attempts.observe(pod, now);
        self.take_in(changes, settings, now)
    }

    /// Takes in a call seen on the CRI socket.
    pub fn observe_call(&mut self, call: Call, settings: &Settings, now: Timestamp) -> Vec<Step> {
        let mut steps = Vec::new();
        // One of a pod that was unknown until now may be long past, and tell nothing of today.
        if call.error.is_none() && now.duration_since(call.ended) < RECENT {
            self.came(&call.key.image, settings, now, &mut steps);
        }
        let change = self.attempts.observe_call(call);
        steps.extend(self.take_in(change.into_iter().collect(), settings, now));
        steps
    }

    /// Notes whether the runtime had the image when its first attempt failed.
    pub fn set_image_was_present(&mut self, key: &PullKey, present: bool) -> Option<Step> {
        self.attempts.set_image_was_present(key, present).map(|_| Step::Moved(key.clone()))
    }

    /// Looks again for the cause of each image's last attempt, by other rules. To be called whenever
    /// the settings have changed.
    pub fn look_again(&mut self, settings: &Settings, now: Timestamp) -> Vec<Step> {
        self.causes.clear();
        let all: Vec<PullKey> = self.attempts.iter().map(|(key, _)| key.clone()).collect();
        self.take_in(all.into_iter().map(Change::Moved).collect(), settings, now)
    }

    /// Moves every time, because the clock was set: no time has passed by that.
    pub fn shift(&mut self, by: SignedDuration) {
        self.attempts.shift(by);
        self.breaker.shift(by);
        self.caps.shift(by);
    }

    /// Takes in that time passes.
    pub fn tick(&mut self, settings: &Settings, now: Timestamp) -> Vec<Step> {
        let breaker = self.breaker.advance(&settings.config.breaker, now);
        let changes = self.attempts.tick(now);
        let steps = self.take_in(changes, settings, now);
        breaker.into_iter().map(Step::Breaker).chain(steps).collect()
    }

    /// When [`Fuse::tick`] has something to do.
    pub fn next_tick(&self, settings: &Settings) -> Option<Timestamp> {
        let breaker = self.breaker.next(&settings.config.breaker);
        self.attempts.next_tick().into_iter().chain(breaker).min()
    }

    /// Drops what is known of every pod for which `keep` is false.
    pub fn retain(&mut self, keep: impl Fn(&PodUid) -> bool) -> Vec<Step> {
        let gone = self.attempts.retain(&keep).into_iter();
        self.causes.retain(|key, _| keep(&key.pod_uid));
        self.released.retain(|uid, _| keep(uid));
        gone.map(|(key, tally)| Step::Forgotten(key, Box::new(tally))).collect()
    }

    /// Judges every failing image of a pod.
    pub fn judge(&mut self, pod: &PodFacts, settings: &Settings, now: Timestamp) -> Vec<Opinion> {
        let mut opinions = Vec::new();
        for image in pod.images.keys() {
            let key = PullKey { pod_uid: pod.uid.clone(), image: image.clone() };
            let Some(cause) = self.cause(&key, settings) else { continue };
            let Some(tally) = self.attempts.get(&key) else { continue };
            let ruling = settings.policy.judge(pod, image, tally, now);
            let released = !ruling.dry_run && self.released.contains_key(&pod.uid);
            let judgement = match ruling.decision {
                // Whoever released it has read the report.
                Decision::Report(_) | Decision::Fail if released => match tally.settled_at() {
                    Some(until) if until > now => Judgement::Wait(until),
                    _ => Judgement::Fail,
                },
                Decision::Wait(until) => Judgement::Wait(until),
                Decision::Report(because) => Judgement::Report(because),
                Decision::Leave(because) => Judgement::Leave(because),
                Decision::Fail => {
                    let (at, settled) = (tally.last_attempt, tally.settled_at());
                    let outage = self.outage(&key, at, cause.host.as_deref(), settings, now);
                    let held = match outage {
                        // Who looks for the right limits wants to see every verdict.
                        None if !ruling.dry_run => self.cap(pod, settings, now),
                        other => other,
                    };
                    match (held, settled) {
                        (Some(held), _) => Judgement::Held(held),
                        (None, Some(until)) if until > now => Judgement::Wait(until),
                        (None, _) => Judgement::Fail,
                    }
                }
            };
            opinions.push(Opinion { key, judgement, ruling, cause });
        }
        opinions
    }

    /// Lets a pod go on: neither an outage nor a cap holds its verdict any more, and where it would
    /// only be reported it is ended. All else is asked as always.
    pub fn release(&mut self, pod: &PodUid, released: Released) {
        self.released.insert(pod.clone(), released);
    }

    /// Whether an operator let this pod go on.
    pub fn released(&self, pod: &PodUid) -> Option<Released> {
        self.released.get(pod).copied()
    }

    /// Closes the breaker of a registry by hand; `None` if it holds nothing.
    pub fn release_registry(
        &mut self,
        registry: &str,
        uid: u32,
        settings: &Settings,
        now: Timestamp,
    ) -> Option<Step> {
        self.breaker.release(&settings.config.breaker, registry, uid, now).map(Step::Breaker)
    }

    /// Notes that a pod is being ended.
    pub fn ended(&mut self, namespace: &str, settings: &Settings, now: Timestamp) {
        self.caps.record(&settings.config.caps, namespace, now);
    }

    /// Notes that the pod that was being ended since then was not.
    pub fn not_ended(&mut self, namespace: &str, since: Timestamp) {
        self.caps.forget(namespace, since);
    }

    /// Whether a verdict about this image must wait for its registry.
    pub fn outage(
        &self,
        key: &PullKey,
        last_attempt: Timestamp,
        host: Option<&str>,
        settings: &Settings,
        now: Timestamp,
    ) -> Option<Held> {
        let settings = &settings.config.breaker;
        self.breaker.holds(settings, &key.image, host, last_attempt, now).map(Held::from)
    }

    fn cap(&mut self, pod: &PodFacts, settings: &Settings, now: Timestamp) -> Option<Held> {
        self.caps.allow(&settings.config.caps, &pod.namespace, now).err().map(Held::from)
    }

    fn take_in(&mut self, changes: Vec<Change>, settings: &Settings, now: Timestamp) -> Vec<Step> {
        let mut steps = Vec::new();
        for change in changes {
            match change {
                Change::Counted(key) => {
                    let Some(cause) = self.find_cause(&key, settings) else { continue };
                    self.failed(&key, &cause, settings, now, &mut steps);
                    steps.push(Step::Counted(key, cause));
                }
                Change::Moved(key) => {
                    let before = self.attempts.get(&key).map(Tally::cause);
                    // The text of an attempt may be known only now.
                    if let Some(cause) = self.find_cause(&key, settings)
                        && before != Some(judged(&cause))
                    {
                        self.failed(&key, &cause, settings, now, &mut steps);
                    }
                    steps.push(Step::Moved(key));
                }
                Change::Reset(key, tally) => {
                    // Whoever hears the calls hears their success; a status alone may only show that
                    // the image came by another way.
                    if tally.source == Source::PodStatus {
                        self.came(&key.image, settings, now, &mut steps);
                    }
                    self.causes.remove(&key);
                    self.released.remove(&key.pod_uid);
                    steps.push(Step::Reset(key, tally));
                }
            }
        }
        steps
    }

    fn find_cause(&mut self, key: &PullKey, settings: &Settings) -> Option<Cause> {
        let cause = self.cause(key, settings)?;
        self.attempts.set_cause(key, judged(&cause));
        Some(cause)
    }

    /// The cause of a tally's last attempt.
    fn cause(&mut self, key: &PullKey, settings: &Settings) -> Option<Cause> {
        let trouble = &self.attempts.get(key)?.trouble;
        if let Some((_, cause)) = self.causes.get(key).filter(|(of, _)| of == trouble) {
            return Some(cause.clone());
        }
        let cause = settings.classifier.classify(&Failure {
            message: &trouble.message,
            code: None,
            runtime: None,
            reason: Some(&trouble.reason),
            image: Some(&key.image),
        });
        self.causes.insert(key.clone(), (trouble.clone(), cause.clone()));
        Some(cause)
    }

    fn failed(
        &mut self,
        key: &PullKey,
        cause: &Cause,
        settings: &Settings,
        now: Timestamp,
        steps: &mut Vec<Step>,
    ) {
        let failure = breaker::Failure {
            image: &key.image,
            host: cause.host.as_deref(),
            cause: judged(cause),
        };
        let transitions = self.breaker.failed(&settings.config.breaker, failure, now);
        steps.extend(transitions.into_iter().map(Step::Breaker));
    }

    fn came(&mut self, image: &str, settings: &Settings, now: Timestamp, steps: &mut Vec<Step>) {
        let transitions = self.breaker.succeeded(&settings.config.breaker, image, now);
        steps.extend(transitions.into_iter().map(Step::Breaker));
    }
}

fn judged(cause: &Cause) -> Judged {
    Judged { class: cause.class, disposition: cause.disposition }
}

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
