use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{PullKey, Stage};
use crate::{clock::moved, pods::PodUid};

/// The status of a pod shows what became of a call within this time; it lags by one sync of the
/// kubelet, some 10 s, and as long as the API server takes.
const STATUS_LAG: SignedDuration = SignedDuration::from_mins(1);

/// Images of which a call brought the end of their failures, while the status does not show it yet.
/// The ledger keeps them, for also an agent that was started since then reads that status.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(PullKey, Success)>", into = "Vec<(PullKey, Success)>")]
pub struct Came(BTreeMap<PullKey, Success>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Success {
    at: Timestamp,
    /// What the status shows since before it, or showed first after it.
    shown: Stage,
}

impl From<Vec<(PullKey, Success)>> for Came {
    fn from(kept: Vec<(PullKey, Success)>) -> Self {
        Self(kept.into_iter().collect())
    }
}

impl From<Came> for Vec<(PullKey, Success)> {
    fn from(came: Came) -> Self {
        came.0.into_iter().collect()
    }
}

impl Came {
    /// A call succeeded, and this is what the status showed last.
    pub(super) fn note(&mut self, key: PullKey, at: Timestamp, shown: Stage) {
        self.0.insert(key, Success { at, shown });
    }

    /// What comes after is another count. Returns what the status still shows of before, if it does.
    pub(super) fn forget(&mut self, key: &PullKey) -> Option<Stage> {
        self.0.remove(key).map(|success| success.shown)
    }

    /// Whether a status that shows this tells of a time before the success: what goes on being shown
    /// as it was says nothing new, however long it does.
    pub(super) fn is_before(&mut self, key: &PullKey, stage: Stage, now: Timestamp) -> bool {
        let Some(success) = self.0.get_mut(key) else { return false };
        let lags = now.duration_since(success.at).abs() < STATUS_LAG;
        let same = success.shown == stage;
        success.shown = stage;
        lags || same
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&PodUid) -> bool) {
        self.0.retain(|key, _| keep(&key.pod_uid));
    }

    /// Moves every time, because the clock was set.
    pub(super) fn shift(&mut self, by: SignedDuration) {
        self.0.values_mut().for_each(|success| success.at = moved(success.at, by));
    }
}
