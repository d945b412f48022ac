use std::sync::Arc;

use jiff::SignedDuration;
use parking_lot::Mutex;

use super::super::*;
use crate::{
    clock::moved,
    fixtures::{pod, start},
    pods::{ImageState, Trouble},
    policy::breaker::State,
};

pub(super) const IMAGES: [&str; 4] =
    ["r.example/a:1", "r.example/b:1", "r.example/c:1", "s.example/a:1"];
pub(super) const PODS: [&str; 5] = ["one", "two", "system", "mirror", "critical"];
pub(super) const PROTECTED: [&str; 3] = ["system", "mirror", "critical"];

/// Errors that are expected to pass, or are the node's, without what the kubelet puts before them.
pub(super) const PASSING: [&str; 6] = [
    "failed to resolve image: unexpected status from HEAD request to \
     https://r.example/v2/a/manifests/1: 503 Service Unavailable",
    "failed to resolve image: unexpected status from HEAD request to \
     https://mirror.example/v2/a/manifests/1?ns=r.example: 429 Too Many Requests",
    "failed to do request: Head \"https://r.example/v2/a/manifests/1\": dial tcp: lookup r.example \
     on 10.0.0.10:53: no such host",
    "failed to do request: Head \"https://r.example/v2/a/manifests/1\": dial tcp 10.0.0.1:443: \
     connect: connection refused",
    "failed to do request: Head \"https://r.example/v2/a/manifests/1\": net/http: TLS handshake \
     timeout",
    "failed to extract layer sha256:00: write /var/lib/containerd/x: no space left on device",
];
/// Errors of every kind.
pub(super) const CLEAR: [&str; 8] = [
    "failed to resolve image: r.example/a:1: not found",
    "failed to resolve image: unexpected status from HEAD request to \
     https://mirror.example/v2/a/manifests/1?ns=r.example: 404 Not Found",
    "no match for platform in manifest sha256:00: not found",
    "pull access denied, repository does not exist or may require authorization",
    "something that nobody has seen before",
    PASSING[0],
    PASSING[2],
    PASSING[5],
];

/// What a status may show of an image.
#[derive(Debug, Clone)]
pub(super) enum Shown {
    Failed(String),
    Refused,
    BackingOff,
    Pulled,
}

/// A verdict, and what could be seen when it fell.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    at: Timestamp,
    pub(super) key: PullKey,
    /// Whether the status showed the image failing.
    pub(super) status_fails: bool,
    /// Whether its registry, or the host that failed, was out of order.
    pub(super) outage: bool,
}

impl Verdict {
    /// Of which pod and image.
    pub(super) fn place(&self) -> (usize, usize) {
        let place = |all: &[&str], one: &str| all.iter().position(|known| *known == one).unwrap();
        (place(&PODS, &self.key.pod_uid), place(&IMAGES, &self.key.image))
    }
}

/// Compiling the rules takes longer than all that happens on a node.
fn settings(toml: &'static str) -> Arc<Settings> {
    static COMPILED: Mutex<BTreeMap<&str, Arc<Settings>>> = Mutex::new(BTreeMap::new());
    let compile = || Arc::new(Settings::new(crate::config::parse(toml).unwrap()));
    Arc::clone(COMPILED.lock().entry(toml).or_insert_with(compile))
}

/// A node with its pods and an agent that acts at once.
pub(super) struct Node {
    settings: Arc<Settings>,
    fuse: Fuse,
    now: Timestamp,
    pods: Vec<PodFacts>,
    due: Option<Timestamp>,
    pub(super) verdicts: Vec<Verdict>,
}

impl Node {
    pub(super) fn new(toml: &'static str) -> Self {
        let pods = PODS.map(|uid| PodFacts {
            uid: uid.into(),
            name: uid.into(),
            namespace: if uid == "system" { "kube-system" } else { "batch" }.into(),
            mirror: uid == "mirror",
            priority_class: if uid == "critical" { "system-node-critical" } else { "" }.into(),
            ..pod(None)
        });
        Self {
            settings: settings(toml),
            fuse: Fuse::default(),
            now: start(),
            pods: pods.into(),
            due: None,
            verdicts: Vec::new(),
        }
    }

    pub(super) fn attempts(&self, pod: usize, image: usize) -> u32 {
        self.fuse.attempts().get(&key(pod, image)).map_or(0, |tally| tally.attempts)
    }

