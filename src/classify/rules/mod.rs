//! The table of causes, as data. The first rule that matches decides, so the order of the parts and
//! of the rules in them matters.
//!
//! A pattern sees the neutral form of a text (`neutral.rs`): lower-case, one space between words, no
//! quotes, `~` for every name. The regular expressions run in linear time.

mod advice;
mod answer;
mod content;
mod hint;
mod node;
mod status;
mod transport;

use super::{Class, Code};

/// One cause, one wording of it.
#[derive(Debug)]
pub(super) struct Rule {
    /// Its name in output; never changes.
    pub(super) id: &'static str,
    /// The cause.
    pub(super) class: Class,
    /// What it looks for.
    pub(super) when: When,
    /// Where it was seen.
    #[allow(dead_code, reason = "for whoever changes the rule")]
    pub(super) seen: &'static str,
    /// What the pod's owner can do.
    pub(super) advice: &'static str,
}

/// What a rule looks for.
#[derive(Debug)]
pub(super) enum When {
    /// One of these patterns in the neutral text.
    Text(&'static [&'static str]),
    /// This waiting reason of the kubelet.
    Reason(&'static str),
    /// This gRPC status; only where no text says more.
    Code(Code),
    /// Always.
    Always,
}

/// All rules, in order.
pub(super) fn all() -> impl Iterator<Item = &'static Rule> {
    [
        // A registry that answers with a status has said what is wrong, whatever else it says: its
        // own words may tell of a host that *it* could not look up.
        status::RULES,
        // What the node cannot do says nothing about the image.
        node::RULES,
        transport::RULES,
        content::RULES,
        answer::RULES,
        hint::RULES,
    ]
    .into_iter()
    .flatten()
}

/// `When::Text`, shorter.
const fn text(patterns: &'static [&'static str]) -> When {
    When::Text(patterns)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn every_rule_has_a_name_of_its_own_and_says_what_to_do() {
        let mut ids = BTreeSet::new();
        for rule in all() {
            let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(rule.id.chars().all(kebab), "{}", rule.id);
            assert!(ids.insert(rule.id), "{} twice", rule.id);
            assert!(!rule.seen.is_empty() && !rule.advice.is_empty(), "{}", rule.id);
            assert!(!rule.advice.contains('\n') && rule.advice.len() < 200, "{}", rule.id);
        }
    }

    #[test]
    fn every_pattern_is_valid_and_fits_the_neutral_text() {
        for rule in all() {
            let When::Text(patterns) = rule.when else { continue };
            for pattern in patterns {
                let compiled = regex::Regex::new(pattern).expect(rule.id);
                assert!(!compiled.is_match(""), "{} matches everything", rule.id);
                let foreign = |c: char| c == '"' || c.is_ascii_uppercase() || !c.is_ascii();
                assert!(!pattern.contains(foreign), "{}: never in a neutral text", rule.id);
            }
        }
    }

    #[test]
    fn every_class_can_be_reached() {
        for class in Class::iter() {
            assert!(all().any(|rule| rule.class == class), "{}", class.as_str());
        }
    }
}
