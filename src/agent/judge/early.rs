use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use jiff::SignedDuration;

use crate::{attempts::Call, pods::PodUid};

/// The watch of pods may lag behind the kubelet's: for as long as it takes to connect again, or until
/// somebody gives back a right that was taken away.
const KEPT_FOR: Duration = Duration::from_hours(1);
/// More than the attempts of 110 pods in their first quarter of an hour.
const MOST: usize = 1024;

/// Calls for pods that the watch has not shown yet.
#[derive(Debug, Default)]
pub(super) struct Early {
    calls: VecDeque<(Instant, Call)>,
}

impl Early {
    /// Keeps a call until its pod is seen.
    pub(super) fn keep(&mut self, call: Call) {
        while self.calls.len() >= MOST
            || self.calls.front().is_some_and(|(at, _)| at.elapsed() > KEPT_FOR)
        {
            if let Some((_, call)) = self.calls.pop_front() {
                tracing::warn!(
                    pod = call.pod,
                    namespace = call.namespace,
                    image = call.key.image,
                    "a pull was for a pod that the API server never showed: not counted"
                );
            }
        }
        self.calls.push_back((Instant::now(), call));
    }

    /// Moves every call, because the clock was set.
    pub(super) fn shift(&mut self, by: SignedDuration) {
        self.calls.iter_mut().for_each(|(_, call)| call.shift(by));
    }

    /// The calls for this pod, in their order.
    pub(super) fn take(&mut self, uid: &PodUid) -> Vec<Call> {
        let (taken, kept): (Vec<_>, Vec<_>) =
            self.calls.drain(..).partition(|(_, call)| call.key.pod_uid == *uid);
        self.calls = kept.into();
        taken.into_iter().map(|(_, call)| call).collect()
    }
}
