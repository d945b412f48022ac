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
    attempts::{PullKey, Source},
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

/// The pulls that go on now, as far as the CRI socket is heard; clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Pulls {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    in_flight: BTreeMap<PullKey, Pull>,
    /// When an outcome was last seen; a pull from before that is over, even if its connection
    /// broke without a word.
    ended: BTreeMap<PullKey, Instant>,
    /// When the newest request was seen, by the capture's clock.
    newest_us: u64,
}

impl State {
    fn go_on(&self) -> impl Iterator<Item = &Pull> {
        let over =
            |pull: &Pull| self.ended.get(&pull.key).is_some_and(|ended| *ended >= pull.began);
        self.in_flight.values().filter(move |pull| !over(pull))
    }
}

impl Pulls {
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

    /// Notes that an outcome was seen, and where.
    pub fn ended(&self, key: &PullKey, at: Instant, source: Source) {
        let at = match source {
            Source::Wire => at,
            Source::PodStatus => at.checked_sub(STATUS_LAG).unwrap_or(at),
        };
        let mut state = self.state.lock();
        let last = state.ended.entry(key.clone()).or_insert(at);
        *last = at.max(*last);
    }

    /// Drops what is known of the outcomes of every pod for which `keep` is false.
    pub fn retain(&self, keep: impl Fn(&PodUid) -> bool) {
        self.state.lock().ended.retain(|key, _| keep(&key.pod_uid));
    }

    /// Images of pods of which an outcome is known.
    pub fn outcomes(&self) -> usize {
        self.state.lock().ended.len()
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
    fn a_pull_goes_on_until_an_outcome_is_seen() {
        let pulls = Pulls::default();
        let going_on = pull("img", 50_000_000);
        pulls.ended(&key(), going_on.began - Duration::from_secs(1), Source::Wire);
        pulls.set([going_on.clone()]);
        assert_eq!(pulls.of_pod("uid-1"), Some(going_on.clone()));
        assert_eq!(pulls.of_pod("uid-2"), None);
        let status_tells = |after| {
            pulls.ended(&key(), going_on.began + Duration::from_secs(after), Source::PodStatus);
        };
        status_tells(11);
        assert!(pulls.of_pod("uid-1").is_some(), "the status may tell of the attempt before");
        pulls.ended(&key(), going_on.began + Duration::from_secs(1), Source::Wire);
        assert_eq!(pulls.of_pod("uid-1"), None, "its connection broke without a word");
        status_tells(11);
        assert_eq!(pulls.of_pod("uid-1"), None, "the later outcome is not forgotten");
        pulls.set([Pull {
            start_us: 51_000_000,
            began: going_on.began + Duration::from_secs(2),
            ..going_on.clone()
        }]);
        assert!(pulls.of_pod("uid-1").is_some(), "the next one");
        status_tells(40);
        assert_eq!(pulls.of_pod("uid-1"), None, "not even a status is that late");
        pulls.set([]);
        assert_eq!(pulls.of_pod("uid-1"), None);
    }

    #[test]
    fn nothing_is_kept_of_a_pod_that_is_gone() {
        let pulls = Pulls::default();
        pulls.ended(&key(), Instant::now(), Source::Wire);
        pulls.retain(|uid| uid == "uid-1");
        assert_eq!(pulls.outcomes(), 1);
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
