use std::{collections::BTreeMap, fmt};

use jiff::SignedDuration;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Unexpected, Visitor},
};
use strum::VariantNames;

use super::checks;
use crate::classify::{Class, Disposition};

/// The least time unless the configuration says otherwise.
pub const MIN_ELAPSED: SignedDuration = SignedDuration::from_mins(1);
const PERMANENT: MaxAttempts = MaxAttempts::Number(5);
/// An ambiguous cause may be mended by somebody: until the eighth attempt they have a quarter of an
/// hour.
const AMBIGUOUS: MaxAttempts = MaxAttempts::Number(8);

/// `[limits]`: how much an image may fail before its pod is ended. What is not said here is taken
/// from the next wider table, and in the end from the defaults.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Attempts with permanent causes since the last success of the image in this pod.
    pub max_attempts: Option<MaxAttempts>,
    /// Time since the first of those attempts.
    #[serde(deserialize_with = "checks::some_duration")]
    pub min_elapsed: Option<SignedDuration>,
    /// For ambiguous causes.
    pub ambiguous: Limit,
    /// For transient causes.
    pub transient: Limit,
    /// For faults of the node.
    pub node_fault: Limit,
    /// For single classes; stronger than what is said for their disposition.
    #[serde(deserialize_with = "by_class")]
    pub class: BTreeMap<Class, Limit>,
}

/// A limit as one table writes it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limit {
    /// Attempts.
    pub max_attempts: Option<MaxAttempts>,
    /// Time since the first attempt.
    #[serde(deserialize_with = "checks::some_duration")]
    pub min_elapsed: Option<SignedDuration>,
}

/// A limit with nothing left open: both parts must be reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InForce {
    /// Attempts.
    pub max_attempts: MaxAttempts,
    /// Time since the first attempt.
    pub min_elapsed: SignedDuration,
}

/// How many attempts end a pod. Never is more than any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MaxAttempts {
    /// This many; at least 1.
    Number(u32),
    /// However many there are, the pod is left alone.
    Never,
}

impl Limits {
    /// These limits, and those of `wider` where these say nothing.
    pub fn over(&self, wider: &Self) -> Self {
        let mut class = wider.class.clone();
        for (name, limit) in &self.class {
            let entry = class.entry(*name).or_default();
            *entry = limit.over(*entry);
        }
        Self {
            max_attempts: self.max_attempts.or(wider.max_attempts),
            min_elapsed: self.min_elapsed.or(wider.min_elapsed),
            ambiguous: self.ambiguous.over(wider.ambiguous),
            transient: self.transient.over(wider.transient),
            node_fault: self.node_fault.over(wider.node_fault),
            class,
        }
    }

    /// Whether the attempts of this class are counted by themselves.
    pub fn has_own_count(&self, class: Class) -> bool {
        self.class.get(&class).is_some_and(|limit| limit.max_attempts.is_some())
    }

    /// The limit for a disposition, whatever is said for single classes.
    pub fn of_disposition(&self, disposition: Disposition) -> InForce {
        let permanent = self.max_attempts.unwrap_or(PERMANENT);
        // Who is more patient with permanent causes does not mean to be less so with these.
        let (limit, max_attempts) = match disposition {
            Disposition::Permanent => (Limit::default(), permanent),
            Disposition::Ambiguous => (self.ambiguous, AMBIGUOUS.max(permanent)),
            Disposition::Transient => (self.transient, MaxAttempts::Never),
            Disposition::NodeFault => (self.node_fault, MaxAttempts::Never),
        };
        InForce {
            max_attempts: limit.max_attempts.unwrap_or(max_attempts),
            min_elapsed: limit.min_elapsed.or(self.min_elapsed).unwrap_or(MIN_ELAPSED),
        }
    }

    /// The limit for a cause.
    pub fn of_cause(&self, class: Class, disposition: Disposition) -> InForce {
        let wider = self.of_disposition(disposition);
        let own = self.class.get(&class).copied().unwrap_or_default();
        InForce {
            max_attempts: own.max_attempts.unwrap_or(wider.max_attempts),
            min_elapsed: own.min_elapsed.unwrap_or(wider.min_elapsed),
        }
    }
}

/// By way of strings, so that an error can name the key it is about.
fn by_class<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<Class, Limit>, D::Error> {
    #[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize)]
    #[serde(try_from = "String")]
    struct Name(Class);

    impl TryFrom<String> for Name {
        type Error = String;

        fn try_from(text: String) -> Result<Self, String> {
            text.parse().map(Self).map_err(|_| {
                let known = Class::VARIANTS.join(", ");
                format!("`{}` is no class of causes; use one of {known}", text.escape_debug())
            })
        }
    }

    let limits = BTreeMap::<Name, Limit>::deserialize(deserializer)?;
    Ok(limits.into_iter().map(|(Name(class), limit)| (class, limit)).collect())
}

impl Limit {
    fn over(self, wider: Self) -> Self {
        Self {
            max_attempts: self.max_attempts.or(wider.max_attempts),
            min_elapsed: self.min_elapsed.or(wider.min_elapsed),
        }
    }
}

impl MaxAttempts {
    /// The number, unless it is never.
    pub fn number(self) -> Option<u32> {
        match self {
            Self::Number(number) => Some(number),
            Self::Never => None,
        }
    }
}

impl fmt::Display for MaxAttempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Never => f.write_str("never"),
        }
    }
}

impl Serialize for MaxAttempts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_u32(*number),
            Self::Never => serializer.serialize_str("never"),
        }
    }
}

impl<'de> Deserialize<'de> for MaxAttempts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

struct Written;

impl Visitor<'_> for Written {
    type Value = MaxAttempts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of 1 or more, or \"never\"")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<MaxAttempts, E> {
        match u32::try_from(number) {
            Ok(0) => Err(E::custom(
                "0 would fail every pod at once; use 1 or more, or \"never\" to fail none",
            )),
            Ok(number) => Ok(MaxAttempts::Number(number)),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<MaxAttempts, E> {
        match text {
            "never" => Ok(MaxAttempts::Never),
            other => Err(E::invalid_value(Unexpected::Str(other), &self)),
        }
    }
}
