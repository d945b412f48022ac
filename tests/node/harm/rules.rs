//! What must be true of every write that ends a pod.

use std::rc::Rc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use pullfuse::{
    attempts::{Causes, Judged, Source, Stage, Tally},
    classify::{Disposition, Failure as Text},
    config::{Capture, Limits, MaxAttempts},
    pods::{PodFacts, Trouble},
    policy::Decision,
    settings::Settings,
};
use serde_json::Value;

use super::{audit::Entry, fields::Kind, kubelet::Failure, runtime::Call, witness::RACE};

/// Words of a registry that is there, or of a network, that works again by itself.
const PASSING: [&str; 5] = [
    "429 Too Many Requests",
    "503 Service Unavailable",
    "500 Internal Server Error",
    "connect: connection refused",
    "i/o timeout",
];

/// A write that ends a pod, and all that is known about it.
pub struct Case<'a> {
    pub write: &'a Entry,
    pub kind: Kind,
    /// The node of this cluster that has a kubelet.
    pub node: &'a str,
    /// The pod as it was.
    pub before: &'a Value,
    pub image: &'a str,
    /// The attempts that the verdict speaks of.
    pub claimed: u64,
    /// The attempts that the kubelet made in vain since the image was there last.
    pub attempts: Vec<&'a Failure>,
    /// When the image came after the last of them.
    pub came: Option<Timestamp>,
    /// A pull for this pod that went on.
    pub in_flight: Option<Call>,
    /// Whether an operator wanted it, though the pod would only be reported.
    pub released: bool,
    /// What the agent was told, by what may have been in force.
    pub settings: Vec<Rc<Settings>>,
}

/// Returns what is wrong, as the rest of a sentence.
type Rule = fn(&Case<'_>) -> Option<String>;

pub const RULES: [Rule; 9] = [
    own_node,
    was_pending,
    names_the_version,
    fields,
    attempts,
    image_came,
    goes_on,
    limits,
    passing_fault,
];

fn own_node(case: &Case<'_>) -> Option<String> {
    let of_pod = case.before["spec"]["nodeName"].as_str().unwrap_or_default();
    let of_token = case.write.node.as_deref().unwrap_or(case.node);
    (of_pod != case.node || of_token != case.node)
        .then(|| format!("the pod is on {of_pod:?} and the agent on {of_token:?}"))
}

fn was_pending(case: &Case<'_>) -> Option<String> {
    let (phase, meta) = (&case.before["status"]["phase"], &case.before["metadata"]);
    if phase != "Pending" {
        return Some(format!("its phase was {phase} just before"));
    }
    let annotations = &meta["annotations"];
    if !annotations["kubernetes.io/config.mirror"].is_null() {
        return Some("it mirrors a static pod".into());
    }
    (!meta["deletionTimestamp"].is_null()).then(|| "it was being deleted".into())
}

fn names_the_version(case: &Case<'_>) -> Option<String> {
    if !case.write.seen {
        return None;
    }
    let (named, meta) = (&case.write.request["metadata"], &case.before["metadata"]);
    if named["uid"] != meta["uid"] {
        return Some(format!("the write names the UID {}, not the pod's", named["uid"]));
    }
    named["resourceVersion"].is_null().then(|| "the write names no version of the pod".into())
}

fn fields(case: &Case<'_>) -> Option<String> {
    let trespasses = case.kind.trespasses(case.before, &case.write.response);
    (case.write.seen && !trespasses.is_empty())
        .then(|| format!("it changed {}", trespasses.join(", ")))
}

fn attempts(case: &Case<'_>) -> Option<String> {
    let seen = case.attempts.len() as u64;
    (seen == 0 || case.claimed > seen)
        .then(|| format!("the verdict speaks of {} failed attempts", case.claimed))
}

fn image_came(case: &Case<'_>) -> Option<String> {
    Some(format!("the image came at {:.3}, after the last of them", case.came?))
}

fn goes_on(case: &Case<'_>) -> Option<String> {
    // Who does not hear the socket cannot know.
    let listens = |settings: &Rc<Settings>| settings.config.runtime.capture != Capture::Off;
    let call = case.in_flight.filter(|_| case.settings.iter().all(listens))?;
    let until = call.ended.map_or("now".into(), |ended| format!("{ended:.3}"));
    Some(format!("a pull for it went on, from {:.3} to {until}", call.began))
}

/// By its own configuration, and by what the kubelet saw, the agent had to end the pod.
fn limits(case: &Case<'_>) -> Option<String> {
    if case.settings.is_empty() {
        return Some("nobody knows what this agent was told: `Agents::ship` says it".into());
    }
    if case.attempts.is_empty() {
        return None;
    }
    let mut decisions = Vec::new();
    for settings in &case.settings {
        let Some(tally) = tally(case, settings) else { continue };
        let pod = serde_json::from_value::<Pod>(case.before.clone()).ok()?;
        let facts = PodFacts::read(&pod)?;
        let at = case.write.at + RACE + RACE;
        let ruling = settings.policy.judge(&facts, case.image, &tally, at);
        let ends = match ruling.decision {
            Decision::Fail => true,
            Decision::Report(_) => case.released,
            Decision::Wait(_) | Decision::Leave(_) => false,
        };
        if ends && !ruling.dry_run {
            return None;
        }
        let dry_run = if ruling.dry_run { " in a dry run" } else { "" };
        let limit = ruling.limit.map_or("never".into(), |limit| limit.to_string());
        decisions.push(format!(
            "{:?}{dry_run} after {} of {limit} attempts",
            ruling.decision, ruling.counted
        ));
    }
    Some(format!("its configuration says: {}", decisions.join("; or ")))
}

/// What the agent would have counted, had it seen what the kubelet saw.
fn tally(case: &Case<'_>, settings: &Settings) -> Option<Tally> {
    let (first, last) = (case.attempts.first()?, case.attempts.last()?);
    let mut causes = Causes::default();
    for (number, attempt) in (1..).zip(&case.attempts) {
        let cause = settings.classifier.classify(&Text {
            message: &attempt.text,
            reason: Some(&attempt.reason),
            image: Some(case.image),
            ..Text::default()
        });
        causes.set_last(number, Judged { class: cause.class, disposition: cause.disposition });
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Some(Tally {
        namespace: text(&case.before["metadata"]["namespace"]),
        pod: text(&case.before["metadata"]["name"]),
        attempts: u32::try_from(case.attempts.len()).unwrap_or(u32::MAX),
        first_attempt: first.at,
        last_attempt: last.at,
        trouble: Trouble { reason: last.reason.clone(), message: last.text.clone() },
        seen: Vec::new(),
        causes,
        stage: Stage::BackingOff,
        image_was_present: None,
        source: Source::Wire,
        unconfirmed: 0,
        last_call: None,
    })
}

/// Whatever the causes are called: some words never mean that an image does not exist.
fn passing_fault(case: &Case<'_>) -> Option<String> {
    let text = &case.attempts.last()?.text;
    let words = PASSING.into_iter().find(|words| text.contains(words))?;
    let never = |settings: &Rc<Settings>| {
        let config = &settings.config;
        let transient = config.limits.of_disposition(Disposition::Transient).max_attempts;
        let own =
            |limits: &Limits| limits.transient.max_attempts.is_some() || !limits.class.is_empty();
        let any = own(&config.limits) || config.scopes.iter().any(|scope| own(&scope.limits));
        config.rules.is_empty() && !any && transient == MaxAttempts::Never
    };
    (!case.settings.is_empty() && case.settings.iter().all(never))
        .then(|| format!("the last attempt failed of what passes: {words:?}"))
}