    pub(super) fn ended(&self, pod: usize) -> bool {
        self.pods[pod].phase == "Failed"
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// Lets time pass, with a look at all pods whenever something is due.
    pub(super) fn pass(&mut self, seconds: i64) {
        let until = self.now + SignedDuration::from_secs(seconds);
        while let Some(at) = self.due.into_iter().chain(self.fuse.next_tick(&self.settings)).min()
            && at <= until
        {
            self.now = at.max(self.now);
            self.fuse.tick(&self.settings, self.now);
            self.judge();
        }
        self.now = until;
    }

    pub(super) fn hear(&mut self, pod: usize, image: usize, error: Option<&str>) {
        let facts = &mut self.pods[pod];
        if facts.phase == "Failed" {
            return;
        }
        // The status lags behind; a pod of which it shows no failure at all would not be judged.
        let stands = facts.images.get(IMAGES[image]).is_some_and(|s| *s != ImageState::Pulled);
        if error.is_some() && !stands {
            let unseen = ImageState::BackingOff(trouble("ImagePullBackOff", ""));
            facts.images.insert(IMAGES[image].into(), unseen);
        }
        let call = Call {
            key: key(pod, image),
            namespace: facts.namespace.clone(),
            pod: facts.name.clone(),
            started: self.now,
            ended: self.now,
            error: error.map(worded),
        };
        self.fuse.observe_call(call, &self.settings, self.now);
        self.judge();
    }

    pub(super) fn show(&mut self, pod: usize, image: usize, shown: Shown) {
        let state = match shown {
            Shown::Failed(text) => ImageState::Failed(trouble("ErrImagePull", &text)),
            Shown::Refused => ImageState::Refused(trouble("InvalidImageName", "")),
            Shown::BackingOff => ImageState::BackingOff(trouble("ImagePullBackOff", "Back-off")),
            Shown::Pulled => ImageState::Pulled,
        };
        let facts = &mut self.pods[pod];
        if facts.phase == "Failed" {
            return;
        }
        facts.images.insert(IMAGES[image].into(), state);
        self.fuse.observe(facts, &self.settings, self.now);
        self.judge();
    }

    /// Only what the ledger keeps is left, and every pod is seen anew.
    pub(super) fn restart(&mut self) {
        let tallies: Vec<_> = self.fuse.attempts().iter().collect();
        let came = self.fuse.attempts().came();
        let kept = (tallies, came, self.fuse.breaker(), self.fuse.caps());
        let text = serde_json::to_string(&kept).unwrap();
        let (tallies, came, breaker, caps): (Vec<(PullKey, Tally)>, _, _, _) =
            serde_json::from_str(&text).unwrap();
        let attempts = Attempts::new(tallies.into_iter().collect(), came);
        self.fuse = Fuse::new(attempts, breaker, caps);
        for facts in self.pods.iter().filter(|facts| facts.phase != "Failed") {
            self.fuse.observe(facts, &self.settings, self.now);
        }
        self.judge();
    }

    /// Somebody sets the clock.
    pub(super) fn set_clock(&mut self, by: SignedDuration) {
        self.fuse.shift(by);
        self.now = moved(self.now, by);
        self.due = self.due.map(|due| moved(due, by));
        self.verdicts.iter_mut().for_each(|verdict| verdict.at = moved(verdict.at, by));
    }

    fn judge(&mut self) {
        self.due = None;
        for at in 0..self.pods.len() {
            for opinion in self.fuse.judge(&self.pods[at], &self.settings, self.now) {
                let due = match &opinion.judgement {
                    Judgement::Fail => {
                        self.end(at, opinion);
                        break;
                    }
                    Judgement::Wait(until) => Some(*until),
                    Judgement::Held(held) => Some(held.until),
                    Judgement::Report(_) | Judgement::Leave(_) => None,
                };
                self.due = self.due.into_iter().chain(due).min();
            }
        }
    }

    fn end(&mut self, at: usize, opinion: Opinion) {
        let Opinion { key, cause, .. } = opinion;
        let own = crate::classify::registry_of(&key.image);
        let outage = self.fuse.breaker().troubled().any(|(registry, state)| {
            matches!(state, State::Open { .. })
                && (registry == own || cause.host.as_deref() == Some(registry))
        });
        let facts = &mut self.pods[at];
        let status_fails =
            facts.images.get(&key.image).is_some_and(|state| *state != ImageState::Pulled);
        facts.phase = "Failed".into();
        self.fuse.ended(&facts.namespace, &self.settings, self.now);
        self.fuse.retain(|uid| *uid != key.pod_uid);
        self.verdicts.push(Verdict { at: self.now, key, status_fails, outage });
    }
}

/// As the kubelet words it; empty where it is not known.
pub(super) fn worded(error: &str) -> String {
    if error.is_empty() {
        return String::new();
    }
    format!("rpc error: code = Unknown desc = failed to pull and unpack image \"x\": {error}")
}

fn key(pod: usize, image: usize) -> PullKey {
    PullKey { pod_uid: PODS[pod].into(), image: IMAGES[image].into() }
}

fn trouble(reason: &str, message: &str) -> Trouble {
    Trouble { reason: reason.into(), message: message.into() }
}
