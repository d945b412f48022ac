//! What is valid and yet hardly meant.

use jiff::SignedDuration;
use strum::IntoEnumIterator;

use super::{kubelet, reach, rules};
use crate::{
    classify::{Class, Disposition},
    config::{
        Action, Config, InForce, Limit, Limits, MIN_ELAPSED, MaxAttempts, Mode, RestartPolicy,
        Scope,
    },
    policy::{PROTECTED_NAMESPACE, PROTECTED_PRIORITIES},
};

/// A transient trouble of an hour takes the kubelet more attempts than this.
const FEW_FOR_TRANSIENT: u32 = 10;
/// Who waits longer than this for a verdict has probably not done the sum.
const LONG: SignedDuration = SignedDuration::from_hours(6);
/// Owners that make only pods with restartPolicy Always.
const FOR_EVER: [&str; 4] = ["ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController"];
/// Owners of owners, and whom they own.
const INDIRECT: [(&str, &str); 2] = [("Deployment", "ReplicaSet"), ("CronJob", "Job")];

/// Every warning about this configuration, as a sentence that says what to do.
pub(super) fn all(config: &Config) -> Vec<String> {
    let mut warnings = of_limits("limits", &config.limits, &config.limits);
    for (number, scope) in config.scopes.iter().enumerate() {
        let name = &scope.name;
        let earlier = config.scopes.iter().take(number);
        if let Some(earlier) = earlier.into_iter().find(|earlier| reach::covers(earlier, scope)) {
            warnings.push(format!(
                "scope `{name}` takes in no pod: scope `{}` before it takes in all of them; move \
                 `{name}` up, or remove it",
                earlier.name
            ));
        }
        warnings.extend(of_conditions(scope));
        warnings.extend(of_action(scope, config.mode));
        let merged = scope.limits.over(&config.limits);
        warnings.extend(of_limits(&format!("scope `{name}`: limits"), &scope.limits, &merged));
    }
    warnings.extend(rules::warnings(config));
    let caps = &config.caps;
    if caps.per_namespace > caps.per_node {
        warnings.push(format!(
            "caps.per_namespace = {} has no effect: caps.per_node = {} is reached first",
            caps.per_namespace, caps.per_node
        ));
    }
    warnings
}

fn of_conditions(scope: &Scope) -> Vec<String> {
    let mut warnings = Vec::new();
    let name = &scope.name;
    if let Some(pattern) = reach::means_protected_in_vain(scope) {
        warnings.push(format!(
            "scope `{name}`: namespaces `{pattern}` does not take in {PROTECTED_NAMESPACE}, which is \
             protected; write \"{PROTECTED_NAMESPACE}\" itself if you mean it"
        ));
    }
    for (owner, owned) in INDIRECT {
        if scope.owners.iter().flatten().any(|kind| kind == owner) {
            warnings.push(format!(
                "scope `{name}`: no pod is owned by a {owner} itself; write owners = [\"{owned}\"]"
            ));
        }
    }
    for class in scope.priority_classes.iter().flatten() {
        if PROTECTED_PRIORITIES.contains(&class.as_str()) {
            warnings.push(format!(
                "scope `{name}`: pods of priority class {class} are never failed; remove it"
            ));
        }
    }
    warnings
}

fn of_action(scope: &Scope, node: Mode) -> Vec<String> {
    let mut warnings = Vec::new();
    let name = &scope.name;
    let all_for_ever = scope
        .owners
        .as_ref()
        .is_some_and(|owners| owners.iter().all(|kind| FOR_EVER.contains(&kind.as_str())));
    if scope.action == Action::Fail && all_for_ever && scope.restart_policies.is_none() {
        warnings.push(format!(
            "scope `{name}`: its pods have restartPolicy Always, so they are only reported; write \
             action = \"report\", or restart_policies = [\"{}\"] to fail them although their owner \
             makes new ones",
            RestartPolicy::Always.as_str()
        ));
    }
    if scope.action == Action::Ignore && scope.limits != Limits::default() {
        warnings.push(format!("scope `{name}`: limits have no effect with action = \"ignore\""));
    }
    match (node, scope.mode) {
        (Mode::DryRun, Some(Mode::DryRun)) => warnings.push(format!(
            "scope `{name}`: mode = \"dry-run\" has no effect: the whole node has it; remove one"
        )),
        (Mode::DryRun, Some(Mode::Enforce)) => warnings.push(format!(
            "scope `{name}`: mode = \"enforce\" has no effect while the node's mode is \"dry-run\"; \
             for a dry run of all the others, set mode = \"enforce\" and end with a scope that has \
             mode = \"dry-run\" and no conditions"
        )),
        _ => {}
    }
    warnings
}

