use std::io::{self, Write};

use jiff::{SignedDuration, Timestamp};

use super::times::{ago, past, time};
use crate::{
    local::v1::{Change, ListChangesResponse, WatchResponse, change::Kind, watch_response::What},
    table::{Look, Rows},
    text::shown,
};

pub(super) fn table(
    answer: &ListChangesResponse,
    since: SignedDuration,
    out: &mut impl Write,
) -> io::Result<()> {
    let now = Timestamp::now();
    if answer.changes.is_empty() {
        writeln!(out, "nothing has changed on this node in {since:#}")?;
    } else {
        rows(&answer.changes, true, now).write(out)?;
    }
    let known = time(answer.since.as_ref()).map(|known| ago(known, now));
    match known.filter(|known| *known < since) {
        Some(known) => writeln!(out, "\nnothing is remembered from before {known:#} ago"),
        None => Ok(()),
    }
}

/// The changes as a table; of one pod its name is not repeated.
pub(super) fn rows(changes: &[Change], of_many: bool, now: Timestamp) -> Rows {
    let mut rows = match of_many {
        true => Rows::new(&["WHEN", "CHANGE", "ABOUT", "IMAGE", "WHAT"]),
        false => Rows::new(&["WHEN", "CHANGE", "IMAGE", "WHAT"]),
    };
    for change in changes {
        let mut row = vec![past(change.at.as_ref(), now), name(change)];
        if of_many {
            row.push(about(change));
        }
        row.extend([change.image.clone(), what(change)]);
        rows.add(look(change), row);
    }
    rows
}

/// A change on a line of its own.
pub(super) fn line(told: &WatchResponse, out: &mut impl Write) -> io::Result<()> {
    match &told.what {
        Some(What::Change(change)) => {
            let at = time(change.at.as_ref()).map(|at| format!("{at:.0}")).unwrap_or_default();
            let image = &change.image;
            let gap = if image.is_empty() { "" } else { "  " };
            let (name, about, what) = (name(change), about(change), what(change));
            let line = format!("{at}  {name:<9}  {about}{gap}{image}  {what}");
            writeln!(out, "{}", shown(Some(&line)))
        }
        Some(What::Missed(number)) => {
            writeln!(out, "{number} changes were missed: they were read too slowly")
        }
        // From a newer agent.
        None => Ok(()),
    }
}

fn name(change: &Change) -> String {
    let name = match change.kind() {
        Kind::Unspecified => "unknown",
        Kind::Failing => "failing",
        Kind::Attempt => "attempt",
        Kind::Cause => "cause",
        Kind::Pulled => "pulled",
        Kind::Gone => "gone",
        Kind::Verdict => "verdict",
        Kind::DryRun => "dry-run",
        Kind::Held => "held",
        Kind::Reported => "reported",
        Kind::Ended => "ended",
        Kind::Withdrawn => "withdrawn",
        Kind::GivenUp => "given-up",
        Kind::Breaker => "breaker",
        Kind::Holdup => "holdup",
        Kind::Released => "released",
        Kind::Config => "config",
        Kind::Started => "started",
    };
    name.into()
}

fn look(change: &Change) -> Look {
    match change.kind() {
        Kind::Verdict | Kind::Ended | Kind::GivenUp | Kind::Holdup => Look::Bad,
        Kind::Failing | Kind::Cause | Kind::Held | Kind::Reported | Kind::Breaker => Look::Warning,
        _ => Look::Plain,
    }
}

fn about(change: &Change) -> String {
    if !change.pod.is_empty() {
        format!("{}/{}", change.namespace, change.pod)
    } else if !change.registry.is_empty() {
        change.registry.clone()
    } else {
        "node".into()
    }
}

fn what(change: &Change) -> String {
    let text = change.text.clone();
    match change.attempts {
        0 => text,
        number => format!("{} (attempt {number}): {text}", change.class),
    }
}
