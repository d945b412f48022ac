//! Decides from one pod, one tally and the limits whether the pod is to be ended.
//!
//! In: [`PodFacts`], a [`Tally`], [`Limits`] and the time. Out: a [`Decision`]. Pure.

use jiff::Timestamp;

use crate::{
    attempts::Tally,
    config::Limits,
    pods::{ImageState, PodFacts},
};

/// Namespaces whose pods keep the cluster itself alive.
const PROTECTED_NAMESPACES: [&str; 1] = ["kube-system"];
/// Priority classes that the scheduler and the kubelet treat as indispensable.
const PROTECTED_PRIORITIES: [&str; 2] = ["system-cluster-critical", "system-node-critical"];

/// What is to happen with a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// End it.
    Fail,
    /// The count is reached, the time is not: ask again then.
    Wait(Timestamp),
    /// Leave it alone.
    Leave(Because),
}

/// Why a pod is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Because {
    /// A file on the node controls it; the API server only shows a copy.
    MirrorPod,
    /// Its namespace is never touched.
    ProtectedNamespace,
    /// Its priority class is never touched.
    ProtectedPriority,
    /// Its owner would replace it for ever.
    RestartPolicyAlways,
    /// It is being deleted.
    Deleting,
    /// Its phase is not Pending: it runs or has ended.
    NotPending,
    /// Its status does not show a failing pull of this image now.
    NotFailing,
    /// Fewer attempts than the limit.
    BelowLimit,
}

impl Because {
    /// The name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MirrorPod => "mirror_pod",
            Self::ProtectedNamespace => "protected_namespace",
            Self::ProtectedPriority => "protected_priority",
            Self::RestartPolicyAlways => "restart_policy_always",
            Self::Deleting => "deleting",
            Self::NotPending => "not_pending",
            Self::NotFailing => "not_failing",
            Self::BelowLimit => "below_limit",
        }
    }
}

/// Judges one image of one pod.
pub fn decide(
    pod: &PodFacts,
    image: &str,
    tally: &Tally,
    limits: &Limits,
    now: Timestamp,
) -> Decision {
    if let Some(because) = leave(pod, image) {
        return Decision::Leave(because);
    }
    if tally.attempts < limits.max_attempts {
        return Decision::Leave(Because::BelowLimit);
    }
    match tally.first_attempt.checked_add(limits.min_elapsed) {
        Ok(until) if until > now => Decision::Wait(until),
        // Past the end of time only with a damaged clock; then the pod is not ended.
        Err(_) => Decision::Leave(Because::BelowLimit),
        Ok(_) => Decision::Fail,
    }
}

/// The reasons that do not depend on any count, the most lasting first.
fn leave(pod: &PodFacts, image: &str) -> Option<Because> {
    let failing = pod.images.get(image).is_some_and(|state| *state != ImageState::Pulled);
    if pod.mirror {
        Some(Because::MirrorPod)
    } else if PROTECTED_NAMESPACES.contains(&pod.namespace.as_str()) {
        Some(Because::ProtectedNamespace)
    } else if PROTECTED_PRIORITIES.contains(&pod.priority_class.as_str()) {
        Some(Because::ProtectedPriority)
    } else if !matches!(pod.restart_policy.as_str(), "Never" | "OnFailure") {
        Some(Because::RestartPolicyAlways)
    } else if pod.deleting {
        Some(Because::Deleting)
    } else if pod.phase != "Pending" {
        Some(Because::NotPending)
    } else if !failing {
        Some(Because::NotFailing)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
