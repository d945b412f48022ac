//! From an error's text to its cause, and from the cause to what it means for the pod.
//!
//! In: a [`Failure`]: the text as the runtime or the kubelet gave it. Out: a [`Cause`]. Touches
//! nothing; of a long text only its ends are examined.

mod class;
mod code;
mod host;
mod neutral;
mod rules;
mod text;

use regex::RegexSet;
use serde::Serialize;

use crate::config;
pub use class::{Class, Disposition};
pub use code::Code;
use host::Failing;
pub use host::registry_of;
use rules::{Rule, When};

/// What is known of a failed attempt.
#[derive(Debug, Clone, Copy, Default)]
pub struct Failure<'a> {
    /// The text; empty when unknown.
    pub message: &'a str,
    /// The gRPC status of the call.
    pub code: Option<Code>,
    /// The runtime, such as `containerd 2.4.2`.
    pub runtime: Option<&'a str>,
    /// The kubelet's waiting reason, such as `InvalidImageName`.
    pub reason: Option<&'a str>,
    /// The image that was asked for.
    pub image: Option<&'a str>,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// The class of the cause.
    pub class: Class,
    /// What it means for the pod.
    pub disposition: Disposition,
    /// The rule that matched: one of pullfuse's own, or a name in `[[rules]]`.
    pub rule: String,
    /// One line for the pod's owner.
    pub advice: String,
    /// The host that failed, where the text tells.
    pub host: Option<String>,
}

/// All rules, ready for use.
#[derive(Debug)]
pub struct Classifier {
    own: Vec<config::Rule>,
    rules: Vec<&'static Rule>,
    patterns: RegexSet,
}

impl Classifier {
    /// The user's rules first, in order, then pullfuse's own.
    pub fn new(own: &[config::Rule]) -> Self {
        let rules: Vec<&Rule> = rules::all().collect();
        let patterns = rules.iter().map(|rule| match rule.when {
            When::Text(patterns) => patterns.join("|"),
            // Matches nothing; keeps the positions of table and set the same.
            _ => r"[^\x00-\x{10FFFF}]".to_owned(),
        });
        // The patterns are constants, and a test compiles them. Without them every cause would be
        // unknown.
        let patterns = RegexSet::new(patterns).unwrap_or_default();
        Self { own: own.to_vec(), rules, patterns }
    }

    /// Finds the cause.
    pub fn classify(&self, failure: &Failure<'_>) -> Cause {
        let text = text::readable(failure.message);
        let (rule, failing) = self.explain(&text, failure);
        let registry = failure.image.or_else(|| host::image_in(&text)).map(registry_of);
        let mut cause = Cause {
            class: rule.class,
            disposition: rule.class.disposition(),
            rule: rule.id.to_owned(),
            advice: rule.advice.to_owned(),
            host: failing.as_ref().map(|failing| failing.host.clone()),
        };
        if let (Some(failing), Some(registry)) = (&failing, &registry) {
            cause.advice += &remark(failing, registry, rule.class);
        }
        self.blame_node_for_its_own_image(&text, &mut cause);
        if !self.own.is_empty() {
            let hosts = [cause.host.clone(), registry];
            let hosts: Vec<&str> = hosts.iter().flatten().map(String::as_str).collect();
            // The kubelet's text gives the status that the call had.
            let code = failure.code.or_else(|| neutral::neutral(&text).1);
            let mut own = self.own.iter().enumerate();
            if let Some((at, own)) = own.find(|(_, own)| own.matches(&text, code, &hosts)) {
                overrule(&mut cause, at, own, &self.rules);
            }
        }
        cause
    }

