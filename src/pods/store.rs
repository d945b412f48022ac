use std::{collections::BTreeMap, time::Duration};

use tokio::sync::watch;

use super::{PodFacts, PodUid};

/// How long the watch may lag behind a write before the API server itself is asked.
const WATCH_LAG: Duration = Duration::from_secs(10);

/// The pods of this node as last seen; clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Pods {
    pods: watch::Sender<BTreeMap<PodUid, PodFacts>>,
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

    /// One pod.
    pub fn get(&self, uid: &str) -> Option<PodFacts> {
        self.pods.borrow().get(uid).cloned()
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
