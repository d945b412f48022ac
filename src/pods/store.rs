use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

use super::{PodFacts, PodUid};

/// How long the watch may lag behind a write before the API server itself is asked.
const WATCH_LAG: Duration = Duration::from_secs(10);
/// After an absence of the API server a kubelet's own watch may need a minute to come back
/// (client-go's reflector waits 30 s, with jitter up to 60 s), and ours reports a failure at least
/// once a minute. Until then the kubelet cannot see a verdict and takes it back.
const SETTLING: Duration = Duration::from_secs(120);

/// The pods of this node as last seen; clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Pods {
    pods: watch::Sender<BTreeMap<PodUid, PodFacts>>,
    /// When the watch failed last.
    troubled: Arc<Mutex<Option<Instant>>>,
}

impl Pods {
    /// Replaces everything.
    pub fn replace(&self, pods: Vec<PodFacts>) {
        self.pods.send_replace(pods.into_iter().map(|pod| (pod.uid.clone(), pod)).collect());
    }

    /// Adds or replaces one pod.
    pub fn insert(&self, pod: PodFacts) {
        self.pods.send_modify(|pods| {
            pods.insert(pod.uid.clone(), pod);
        });
    }

    /// Removes one pod.
    pub fn remove(&self, uid: &str) {
        self.pods.send_modify(|pods| {
            pods.remove(uid);
        });
    }

    /// Notes that the watch failed.
    pub fn trouble(&self) {
        *self.troubled.lock() = Some(Instant::now());
    }

    /// How long to wait until every watch of this node's pods, the kubelet's too, is up to date.
    pub fn settles_in(&self) -> Option<Duration> {
        let since = self.troubled.lock().as_ref()?.elapsed();
        SETTLING.checked_sub(since).filter(|left| !left.is_zero())
    }

    /// Whether the watch has failed, and not again for this long.
    pub fn quiet_for(&self, this_long: Duration) -> bool {
        self.troubled.lock().is_some_and(|at| at.elapsed() > this_long)
    }

    /// One pod.
    pub fn get(&self, uid: &str) -> Option<PodFacts> {
        self.pods.borrow().get(uid).cloned()
    }

    /// Every pod.
    pub fn all(&self) -> Vec<PodFacts> {
        self.pods.borrow().values().cloned().collect()
    }

    /// How many pods are so.
    pub fn count(&self, so: impl Fn(&PodFacts) -> bool) -> usize {
        self.pods.borrow().values().filter(|pod| so(pod)).count()
    }

    /// Waits until a pod has been Failed, or gone, for `this_long`; false as soon as it leaves
    /// that phase, or when the watch does not show it at all.
    pub async fn stays_failed(&self, uid: &str, this_long: Duration) -> bool {
        let ended = |pods: &BTreeMap<PodUid, PodFacts>| {
            pods.get(uid).is_none_or(|pod| pod.phase == "Failed")
        };
        let mut seen = self.pods.subscribe();
        if tokio::time::timeout(WATCH_LAG, seen.wait_for(ended)).await.is_err() {
            return false;
        }
        tokio::time::timeout(this_long, seen.wait_for(|pods| !ended(pods))).await.is_err()
    }
}
