use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    kubelet::{self, Failure},
    pods::{self, Pods},
    runtime::{self, Call},
};

/// What begins or ends within this time before a write could not be known to who wrote it; and so
/// long the kubelet may take to say how a call ended.
pub const RACE: SignedDuration = SignedDuration::from_secs(1);

/// What really happened, as those tell who did it: the kubelet and the runtime.
pub struct Witness {
    failures: BTreeMap<String, Vec<Failure>>,
    calls: BTreeMap<String, Vec<Call>>,
}

impl Witness {
    pub fn new(kubelet_log: &str, runtime_log: &str, now: Timestamp) -> Self {
        let failures = kubelet::failures(kubelet_log, now);
        Self { failures, calls: runtime::calls(runtime_log) }
    }

    /// The failed attempts of an image for a pod, between its last success and then.
    pub fn attempts(
        &self,
        pod: &Value,
        image: &str,
        since: Option<Timestamp>,
        until: Timestamp,
    ) -> Vec<&Failure> {
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
        let all = self.failures.get(uid).into_iter().flatten();
        all.filter(|failure| failure.at <= until && since.is_none_or(|since| failure.at > since))
            .filter(|failure| is_about(failure, pod, image))
            .collect()
    }

    /// A pull of this image that went on then and was nobody else's than this pod's.
    pub fn in_flight(&self, pods: &Pods, uid: &str, image: &str, at: Timestamp) -> Option<Call> {
        let goes_on =
            |call: &&Call| call.began + RACE < at && call.ended.is_none_or(|ended| ended > at);
        let of_another = |call: &&Call| {
            call.ended.is_some_and(|ended| self.another_ends(pods, uid, image, ended))
        };
        let calls = self.calls.get(image).into_iter().flatten();
        calls.filter(goes_on).find(|call| !of_another(call)).copied()
    }

    /// Whether a call that ended then can be that of another pod.
    fn another_ends(&self, pods: &Pods, uid: &str, image: &str, ended: Timestamp) -> bool {
        let soon = |at: Timestamp| at >= ended && at <= ended + RACE;
        let others = self.failures.iter().filter(|(other, _)| *other != uid);
        let failed = others.flat_map(|(other, failures)| failures.iter().map(move |f| (other, f)));
        let mut failed = failed.filter(|(_, failure)| soon(failure.at));
        failed.any(|(other, failure)| {
            pods.get(other).is_some_and(|pod| is_about(failure, pod, image))
        }) || pods.others_pulled(uid, image).any(soon)
    }

    /// When the image came to the node, for whomever, after one time and well before another.
    pub fn came(&self, image: &str, after: Timestamp, before: Timestamp) -> Option<Timestamp> {
        let calls = self.calls.get(image).into_iter().flatten();
        let mut ends = calls.filter(|call| call.succeeded).filter_map(|call| call.ended);
        ends.rfind(|ended| *ended > after && *ended + RACE < before)
    }
}

/// Whether an attempt was made for this image: the container's own, unless the text names one that
/// is mounted as a volume.
fn is_about(failure: &Failure, pod: &Value, image: &str) -> bool {
    let (own, mounted) = pods::images(pod, &failure.container);
    let named = mounted.into_iter().find(|mounted| failure.text.contains(mounted));
    named.or(own) == Some(image)
}
