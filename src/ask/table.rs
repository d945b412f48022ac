//! Tables as kubectl prints them, and times as people read them.

use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use jiff::{SignedDuration, Timestamp};

/// A table with this head.
pub(super) fn new(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(head.iter().copied());
    table
}

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
