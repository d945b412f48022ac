//! The kubelet's own log: it names every failed attempt by the pod's UID, whether or not the API
//! server can be told, and it is not thinned out as its Events are.

use std::{collections::BTreeMap, sync::LazyLock};

use jiff::{Timestamp, ToSpan, civil::DateTime, tz::TimeZone};
use regex::Regex;

use super::quoted::{field, unquote};

/// What the kubelet says when it asked for an image in vain, or would not ask.
const REASONS: [&str; 5] = [
    "ErrImagePull",
    "RegistryUnavailable",
    "SignatureValidationFailed",
    "InvalidImageName",
    "ErrImageNeverPull",
];

static START: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"failed to "StartContainer" for "([^"]*)" with ([A-Za-z]+): ""#)
        .expect("a pattern")
});

/// A failed attempt, however many credentials were tried in it.
#[derive(Debug, Clone)]
pub struct Failure {
    pub at: Timestamp,
    pub container: String,
    pub reason: String,
    pub text: String,
}

/// The failed attempts of each pod, by its UID, in their order.
pub fn failures(log: &str, now: Timestamp) -> BTreeMap<String, Vec<Failure>> {
    let mut all: BTreeMap<String, Vec<Failure>> = BTreeMap::new();
    for line in log.lines().filter(|line| line.contains("\"Error syncing pod, skipping\"")) {
        let (Some(at), Some(error), Some(uid)) =
            (time(line, now), field(line, "err"), field(line, "podUID"))
        else {
            continue;
        };
        for found in START.captures_iter(&error) {
            let (container, reason) = (found[1].to_owned(), found[2].to_owned());
            if !REASONS.contains(&reason.as_str()) {
                continue;
            }
            let quote = found.get(0).map_or(0, |all| all.end() - 1);
            let text = unquote(&error[quote..]).unwrap_or_default();
            let failure = Failure { at, container, reason, text };
            all.entry(uid.clone()).or_default().push(failure);
        }
    }
    all
}

/// `E1121 16:10:33.815587`, in local time and without a year.
fn time(line: &str, now: Timestamp) -> Option<Timestamp> {
    let (day, time) = (line.get(1..5)?, line.get(6..21)?);
    let zone = TimeZone::system();
    let year = now.to_zoned(zone.clone()).year();
    let local = format!("{year}-{}-{}T{time}", &day[..2], &day[2..]);
    let at = local.parse::<DateTime>().ok()?.to_zoned(zone).ok()?;
    // A log of last December that is read in January.
    let late = at.timestamp() > now.checked_add(24.hours()).ok()?;
    let at = if late { at.checked_sub(1.year()).ok()? } else { at };
    Some(at.timestamp())
}
