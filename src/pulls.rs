//! The pulls that go on now: set by the agent's listener, asked before a verdict and for the report
//! about a pull that holds up the node.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use prometheus_client::{
    collector::Collector, encoding::DescriptorEncoder, metrics::gauge::ConstGauge,
};

use crate::{
    attempts::{PullKey, Tally},
    clock::Clock,
    metrics::table,
    pods::PodUid,
};

/// The kubelet writes what became of an attempt at its next sync, some 10 s later, which may be the
/// one that begins the next pull.
const STATUS_LAG: Duration = Duration::from_secs(30);

/// A pull that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// The pod and the image.
    pub key: PullKey,
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// When its request was seen, by the capture's clock, in microseconds.
    pub start_us: u64,
    /// When that was, by the clock on the wall.
    pub since: Timestamp,
    /// When that was, by a clock that never jumps.
    pub began: Instant,
    /// Its answer may have been missed.
    pub unsure: bool,
}

impl Pull {
    /// A pull whose request was sent at `start_us` of the capture's clock, which is that instant.
    pub fn new(
        key: PullKey,
        (namespace, pod): (String, String),
        start_us: u64,
        began: Instant,
    ) -> Self {
        let now = Timestamp::now();
        Self {
            key,
            namespace,
            pod,
            start_us,
            since: now.checked_sub(began.elapsed()).unwrap_or(now),
            began,
            unsure: false,
        }
    }

    /// How long it has gone on.
    pub fn age(&self) -> SignedDuration {
        SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX)
    }
}

/// Since when the CRI socket is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hearing {
    /// It is not, and what goes on cannot be known.
    #[default]
    Never,
    /// Whether it can be is about to be known.
    Pending,
    /// Every pull that began after this is known.
    Since(Instant),
}

/// The pulls that go on now, as far as the CRI socket is heard; clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Pulls {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    hearing: Hearing,
    in_flight: BTreeMap<PullKey, Pull>,
    /// The last answer that was heard; a pull from before that is over, even if its connection broke
    /// without a word.
    answered: BTreeMap<PullKey, Answer>,
    /// Until when a pull must have begun to be over by what the status told.
    told: BTreeMap<PullKey, Instant>,
    /// When the newest request was seen, by the capture's clock.
    newest_us: u64,
}

#[derive(Debug, Clone, Copy)]
struct Answer {
    /// By the capture's clock.
    end_us: u64,
    came: bool,
}

impl State {
    fn go_on(&self) -> impl Iterator<Item = &Pull> {
        let over = |pull: &Pull| {
            self.answered.get(&pull.key).is_some_and(|answer| answer.end_us > pull.start_us)
                || self.told.get(&pull.key).is_some_and(|told| *told >= pull.began)
        };
        self.in_flight.values().filter(move |pull| !over(pull))
    }
}

impl Pulls {
    /// Notes since when the socket is heard.
    pub fn hears(&self, hearing: Hearing) {
        self.state.lock().hearing = hearing;
    }

    /// Notes that the socket is no longer heard: whether a pull that went on still does, only the pod
    /// can tell.
    pub fn hears_no_more(&self) {
        let mut state = self.state.lock();
        state.hearing = Hearing::Never;
        state.in_flight.values_mut().for_each(|pull| pull.unsure = true);
    }

    /// Whether the kubelet may be at its next attempt and nobody heard that begin. Where the socket is
    /// never heard this cannot be known.
    pub fn may_go_on_unheard(&self, tally: &Tally, clock: &Clock) -> bool {
        // What the kubelet refuses it never pulls.
        !tally.is_refused()
            && self.unheard_since(tally.next_attempt().and_then(|due| clock.instant(due)))
    }

    fn unheard_since(&self, due: Option<Instant>) -> bool {
        match self.state.lock().hearing {
            Hearing::Never => false,
            Hearing::Pending => true,
            Hearing::Since(since) => due.is_none_or(|due| due <= since),
        }
    }

