//! Times as people read them.

use jiff::{SignedDuration, Timestamp};

/// The same point in time, unless it is one that no calendar has.
pub(super) fn time(at: Option<&pbjson_types::Timestamp>) -> Option<Timestamp> {
    at.and_then(|at| Timestamp::new(at.seconds, at.nanos).ok())
}

/// In whole seconds.
pub(super) fn duration(of: Option<&pbjson_types::Duration>) -> SignedDuration {
    of.map(|of| SignedDuration::from_secs(of.seconds)).unwrap_or_default()
}

/// How long ago, in whole seconds.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> SignedDuration {
    SignedDuration::from_secs(now.duration_since(at).as_secs().max(0))
}

/// How long ago, such as `3m ago`; nothing if it never was.
pub(super) fn past(at: Option<&pbjson_types::Timestamp>, now: Timestamp) -> String {
    time(at).map_or_else(String::new, |at| format!("{:#} ago", ago(at, now)))
}

/// How long until then, such as `in 3m`, or `now`.
pub(super) fn coming(at: Timestamp, now: Timestamp) -> String {
    if at > now { format!("in {:#}", ago(now, at)) } else { "now".into() }
}
