//! Decides from one pod, one tally, the configuration and the time whether the pod is to be ended.
//!
//! In: [`PodFacts`], a [`Tally`], a [`Config`] and the time. Out: a [`Ruling`]; and whether what it
//! says may be done now: [`caps`], [`breaker`]. Pure.

mod asked;
pub mod breaker;
pub mod caps;
mod ruling;
mod scopes;

use jiff::Timestamp;

pub use self::ruling::{Because, Decision, Ruling};
use self::{asked::Asking, scopes::CompiledScope};
use crate::{
    attempts::{Judged, Tally},
    classify::Disposition,
    config::{Action, Annotations, Config, InForce, Limits, MaxAttempts, Mode},
    pods::{ImageState, PodFacts},
};

/// The namespace whose pods keep the cluster itself alive; touched only where a scope names it.
pub const PROTECTED_NAMESPACE: &str = "kube-system";
/// Priority classes that the scheduler and the kubelet treat as indispensable.
pub const PROTECTED_PRIORITIES: [&str; 2] = ["system-cluster-critical", "system-node-critical"];

/// The configuration, made ready to judge by.
#[derive(Debug, Clone)]
pub struct Policy {
    dry_run: bool,
    limits: Limits,
    scopes: Vec<CompiledScope>,
    annotations: Annotations,
}

impl Policy {
    /// Takes what it needs of a configuration.
    pub fn new(config: &Config) -> Self {
        Self {
            dry_run: config.mode == Mode::DryRun,
            limits: config.limits.clone(),
            scopes: (config.scopes.iter())
                .map(|scope| CompiledScope::new(scope, &config.limits))
                .collect(),
            annotations: config.annotations.clone(),
        }
    }

    /// Judges one image of one pod.
    pub fn judge(&self, pod: &PodFacts, image: &str, tally: &Tally, now: Timestamp) -> Ruling {
        let scope = scopes::first_match(&self.scopes, pod, image);
        let limits = scope.map_or(&self.limits, |scope| &scope.limits);
        let asking = Asking::read(&pod.asked, &self.annotations);
        let cause = tally.cause();
        let limit = in_force(limits, cause, &asking);
        let counted = counted(limits, cause, tally);
        let action = action(pod, scope, &asking);
        let only_reported = match action {
            ActionFor::Report(because) => Some(because),
            ActionFor::Fail | ActionFor::Ignore(_) => None,
        };
        let decision = match untouchable(pod, image, scope) {
            Some(because) => Decision::Leave(because),
            None => decide(action, cause.disposition, limit, counted, tally.first_attempt, now),
        };
        Ruling {
            decision,
            scope: scope.map(|scope| scope.conditions.name.clone()),
            limit: limit.max_attempts.number(),
            counted,
            reached_at: (decision == Decision::Leave(Because::BelowLimit))
                .then(|| reached_at(limit, counted, tally))
                .flatten(),
            only_reported,
            dry_run: self.dry_run || scope.is_some_and(|scope| scope.dry_run),
            bad_annotations: asking.bad,
        }
    }
}

/// What is done when the limit is reached, and why not more.
enum ActionFor {
    Fail,
    Report(Because),
    Ignore(Because),
}

/// The mildest of what scope, restartPolicy and annotation say.
fn action(pod: &PodFacts, scope: Option<&CompiledScope>, asking: &Asking) -> ActionFor {
    let of_scope = scope.map_or(Action::Fail, |scope| scope.conditions.action);
    if of_scope == Action::Ignore {
        ActionFor::Ignore(Because::IgnoredByScope)
    } else if asking.action == Some(Action::Ignore) {
        ActionFor::Ignore(Because::IgnoredByAnnotation)
    } else if of_scope == Action::Report {
        ActionFor::Report(Because::ReportedByScope)
    } else if asking.action == Some(Action::Report) {
        ActionFor::Report(Because::ReportedByAnnotation)
    } else if !matches!(pod.restart_policy.as_str(), "Never" | "OnFailure")
        && !scope.is_some_and(|scope| scope.names_always)
    {
        ActionFor::Report(Because::RestartPolicyAlways)
    } else {
        ActionFor::Fail
    }
}

fn decide(
    action: ActionFor,
    disposition: Disposition,
    limit: InForce,
    counted: u32,
    first_attempt: Timestamp,
    now: Timestamp,
) -> Decision {
    let reached = match action {
        ActionFor::Ignore(because) => return Decision::Leave(because),
        ActionFor::Report(because) => Decision::Report(because),
        ActionFor::Fail => Decision::Fail,
    };
    let Some(number) = limit.max_attempts.number() else {
        return Decision::Leave(match disposition {
            Disposition::Transient => Because::Transient,
            Disposition::NodeFault => Because::NodeFault,
            Disposition::Permanent | Disposition::Ambiguous => Because::NeverLimit,
        });
    };
    if counted < number {
        return Decision::Leave(Because::BelowLimit);
    }
    match first_attempt.checked_add(limit.min_elapsed) {
        Ok(until) if until > now => Decision::Wait(until),
        // Past the end of time only with a damaged clock; then the pod is not ended.
        Err(_) => Decision::Leave(Because::BelowLimit),
        Ok(_) => reached,
    }
}

fn reached_at(limit: InForce, counted: u32, tally: &Tally) -> Option<Timestamp> {
    let more = limit.max_attempts.number()?.checked_sub(counted)?;
    let elapsed = tally.first_attempt.checked_add(limit.min_elapsed).ok()?;
    tally.attempt_after(more).map(|attempt| attempt.max(elapsed))
}

/// The limit of the last attempt's cause. A pod may ask for another number, but not turn what never
/// fails into what does.
fn in_force(limits: &Limits, cause: Judged, asking: &Asking) -> InForce {
    let limit = limits.of_cause(cause.class, cause.disposition);
    let may_ask = matches!(cause.disposition, Disposition::Permanent | Disposition::Ambiguous)
        && limit.max_attempts != MaxAttempts::Never;
    match asking.max_attempts {
        Some(asked) if may_ask => InForce { max_attempts: MaxAttempts::Number(asked), ..limit },
        _ => limit,
    }
}

/// The attempts that the limit of the last one's cause is compared with. A class with a limit of its
/// own is counted by itself. For the others an attempt counts as long as its cause is at least as
/// lasting: four missing tags and four refusals are eight reasons to doubt, but only four to be sure.
fn counted(limits: &Limits, last: Judged, tally: &Tally) -> u32 {
    tally.causes.count(tally.attempts, |cause| {
        if limits.has_own_count(last.class) || limits.has_own_count(cause.class) {
            return cause.class == last.class;
        }
        match last.disposition {
            Disposition::NodeFault => cause.disposition == Disposition::NodeFault,
            wanted => cause.disposition <= wanted,
        }
    })
}

/// The reasons that no limit and no action can overrule, the most lasting first.
fn untouchable(pod: &PodFacts, image: &str, scope: Option<&CompiledScope>) -> Option<Because> {
    let failing = pod.images.get(image).is_some_and(|state| *state != ImageState::Pulled);
    if pod.mirror {
        Some(Because::MirrorPod)
    } else if PROTECTED_PRIORITIES.contains(&pod.priority_class.as_str()) {
        Some(Because::ProtectedPriority)
    } else if pod.namespace == PROTECTED_NAMESPACE && scope.is_none() {
        Some(Because::ProtectedNamespace)
    } else if pod.labels.is_none() {
        Some(Because::TooManyLabels)
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
mod simulation_tests;
#[cfg(test)]
mod tests;