/// About what `stated` says itself; `merged` is what it comes to.
fn of_limits(place: &str, stated: &Limits, merged: &Limits) -> Vec<String> {
    let permanent = Limit { max_attempts: stated.max_attempts, min_elapsed: stated.min_elapsed };
    let mut warnings = Vec::new();
    for disposition in Disposition::iter() {
        let (table, limit) = match disposition {
            Disposition::Permanent => (String::new(), permanent),
            Disposition::Ambiguous => (".ambiguous".into(), stated.ambiguous),
            Disposition::Transient => (".transient".into(), stated.transient),
            Disposition::NodeFault => (".node_fault".into(), stated.node_fault),
        };
        let place = format!("{place}{table}");
        let in_force = merged.of_disposition(disposition);
        warnings.extend(of_one(&place, disposition, limit, in_force));
    }
    for (class, limit) in &stated.class {
        let place = format!("{place}.class.{}", class.as_str());
        let in_force = merged.of_cause(*class, class.disposition());
        warnings.extend(of_one(&place, class.disposition(), *limit, in_force));
    }
    let number = |disposition| merged.of_disposition(disposition).max_attempts;
    let (permanent, ambiguous) = (number(Disposition::Permanent), number(Disposition::Ambiguous));
    let said_here = stated.max_attempts.or(stated.ambiguous.max_attempts).is_some();
    if said_here && ambiguous < permanent {
        warnings.push(format!(
            "{place}: doubtful causes end a pod after {ambiguous} attempts, sooner than permanent \
             ones ({permanent}); raise ambiguous.max_attempts"
        ));
    }
    if said_here && never_ends(merged) {
        warnings.push(format!("{place}: every number is \"never\", so no pod is ever failed"));
    }
    warnings
}

fn of_one(place: &str, disposition: Disposition, stated: Limit, in_force: InForce) -> Vec<String> {
    let mut warnings = Vec::new();
    let Some(number) = in_force.max_attempts.number() else { return warnings };
    let earliest = kubelet::earliest(in_force).unwrap_or_default();
    if stated.max_attempts.is_some() {
        match disposition {
            Disposition::Transient if number < FEW_FOR_TRANSIENT => warnings.push(format!(
                "{place}.max_attempts = {number}: what passes by itself would end pods {earliest:#} \
                 after they were added; use {FEW_FOR_TRANSIENT} or more, or \"never\""
            )),
            Disposition::NodeFault => warnings.push(format!(
                "{place}.max_attempts = {number}: pods would be ended for a fault of their node; use \
                 \"never\""
            )),
            _ => {}
        }
    }
    if (stated.max_attempts.is_some() || stated.min_elapsed.is_some()) && earliest > LONG {
        warnings.push(format!(
            "{place}: with {number} attempts and {:#} no pod is ended before {earliest:#} have passed",
            in_force.min_elapsed
        ));
    }
    let chosen = |time: &SignedDuration| ![SignedDuration::ZERO, MIN_ELAPSED].contains(time);
    if stated.min_elapsed.filter(chosen).is_some()
        && kubelet::attempt(1).saturating_add(in_force.min_elapsed) <= kubelet::attempt(number)
    {
        warnings.push(format!(
            "{place}.min_elapsed = \"{:#}\" has no effect: the kubelet needs {:#} for {number} \
             attempts",
            in_force.min_elapsed,
            kubelet::attempt(number)
        ));
    }
    warnings
}

fn never_ends(limits: &Limits) -> bool {
    let of_class = |class: Class| limits.of_cause(class, class.disposition());
    Class::iter().all(|class| of_class(class).max_attempts == MaxAttempts::Never)
}
