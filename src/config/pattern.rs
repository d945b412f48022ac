use std::fmt;

use globset::{Glob, GlobSet};
use serde::{Deserialize, Deserializer, de::Error};

use crate::text::plain;

/// Longest pattern: braces in braces take stack, and whoever reads must see what it means.
const LONGEST: usize = 1024;

/// A glob: `*` stands for any characters, also slashes.
#[derive(Debug, Clone)]
pub struct Pattern {
    glob: Glob,
    // A set of one: a single glob panics where its braces are too deep for the regular expression.
    set: GlobSet,
}

impl Pattern {
    /// Whether the whole text fits.
    pub fn matches(&self, text: &str) -> bool {
        self.set.is_match(text)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        self.glob.glob()
    }

    /// Whether it stands for nothing but its own text.
    pub fn is_literal(&self) -> bool {
        !self.as_str().contains(['*', '?', '[', ']', '{', '}', '\\'])
    }

    /// Whether it fits every text.
    pub fn is_everything(&self) -> bool {
        !self.as_str().is_empty() && self.as_str().chars().all(|c| c == '*')
    }

    /// Whether all that `other` fits is fitted, as far as the texts can tell.
    pub fn covers(&self, other: &Self) -> bool {
        self == other
            || self.is_everything()
            || (other.is_literal() && self.matches(other.as_str()))
    }

    /// Reads a glob.
    ///
    /// # Errors
    /// With a sentence about what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("an empty pattern fits nothing; use for example \"ci-*\"".into());
        }
        if text.len() > LONGEST {
            return Err(format!(
                "the pattern is longer than {LONGEST} bytes; use several patterns"
            ));
        }
        let compiled = Glob::new(text).and_then(|glob| {
            let set = GlobSet::builder().add(glob.clone()).build()?;
            Ok(Self { glob, set })
        });
        compiled.map_err(|error| {
            let kind = plain(&error.kind().to_string(), LONGEST);
            format!(
                "`{text}` is no pattern: {kind}; use for example \"ci-*\" or \"{{dev,test}}-?\""
            )
        })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn a_pattern_fits_whole_texts() {
        assert!(pattern("ci-*").matches("ci-7"));
        assert!(!pattern("ci-*").matches("my-ci-7"));
        assert!(pattern("r.example/team/*").matches("r.example/team/a/b:1"));
        assert!(pattern("kube-system").matches("kube-system"));
        assert!(pattern("{dev,test}-?").matches("test-1"));
    }

    #[test]
    fn patterns_that_would_take_too_much_are_refused() {
        for nested in [100_000, 2000] {
            let text = format!("{}a{}", "{".repeat(nested), "}".repeat(nested));
            assert!(Pattern::parse(&text).unwrap_err().contains("longer than 1024 bytes"));
        }
        let deep = format!("{}a{}", "{".repeat(511), "}".repeat(511));
        assert!(Pattern::parse(&deep).unwrap_err().contains("is no pattern"));
        assert!(!pattern(&"{a,?}".repeat(204)).matches("b"));
    }

    #[test]
    fn cover_is_claimed_only_where_it_is_certain() {
        assert!(pattern("*").covers(&pattern("ci-*")));
        assert!(pattern("ci-*").covers(&pattern("ci-1")));
        assert!(pattern("ci-*").covers(&pattern("ci-*")));
        assert!(!pattern("ci-*").covers(&pattern("*")));
        assert!(!pattern("ci-1").covers(&pattern("ci-*")));
        assert!(!pattern("ci-?").covers(&pattern("ci-[0-9]")), "true, but not told by the texts");
    }
}