    /// The rule that explains the whole text, and the host that failed.
    fn explain(&self, text: &str, failure: &Failure<'_>) -> (&'static Rule, Option<Failing>) {
        let explained = text::explanations(text).into_iter().map(|explanation| {
            let mut text = explanation.text;
            let mut rule = self.first(text, failure);
            // CRI-O's mirrors come before the registry, whose answer counts if it is definite.
            if let (Some(mirrors), true) = (explanation.mirrors, leaves_doubt(rule)) {
                let mirror = self.first(mirrors, failure);
                if rank(mirror) < rank(rule) && will_pass(mirror) {
                    (text, rule) = (mirrors, mirror);
                }
            }
            (rule, text)
        });
        // One credential that met a passing fault leaves open what it would have found. Without
        // one, what a credential with rights found is worth more than the refusal of another.
        let best = explained.min_by_key(|(rule, _)| rank(rule));
        // There is always one explanation; the last rule always matches.
        let (rule, part) = best.unwrap_or((self.rules[self.rules.len() - 1], text));
        (rule, host::failing(part).or_else(|| host::failing(text)))
    }

    fn first(&self, text: &str, failure: &Failure<'_>) -> &'static Rule {
        let (neutral, code) = neutral::neutral(text);
        let code = code.or(failure.code);
        let matched = self.patterns.matches(&neutral);
        let applies = |(at, rule): &(usize, &&'static Rule)| match rule.when {
            When::Text(_) => matched.matched(*at),
            When::Reason(reason) => failure.reason == Some(reason),
            When::Code(of) => code == Some(of),
            When::Always => true,
        };
        let first = self.rules.iter().enumerate().find(applies);
        first.map_or(self.rules[self.rules.len() - 1], |(_, rule)| rule)
    }

    /// A sandbox's pause image is named by the runtime's configuration.
    fn blame_node_for_its_own_image(&self, text: &str, cause: &mut Cause) {
        let counts = matches!(cause.disposition, Disposition::Permanent | Disposition::Ambiguous);
        if counts && text.contains("sandbox image") {
            cause.disposition = Disposition::NodeFault;
            cause.advice += "; it is the node's own pause image, not the pod's: check sandbox_image \
                or pause_image in the runtime's configuration";
        }
    }
}

/// Which of several explanations counts: the least does.
fn rank(rule: &Rule) -> u8 {
    match rule.class.disposition() {
        Disposition::NodeFault => 0,
        Disposition::Transient => 1,
        Disposition::Permanent => 2,
        Disposition::Ambiguous if rule.class != Class::Unknown => 3,
        Disposition::Ambiguous => 4,
    }
}

fn leaves_doubt(rule: &Rule) -> bool {
    rule.class.disposition() == Disposition::Ambiguous
}

fn will_pass(rule: &Rule) -> bool {
    matches!(rule.class.disposition(), Disposition::Transient | Disposition::NodeFault)
}

/// What a user's rule says instead.
fn overrule(cause: &mut Cause, at: usize, own: &config::Rule, rules: &[&Rule]) {
    cause.rule = own.name.clone().unwrap_or_else(|| format!("rules[{at}]"));
    if let Some(class) = own.class {
        if class != cause.class {
            let rule = rules.iter().find(|rule| rule.class == class);
            cause.advice = rule.map_or_else(String::new, |rule| rule.advice.to_owned());
        }
        cause.class = class;
        cause.disposition = class.disposition();
    }
    cause.disposition = own.disposition.unwrap_or(cause.disposition);
    if let Some(advice) = &own.advice {
        cause.advice.clone_from(advice);
    }
}

/// What to add where the host that failed is not the image's registry.
fn remark(failing: &Failing, registry: &str, class: Class) -> String {
    let host = &failing.host;
    // An address may well be the registry's own; a proxy's is not.
    let unclear = host::is_address(host) && class != Class::Proxy;
    if host::belongs_to(host, registry) {
        String::new()
    } else if failing.mirror {
        format!("; the mirror {host} failed, and {registry} itself may not have been asked")
    } else if unclear {
        String::new()
    } else {
        format!("; what failed is {host}, not {registry} itself")
    }
}

#[cfg(test)]
mod tests;
