use std::fmt;

use kube::core::{Expression, Selector, SelectorExt};
use serde::{Deserialize, Deserializer, de::Error};

use crate::pods::Labels;

/// A label selector in the text form of `kubectl -l`, such as `team=build,tier in (a, b),!keep`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSelector(Vec<Expression>);

impl LabelSelector {
    /// Whether every requirement holds.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }

    /// Whether all that `other` selects is selected, as far as the requirements' texts can tell.
    pub fn covers(&self, other: &Self) -> bool {
        self.0.iter().all(|requirement| other.0.contains(requirement))
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// With a sentence about the first requirement that is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let requirements = requirements(text).into_iter().map(|part| {
            requirement(part.trim()).ok_or_else(|| {
                format!(
                    "`{}` is no requirement of a label selector; write for example \
                     \"team=build\", \"tier in (a, b)\", \"keep\" or \"!keep\", with commas between",
                    part.trim()
                )
            })
        });
        Ok(Self(requirements.collect::<Result<_, _>>()?))
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().cloned().collect::<Selector>().fmt(f)
    }
}

impl<'de> Deserialize<'de> for LabelSelector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The parts between the commas that stand outside parentheses.
fn requirements(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .collect()
}

fn requirement(text: &str) -> Option<Expression> {
    if let Some(absent) = text.strip_prefix('!') {
        return Some(Expression::DoesNotExist(key(absent)?));
    }
    if let Some((name, one)) = text.split_once("!=") {
        return Some(Expression::NotEqual(key(name)?, value(one)?));
    }
    if let Some((name, one)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Some(Expression::Equal(key(name)?, value(one)?));
    }
    let Some((head, set)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) else {
        return Some(Expression::Exists(key(text)?));
    };
    let (name, operator) = head.trim_end().rsplit_once(char::is_whitespace)?;
    let (name, values) = (key(name)?, set.split(',').map(value).collect::<Option<_>>()?);
    match operator {
        "in" => Some(Expression::In(name, values)),
        "notin" => Some(Expression::NotIn(name, values)),
        _ => None,
    }
}

/// A key as the API server allows it: a name, perhaps after a domain and a slash.
fn key(text: &str) -> Option<String> {
    let text = text.trim();
    let (domain, name) = text.split_once('/').unwrap_or(("x", text));
    let domain_fits = domain.len() <= 253
        && domain.split('.').all(|part| {
            !part.is_empty()
                && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        });
    (domain_fits && is_name(name)).then(|| text.to_owned())
}

fn value(text: &str) -> Option<String> {
    let text = text.trim();
    (text.is_empty() || is_name(text)).then(|| text.to_owned())
}

fn is_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.chars().all(inner)
        && edge(text.chars().next())
        && edge(text.chars().next_back())
}

#[cfg(test)]
#[path = "selector_tests.rs"]
mod tests;
