use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::classify::{Class, Disposition};

/// A cause, and what it means for the pod. A rule of the user may say of a class what its name
/// would not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Judged {
    /// The cause.
    pub class: Class,
    /// What it means.
    pub disposition: Disposition,
}

impl From<Class> for Judged {
    fn from(class: Class) -> Self {
        Self { class, disposition: class.disposition() }
    }
}

/// How many attempts of a tally failed of which cause. Attempts of which nothing is known, such as
/// those that an older pullfuse counted, are of class `unknown`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Causes {
    #[serde(default)]
    counts: BTreeMap<Disposition, BTreeMap<Class, u32>>,
    #[serde(default)]
    last: Option<Judged>,
}

impl Causes {
    /// Notes the cause of the last of `attempts`; of the same attempt the last word counts.
    pub fn set_last(&mut self, attempts: u32, cause: Judged) {
        if let Some(before) = self.last
            && self.total() >= attempts
        {
            self.add(before, -1);
        }
        let skipped = attempts.saturating_sub(1).saturating_sub(self.total());
        if skipped > 0 {
            self.add(Class::Unknown.into(), i64::from(skipped));
        }
        self.add(cause, 1);
        self.last = Some(cause);
    }

    /// What the last of `attempts` failed of.
    pub fn last(&self, attempts: u32) -> Judged {
        self.last.filter(|_| self.total() >= attempts).unwrap_or(Class::Unknown.into())
    }

    /// How many of `attempts` failed of what `of` holds for.
    pub fn count(&self, attempts: u32, of: impl Fn(Judged) -> bool) -> u32 {
        let unknown = attempts.saturating_sub(self.total());
        let rest = (unknown > 0 && of(Class::Unknown.into())).then_some(unknown);
        let counts = self.iter().filter(|(cause, _)| of(*cause)).map(|(_, count)| count);
        counts.chain(rest).fold(0, u32::saturating_add)
    }

    /// Every cause that is known, and how many attempts failed of it.
    pub fn iter(&self) -> impl Iterator<Item = (Judged, u32)> {
        self.counts.iter().flat_map(|(&disposition, classes)| {
            classes.iter().map(move |(&class, &count)| (Judged { class, disposition }, count))
        })
    }

    fn total(&self) -> u32 {
        self.iter().fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    fn add(&mut self, cause: Judged, number: i64) {
        let classes = self.counts.entry(cause.disposition).or_default();
        let count = classes.entry(cause.class).or_default();
        let sum = i64::from(*count).saturating_add(number);
        *count = u32::try_from(sum.max(0)).unwrap_or(u32::MAX);
        if *count == 0 {
            classes.remove(&cause.class);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(causes: &Causes, attempts: u32, class: Class) -> u32 {
        causes.count(attempts, |cause| cause.class == class)
    }

    #[test]
    fn a_cause_that_is_known_later_takes_the_place_of_the_first_guess() {
        let mut causes = Causes::default();
        causes.set_last(1, Class::Unknown.into());
        causes.set_last(1, Class::NotFound.into());
        causes.set_last(2, Class::Dns.into());
        assert_eq!(number(&causes, 2, Class::Unknown), 0);
        assert_eq!(number(&causes, 2, Class::NotFound), 1);
        assert_eq!(causes.last(2), Class::Dns.into());
    }

    #[test]
    fn attempts_of_which_nothing_was_kept_are_unknown() {
        let old: Causes = serde_json::from_str("{}").unwrap();
        assert_eq!(number(&old, 4, Class::Unknown), 4);
        assert_eq!(old.last(4), Class::Unknown.into());
        let mut causes = old;
        causes.set_last(5, Class::NotFound.into());
        assert_eq!(
            (number(&causes, 5, Class::Unknown), number(&causes, 5, Class::NotFound)),
            (4, 1)
        );
        assert_eq!(causes.last(6), Class::Unknown.into(), "the sixth has not been looked at");
        assert_eq!(number(&causes, 6, Class::Unknown), 5);
    }

    #[test]
    fn no_number_in_a_damaged_ledger_is_too_large() {
        let text = r#"{"counts":{"permanent":{"not_found":4294967295,"dns":7}},"last":null}"#;
        let mut causes: Causes = serde_json::from_str(text).unwrap();
        causes.set_last(u32::MAX, Class::NotFound.into());
        assert_eq!(causes.count(u32::MAX, |_| true), u32::MAX);
    }

    #[test]
    fn what_a_rule_of_the_user_says_is_kept_with_the_attempt() {
        let mut causes = Causes::default();
        let judged = Judged { class: Class::Dns, disposition: Disposition::Permanent };
        causes.set_last(1, judged);
        causes.set_last(2, Class::Dns.into());
        let text = serde_json::to_string(&causes).unwrap();
        let causes: Causes = serde_json::from_str(&text).unwrap();
        assert_eq!(causes.count(2, |cause| cause.disposition == Disposition::Permanent), 1);
        assert_eq!(causes.iter().collect::<Vec<_>>(), [(judged, 1), (Class::Dns.into(), 1)]);
    }
}