    /// Replaces all that go on.
    pub fn set(&self, in_flight: impl IntoIterator<Item = Pull>) {
        let mut state = self.state.lock();
        let mut known = std::mem::take(&mut state.in_flight);
        for pull in in_flight {
            state.newest_us = state.newest_us.max(pull.start_us);
            // What was known keeps its times: they are worked out anew with each record.
            let pull = match known.remove(&pull.key).filter(|old| old.start_us == pull.start_us) {
                Some(old) => Pull { unsure: pull.unsure, ..old },
                None => pull,
            };
            state.in_flight.insert(pull.key.clone(), pull);
        }
    }

    /// Notes that a pull was asked for at this time of the capture's clock, even if it is over.
    pub fn asked(&self, start_us: u64) {
        let mut state = self.state.lock();
        state.newest_us = state.newest_us.max(start_us);
    }

    /// Notes that an answer was heard at this time of the capture's clock, and whether the image came.
    pub fn answered(&self, key: PullKey, end_us: u64, came: bool) {
        self.state.lock().answered.insert(key, Answer { end_us, came });
    }

    /// Notes that the status told of an attempt at this instant.
    pub fn told(&self, key: &PullKey, at: Instant) {
        let at = at.checked_sub(STATUS_LAG).unwrap_or(at);
        self.state.lock().told.insert(key.clone(), at);
    }

    /// Whether the last answer was that the image came.
    pub fn came(&self, key: &PullKey) -> bool {
        self.state.lock().answered.get(key).is_some_and(|answer| answer.came)
    }

    /// Drops what is known of the outcomes of every pod for which `keep` is false.
    pub fn retain(&self, keep: impl Fn(&PodUid) -> bool) {
        let mut state = self.state.lock();
        state.answered.retain(|key, _| keep(&key.pod_uid));
        state.told.retain(|key, _| keep(&key.pod_uid));
    }

    /// Images of pods of which an outcome is known.
    pub fn outcomes(&self) -> usize {
        let state = self.state.lock();
        state.answered.len() + state.told.len()
    }

    /// A pull for this pod that goes on.
    pub fn of_pod(&self, pod_uid: &str) -> Option<Pull> {
        self.state.lock().go_on().find(|pull| pull.key.pod_uid == pod_uid).cloned()
    }

    /// All that go on, the oldest first.
    pub fn all(&self) -> Vec<Pull> {
        let mut all: Vec<Pull> = self.state.lock().go_on().cloned().collect();
        all.sort_by_key(|pull| pull.start_us);
        all
    }

    /// The oldest pull, if none that goes on is younger than `after` and none was asked for since
    /// the youngest of them: whoever waits for a pull then waits for these. With the kubelet's
    /// default of one pull at a time it is the only one.
    pub fn holding_up(&self, after: SignedDuration) -> Option<Pull> {
        let state = self.state.lock();
        let sure = || state.go_on().filter(|pull| !pull.unsure);
        let youngest = sure().max_by_key(|pull| pull.start_us)?;
        if youngest.age() < after || state.newest_us > youngest.start_us {
            return None;
        }
        sure().min_by_key(|pull| pull.start_us).cloned()
    }
}

