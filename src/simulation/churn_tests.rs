//! Hours in which pods come and go: what is kept stays as small as the node, and counts and verdicts
//! are those of whoever makes the calls.

use std::{cmp::Reverse, collections::BinaryHeap};

use jiff::SignedDuration;

use super::*;
use crate::{
    fixtures::start,
    history::{Episode, History},
    ledger::{Batch, Ledger},
};

const HOURS: i64 = 3;
const HOUR: i64 = 3600;
/// When a kubelet tries, in seconds after the pod was added; then about every five minutes.
const ATTEMPTS: [i64; 7] = [1, 15, 40, 88, 174, 338, 640];
const LATER: i64 = 302;
/// A registry that has lost its images for this long, and has them for as long.
const FLAPS: i64 = 10 * 60;
/// Pods of a node, by what becomes of their pulls.
const NODE: [(Kind, usize); 6] = [
    (Kind::Fine, 35),
    (Kind::Late, 10),
    (Kind::Missing, 20),
    (Kind::Denied, 15),
    (Kind::Busy, 15),
    (Kind::Flaps, 15),
];
/// No cap is in the way, and no registry that works most of the time seems to be out of order.
const CONFIG: &str = "breaker.images = 12\ncaps = { per_node = 1000, per_namespace = 1000 }\nhistory.max_episodes = 200";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Its image comes at once.
    Fine,
    /// Its image is pushed after a few attempts.
    Late,
    /// Its image does not exist: five attempts end it.
    Missing,
    /// It may not have its image: eight attempts end it.
    Denied,
    /// Its registry answers 503.
    Busy,
    /// Its registry loses all images every now and then.
    Flaps,
}

impl Kind {
    fn error(self, attempt: usize, second: i64) -> Option<String> {
        let missing = || Some("failed to resolve image: not found".to_owned());
        match self {
            Self::Fine => None,
            Self::Late => missing().filter(|_| attempt < 3),
            Self::Missing => missing(),
            Self::Denied => Some("unexpected status: 403 Forbidden".into()),
            Self::Busy => Some("unexpected status: 503 Service Unavailable".into()),
            Self::Flaps => missing().filter(|_| second / FLAPS % 2 == 1),
        }
    }

    fn registry(self) -> &'static str {
        match self {
            Self::Busy => "busy.example",
            Self::Flaps => "flaps.example",
            _ => "r.example",
        }
    }

    /// How many attempts end the pod.
    fn limit(self) -> Option<u32> {
        match self {
            Self::Missing => Some(5),
            Self::Denied => Some(8),
            _ => None,
        }
    }

    /// How long a pod is there, in seconds, from a number that is as good as any.
    fn lives(self, any: u64) -> i64 {
        let spread = (any % 1200) as i64;
        if self == Self::Fine { 30 + spread / 20 } else { 60 + spread }
    }
}

/// A pod, as those know it who made it.
struct Slot {
    kind: Kind,
    number: u64,
    tried: usize,
    failed: u32,
    ended: Option<Timestamp>,
}

