//! `[[rules]]`: the user's own words on what an error means.

use std::fmt;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer, de::Error};

use super::Pattern;
use crate::classify::{Class, Code, Disposition};

/// Most memory of one compiled expression, in bytes.
const EXPRESSION_LIMIT: usize = 1 << 20;

/// One of `[[rules]]`. All its conditions must hold; the first rule that holds decides.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Rule {
    /// Its name in output; `rules[0]` and so on where it has none.
    pub name: Option<String>,
    /// Condition: an expression that is found in the text.
    pub pattern: Option<Expression>,
    /// Condition: the host that failed, or the image's registry, with its port or without.
    pub registry: Option<Registry>,
    /// Condition: the gRPC status of the call.
    pub code: Option<Code>,
    /// The class that the cause gets.
    pub class: Option<Class>,
    /// What it means for the pod, whatever the class.
    pub disposition: Option<Disposition>,
    /// One line for the pod's owner.
    pub advice: Option<String>,
}

impl Rule {
    /// Whether all conditions hold.
    pub(crate) fn matches(&self, text: &str, code: Option<Code>, hosts: &[&str]) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.0.is_match(text))
            && self.registry.as_ref().is_none_or(|registry| registry.matches(hosts))
            && self.code.is_none_or(|of| code == Some(of))
    }
}

/// A rule as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Option<String>,
    #[serde(rename = "match")]
    pattern: Option<Expression>,
    registry: Option<Registry>,
    #[serde(default, deserialize_with = "code")]
    code: Option<Code>,
    class: Option<Class>,
    disposition: Option<Disposition>,
    advice: Option<String>,
}

impl TryFrom<Written> for Rule {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written { name, pattern, registry, code, class, disposition, advice } = written;
        if pattern.is_none() && registry.is_none() && code.is_none() {
            return Err("a rule needs a condition: `match`, `registry` or `code`");
        }
        if class.is_none() && disposition.is_none() {
            return Err("a rule needs a result: `class` or `disposition`");
        }
        Ok(Self { name, pattern, registry, code, class, disposition, advice })
    }
}

/// A regular expression that runs in linear time.
#[derive(Debug, Clone)]
pub struct Expression(Regex);

impl Expression {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Err(D::Error::custom("it is empty and would match every text"));
        }
        match RegexBuilder::new(&text).size_limit(EXPRESSION_LIMIT).build() {
            Ok(regex) => Ok(Self(regex)),
            Err(regex::Error::CompiledTooBig(_)) => Err(D::Error::custom(format!(
                "the expression takes more than {EXPRESSION_LIMIT} bytes; repeat less, or split it \
                 into several rules"
            ))),
            Err(error) => Err(D::Error::custom(format!(
                "{error}\nuse a regular expression such as \"(?i)scanner blocked\""
            ))),
        }
    }
}

/// A glob over hosts.
#[derive(Debug, Clone, PartialEq)]
pub struct Registry(Pattern);

impl Registry {
    fn matches(&self, hosts: &[&str]) -> bool {
        let without_port = |host: &str| host.rsplit_once(':').map(|(name, _)| name.to_owned());
        hosts.iter().any(|host| {
            self.0.matches(host) || without_port(host).is_some_and(|name| self.0.matches(&name))
        })
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Registry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pattern = Pattern::deserialize(deserializer)?;
        if pattern.as_str().contains('/') {
            return Err(D::Error::custom(format!(
                "`{pattern}` is no host; use a glob over hosts such as \"*.example.com\" or \
                 \"localhost:*\""
            )));
        }
        Ok(Self(pattern))
    }
}

fn code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Code>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u32),
        Name(String),
    }
    let code = match Either::deserialize(deserializer) {
        Ok(Either::Number(number)) => Code::of(number),
        Ok(Either::Name(name)) => Code::read(&name),
        Err(_) => None,
    };
    code.map(Some).ok_or_else(|| D::Error::custom(format!("use {}", Code::EXPECTED)))
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