impl Collector for Pulls {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let state = self.state.lock();
        let number = i64::try_from(state.go_on().count()).unwrap_or(i64::MAX);
        let oldest = state.go_on().map(|pull| pull.age().as_secs_f64()).fold(0.0, f64::max);
        table::PULLS_IN_FLIGHT.encode(&mut encoder, &ConstGauge::new(number))?;
        table::OLDEST_PULL_AGE.encode(&mut encoder, &ConstGauge::new(oldest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::key;

    fn pull(image: &str, start_us: u64) -> Pull {
        let key = PullKey { image: image.into(), ..key() };
        let age = Duration::from_micros(100_000_000 - start_us);
        let began = Instant::now().checked_sub(age).unwrap();
        Pull::new(key, ("batch".into(), "p".into()), start_us, began)
    }

    fn seconds(seconds: i64) -> SignedDuration {
        SignedDuration::from_secs(seconds)
    }

    #[test]
    fn a_pull_goes_on_until_its_answer_is_heard() {
        let pulls = Pulls::default();
        let goes_on = || pulls.of_pod("uid-1").is_some();
        pulls.answered(key(), 49_999_999, false);
        pulls.set([pull("img", 50_000_000)]);
        assert!(goes_on() && pulls.of_pod("uid-2").is_none());
        pulls.answered(key(), 51_000_000, false);
        assert!(!goes_on(), "its connection broke without a word");
        assert!(!pulls.came(&key()));
        // Another credential, or the next attempt.
        pulls.set([pull("img", 51_000_000)]);
        assert!(goes_on());
        pulls.answered(key(), 52_000_000, true);
        assert!(!goes_on() && pulls.came(&key()));
        pulls.set([]);
        assert!(!goes_on());
    }

    #[test]
    fn a_status_tells_late_that_a_pull_is_over() {
        let pulls = Pulls::default();
        let going_on = pull("img", 50_000_000);
        pulls.set([going_on.clone()]);
        pulls.told(&key(), going_on.began + Duration::from_secs(11));
        assert!(pulls.of_pod("uid-1").is_some(), "it may tell of the attempt before");
        pulls.told(&key(), going_on.began + Duration::from_secs(40));
        assert_eq!(pulls.of_pod("uid-1"), None, "not even a status is that late");
    }

    #[test]
    fn a_pull_that_began_before_anybody_listened_may_go_on_unheard() {
        let pulls = Pulls::default();
        let now = Instant::now();
        let (before, after) = (now - Duration::from_secs(1), now + Duration::from_secs(1));
        assert!(!pulls.unheard_since(Some(before)), "nobody can know");
        pulls.hears(Hearing::Pending);
        assert!(pulls.unheard_since(Some(after)));
        pulls.hears(Hearing::Since(now));
        assert!(pulls.unheard_since(Some(before)) && pulls.unheard_since(None));
        assert!(!pulls.unheard_since(Some(after)), "its beginning would have been heard");
    }

    #[test]
    fn what_went_on_when_the_socket_was_heard_last_is_not_forgotten() {
        let pulls = Pulls::default();
        pulls.hears(Hearing::Since(Instant::now()));
        pulls.set([pull("img", 10_000_000)]);
        pulls.hears_no_more();
        assert!(pulls.of_pod("uid-1").is_some());
        assert_eq!(pulls.holding_up(seconds(60)), None, "it may have ended");
        assert!(!pulls.unheard_since(None));
    }

    #[test]
    fn nothing_is_kept_of_a_pod_that_is_gone() {
        let pulls = Pulls::default();
        pulls.answered(key(), 1, true);
        pulls.told(&key(), Instant::now());
        pulls.retain(|uid| uid == "uid-1");
        assert_eq!(pulls.outcomes(), 2);
        pulls.retain(|uid| uid != "uid-1");
        assert_eq!(pulls.outcomes(), 0);
    }

    #[test]
    fn a_pull_holds_up_the_node_once_it_is_old_and_none_came_after_it() {
        let pulls = Pulls::default();
        assert_eq!(pulls.holding_up(seconds(60)), None);
        pulls.set([pull("old", 10_000_000)]);
        let holds_up = |after| pulls.holding_up(seconds(after)).map(|pull| pull.key.image);
        assert_eq!(holds_up(60), Some("old".into()), "90 s old");
        assert_eq!(holds_up(100), None);
        // Pulls in parallel, and this one is young.
        pulls.set([pull("old", 10_000_000), pull("young", 95_000_000)]);
        assert_eq!(holds_up(60), None);
        // It ended, so the other is in nobody's way.
        pulls.set([pull("old", 10_000_000)]);
        assert_eq!(holds_up(60), None);
        let unsure = Pull { unsure: true, ..pull("new", 96_000_000) };
        pulls.set([unsure]);
        assert_eq!(holds_up(1), None, "it may have ended");
    }
}