impl Slot {
    fn key(&self) -> PullKey {
        let image = format!("{}/app{}:1", self.kind.registry(), self.number);
        PullKey { pod_uid: format!("uid-{:06}", self.number), image }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happens {
    /// The kubelet tries; with its second password if `true`.
    Call(bool),
    Ends,
    Goes,
}

/// A node on which pods come and go.
struct Node {
    simulation: Simulation,
    slots: Vec<Slot>,
    pods: u64,
    /// Second, slot, pod, and what happens to it.
    next: BinaryHeap<Reverse<(i64, usize, u64, Happens)>>,
    verdicts: usize,
    history: History,
    ledger: Ledger,
    batch: Batch,
    folder: tempfile::TempDir,
}

fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

impl Node {
    fn new() -> Self {
        let settings = Settings::new(crate::config::parse(CONFIG).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let (ledger, _) = Ledger::open(folder.path()).unwrap();
        let mut node = Self {
            simulation: Simulation::new(settings, start()),
            slots: Vec::new(),
            pods: 0,
            next: BinaryHeap::new(),
            verdicts: 0,
            history: History::default(),
            ledger,
            batch: Batch::default(),
            folder,
        };
        for (kind, number) in NODE {
            for _ in 0..number {
                let slot = node.slots.len();
                node.slots.push(Slot { kind, number: 0, tried: 0, failed: 0, ended: None });
                node.make(slot, (slot % 60) as i64);
            }
        }
        node
    }

    /// A pod takes the place of another.
    fn make(&mut self, slot: usize, second: i64) {
        self.pods += 1;
        let kind = self.slots[slot].kind;
        self.slots[slot] = Slot { kind, number: self.pods, tried: 0, failed: 0, ended: None };
        self.add(second + ATTEMPTS[0], slot, Happens::Call(false));
        let any = self.pods.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        // Those of the registry that loses its images are made anew together when it does.
        let goes = match kind {
            Kind::Flaps => (second + FLAPS) / (2 * FLAPS) * 2 * FLAPS + FLAPS,
            _ => second + kind.lives(any),
        };
        self.add(goes, slot, Happens::Goes);
    }

    fn add(&mut self, second: i64, slot: usize, what: Happens) {
        self.next.push(Reverse((second, slot, self.slots[slot].number, what)));
    }

    /// Lets everything happen that does so before then.
    fn play(&mut self, until: i64) {
        while self.next.peek().is_some_and(|next| next.0.0 < until)
            && let Some(Reverse((second, slot, pod, what))) = self.next.pop()
        {
            if self.slots[slot].number != pod {
                continue;
            }
            self.simulation.pass(after(second));
            match what {
                Happens::Call(again) => self.call(slot, second, again),
                Happens::Ends => self.ends(slot, second),
                Happens::Goes => self.goes(slot, second),
            }
        }
        self.simulation.pass(after(until - 1));
    }

    fn call(&mut self, slot: usize, second: i64, again: bool) {
        let pod = &mut self.slots[slot];
        if pod.ended.is_some() {
            return;
        }
        let error = pod.kind.error(pod.tried - usize::from(again), second);
        self.simulation.hear(Call {
            key: pod.key(),
            namespace: "batch".into(),
            pod: format!("pod-{}", pod.number),
            started: after(second),
            ended: after(second),
            error: error.clone(),
        });
        pod.failed = if error.is_some() { pod.failed + u32::from(!again) } else { 0 };
        if again {
            return;
        }
        pod.tried += 1;
        if error.is_none() {
            return;
        }
        let (tried, reached) = (pod.tried, pod.kind.limit() == Some(pod.failed));
        let two_passwords = pod.number.is_multiple_of(7);
        if two_passwords {
            self.add(second + 1, slot, Happens::Call(true));
        }
        if reached {
            // Once it is sure that no further password is tried.
            self.add(second + 5 + i64::from(two_passwords), slot, Happens::Ends);
        }
        let pause = match ATTEMPTS.get(tried - 1..=tried) {
            Some(times) => times[1] - times[0],
            None => LATER,
        };
        self.add(second + pause, slot, Happens::Call(false));
    }

    fn ends(&mut self, slot: usize, second: i64) {
        self.slots[slot].ended = Some(after(second));
        self.verdicts += 1;
        // Its owner clears away soon.
        self.add(second + 20, slot, Happens::Goes);
    }

    fn goes(&mut self, slot: usize, second: i64) {
        let pod = &self.slots[slot];
        let (key, ended) = (pod.key(), pod.ended);
        let fate = self.simulation.fate(&key).map(|fate| &fate.outlook);
        let judged = match fate {
            Some(Outlook::Fail { at }) => Some(*at),
            _ => None,
        };
        assert_eq!(judged, ended, "{key:?} of kind {:?}: {fate:?}", pod.kind);
        for step in self.simulation.forget(&key.pod_uid) {
            if let Step::Forgotten(key, tally) = step {
                let number = self.history.push(Episode::of(&key, &tally));
                self.batch.episodes.insert(number, self.history.get(number).cloned());
                self.batch.tallies.insert(key, None);
            }
        }
        self.batch.tallies.insert(key, None);
        self.make(slot, second);
    }

    /// Compares every count, and measures what is kept.
    fn look(&mut self, second: i64) -> Kept {
        let mut failing = 0;
        for pod in &self.slots {
            let tally = self.simulation.fuse().attempts().get(&pod.key());
            let counted = tally.map_or(0, |tally| tally.attempts);
            let really = if pod.ended.is_some() { 0 } else { pod.failed };
            assert_eq!(counted, really, "attempts of {:?}", pod.key());
            failing += usize::from(really > 0);
        }
        let settings = self.simulation.settings.config.history.clone();
        for number in self.history.trim(settings.most(), settings.keep, after(second)) {
            self.batch.episodes.insert(number, None);
        }
        let fuse = self.simulation.fuse();
        for (key, tally) in fuse.attempts().iter() {
            self.batch.tallies.insert(key.clone(), Some(tally.clone()));
        }
        self.batch.set_state("breaker", fuse.breaker()).unwrap();
        self.batch.set_state("caps", fuse.caps()).unwrap();
        self.batch.set_state("came", fuse.attempts().came()).unwrap();
        self.ledger.commit(&std::mem::take(&mut self.batch)).unwrap();
        Kept {
            tallies: fuse.attempts().iter().count().abs_diff(failing),
            causes: fuse.causes_kept(),
            came: fuse.attempts().came().len(),
            due: self.simulation.due.len(),
            pods: self.simulation.pods.len(),
            decided: self.simulation.decided.len(),
            episodes: self.history.iter().count(),
            breaker: serde_json::to_string(fuse.breaker()).unwrap().len(),
            caps: serde_json::to_string(fuse.caps()).unwrap().len(),
            ledger: std::fs::metadata(self.folder.path().join("ledger.redb")).unwrap().len(),
        }
    }
}

/// How much of everything is kept.
#[derive(Debug, Clone, Copy, Default)]
struct Kept {
    /// Tallies that should not be there, or that lack.
    tallies: usize,
    causes: usize,
    came: usize,
    due: usize,
    pods: usize,
    decided: usize,
    episodes: usize,
    breaker: usize,
    caps: usize,
    ledger: u64,
}

#[test]
fn hours_of_churn_leave_nothing_behind_and_every_count_and_verdict_is_right() {
    let mut node = Node::new();
    let mut ledger_after_an_hour = 0;
    let mut most_breaker = [0; HOURS as usize];
    let mut opened = 0;
    for minute in 1..=HOURS * 60 {
        let second = minute * 60;
        node.play(second);
        let kept = node.look(second);
        opened += node.simulation.fuse().breaker().troubled().count();
        let on_node = node.slots.len();
        assert_eq!(kept.tallies, 0, "tallies without a pod: {kept:?}");
        for number in [kept.causes, kept.came, kept.due, kept.pods, kept.decided] {
            assert!(number <= on_node, "more than a node's pods after {minute} min: {kept:?}");
        }
        assert!(kept.episodes <= 200, "{kept:?}");
        // Of the verdicts of ten minutes, a line each.
        assert!(kept.caps < 20_000, "{kept:?}");
        let hour = ((second - 1) / HOUR) as usize;
        most_breaker[hour] = most_breaker[hour].max(kept.breaker);
        if minute == 60 {
            ledger_after_an_hour = kept.ledger;
        }
        assert!(minute <= 60 || kept.ledger <= ledger_after_an_hour * 2, "{kept:?}");
    }
    assert!(most_breaker[2] <= most_breaker[1] * 6 / 5, "the breaker grows: {most_breaker:?}");
    assert!(opened > 0, "a registry that lost its images was taken for an outage");
    let fates = node.simulation.fates().filter(|fate| fate.is_verdict()).count();
    assert_eq!(fates, node.verdicts);
    assert!(node.verdicts > 100 && node.pods > 3000, "{} of {}", node.verdicts, node.pods);
}
