//! What the types alone cannot say. As part of deserializing, so that the error names the line.

use std::path::PathBuf;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, de::Error};

const DAY: SignedDuration = SignedDuration::from_hours(24);

pub(super) fn at_least_1<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        0 => Err(D::Error::custom("0 would allow nothing at all; use 1 or more")),
        number => Ok(number),
    }
}

/// As many series as a node may have for each cause.
const MOST_REGISTRIES: u32 = 200;

pub(super) fn registries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        number if number > MOST_REGISTRIES => Err(D::Error::custom(format!(
            "{number} would make too many series; use 0 (all are `other`) to {MOST_REGISTRIES}"
        ))),
        number => Ok(number),
    }
}

/// Up to a day.
pub(super) fn some_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SignedDuration>, D::Error> {
    within(deserializer, SignedDuration::ZERO, DAY).map(Some)
}

/// A second to a day.
pub(super) fn window<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<SignedDuration, D::Error> {
    within(deserializer, SignedDuration::from_secs(1), DAY)
}

/// An hour to 90 days.
pub(super) fn long<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SignedDuration, D::Error> {
    within(deserializer, SignedDuration::from_hours(1), SignedDuration::from_hours(90 * 24))
}

fn within<'de, D: Deserializer<'de>>(
    deserializer: D,
    least: SignedDuration,
    most: SignedDuration,
) -> Result<SignedDuration, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.parse::<SignedDuration>() {
        Ok(value) if (least..=most).contains(&value) => Ok(value),
        Ok(_) => Err(D::Error::custom(format!(
            "`{text}` is out of range; use \"{least:#}\" to \"{most:#}\""
        ))),
        Err(_) => Err(D::Error::custom(format!(
            "`{text}` is no duration; write for example \"30s\" or \"1m 30s\""
        ))),
    }
}

pub(super) fn absolute<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    if path.is_absolute() {
        return Ok(path);
    }
    Err(D::Error::custom(format!(
        "`{}` is not an absolute path; use for example \"/var/lib/pullfuse\"",
        path.display()
    )))
}

pub(super) fn filter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.parse::<tracing_subscriber::filter::Targets>() {
        Ok(_) => Ok(text),
        Err(error) => Err(D::Error::custom(format!(
            "`{text}`: {error}; use for example \"info\" or \"pullfuse=debug,kube=warn\""
        ))),
    }
}
