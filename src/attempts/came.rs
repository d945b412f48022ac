use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{PullKey, Stage};
use crate::{
    clock::moved,
    pods::{PodFacts, PodUid},
};

/// The status of a pod shows what became of a call within this time; it lags by one sync of the
/// kubelet, some 10 s, and as long as the API server takes.
const STATUS_LAG: SignedDuration = SignedDuration::from_mins(1);

/// Images that had failed and of which a success was heard, until their status shows it. What it
/// shows meanwhile may be of before. The ledger keeps them, for also an agent that was started since
/// then reads that status.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(PullKey, Success)>", into = "Vec<(PullKey, Success)>")]
pub struct Came(BTreeMap<PullKey, Success>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Success {
    /// When it was heard.
    at: Timestamp,
    /// What the status showed last; [`Stage::BackingOff`] also if it showed nothing.
    shown: Stage,
}

impl Success {
    fn lags(&self, at: Timestamp) -> bool {
        at.duration_since(self.at).abs() < STATUS_LAG
    }
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
    /// A call succeeded after others had failed; `shown` is what the status showed last.
    pub(super) fn succeeded(&mut self, key: PullKey, at: Timestamp, shown: Stage) {
        self.0.insert(key, Success { at, shown });
    }

    /// A call succeeded, and none had failed since the last that did.
    pub(super) fn succeeded_again(&mut self, key: &PullKey, at: Timestamp) {
        if let Some(success) = self.0.get_mut(key) {
            success.at = at;
        }
    }

    /// What the status showed last of an image that has not failed since its success.
    pub(super) fn shown(&self, key: &PullKey) -> Option<Stage> {
        self.0.get(key).map(|success| success.shown)
    }

    /// The status shows the success.
    pub(super) fn forget(&mut self, key: &PullKey) {
        self.0.remove(key);
    }

    /// Takes in what the status shows of an image that has not failed since its success. Returns
    /// whether that is of before: what goes on being shown as it was says nothing new however long it
    /// does. A refusal that was not shown before is none, for it needs no call.
    pub(super) fn shows(&mut self, key: &PullKey, stage: Stage, now: Timestamp) -> bool {
        let Some(success) = self.0.get_mut(key) else { return false };
        let same = std::mem::replace(&mut success.shown, stage) == stage;
        same || (stage != Stage::Refused && success.lags(now))
    }

    /// Whether a failure that a status shows now may be of before the success, although calls have
    /// failed since.
    pub(super) fn may_be_before(&self, key: &PullKey, now: Timestamp) -> bool {
        self.0.get(key).is_some_and(|success| success.lags(now))
    }

    /// Takes in that the status shows nothing of other images, and drops what says nothing any more:
    /// what every status shows by now, unless it goes on showing something of before.
    pub(super) fn trim(
        &mut self,
        pod: &PodFacts,
        fails: impl Fn(&PullKey) -> bool,
        now: Timestamp,
    ) {
        self.0.retain(|key, success| {
            if key.pod_uid == pod.uid && !pod.images.contains_key(&key.image) {
                success.shown = Stage::BackingOff;
            }
            success.lags(now) || (success.shown != Stage::BackingOff && !fails(key))
        });
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&PodUid) -> bool) {
        self.0.retain(|key, _| keep(&key.pod_uid));
    }

    /// Moves every time, because the clock was set.
    pub(super) fn shift(&mut self, by: SignedDuration) {
        self.0.values_mut().for_each(|success| success.at = moved(success.at, by));
    }

    /// Successes that are kept.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
