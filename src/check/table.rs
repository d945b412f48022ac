use std::io::{self, Write};

use jiff::SignedDuration;

use super::effective::{Effective, Limit, Row};
use crate::{
    config::Action,
    pods::{MAX_ATTEMPTS_ANNOTATION, MODE_ANNOTATION},
    table::{plain, text},
};

/// Writes the policy as people read it.
pub(super) fn write(effective: &Effective, to: &mut dyn Write) -> io::Result<()> {
    let mut scopes = plain();
    scopes.set_header(["SCOPE", "PODS", "ACTION", "MODE", "LIMITS"]);
    for row in &effective.scopes {
        scopes.add_row([
            row.name.clone().unwrap_or_else(|| "(no scope)".into()),
            pods(row),
            action(row),
            row.mode.as_str().to_owned(),
            limits(row),
        ]);
    }
    writeln!(to, "{}\n", text(scopes))?;

    if !effective.rules.is_empty() {
        let mut rules = plain();
        rules.set_header(["RULE", "WHEN", "CAUSE"]);
        for row in &effective.rules {
            rules.add_row([&row.name, &row.when, &row.result]);
        }
        writeln!(to, "{}\n", text(rules))?;
    }

    let mut rest = plain();
    rest.add_row(["never failed".to_owned(), effective.protected.join("\n")]);
    rest.add_row(["annotations".to_owned(), annotations(effective)]);
    let caps = &effective.caps;
    rest.add_row([
        "caps".to_owned(),
        format!(
            "{} pods of a node and {} of a namespace within {:#}",
            caps.per_node, caps.per_namespace, caps.window
        ),
    ]);
    let breaker = &effective.breaker;
    let breaker = match breaker.images {
        0 => "off".to_owned(),
        images => format!(
            "{images} images of one registry that begin to fail within {:#} hold its verdicts, for \
             {:#} at most",
            breaker.window, breaker.hold
        ),
    };
    rest.add_row(["breaker".to_owned(), breaker]);
    writeln!(to, "{}", text(rest))
}

fn pods(row: &Row) -> String {
    if row.conditions.is_empty() {
        return "all".into();
    }
    let lines = row.conditions.iter().map(|(name, texts)| format!("{name}: {}", texts.join(", ")));
    lines.collect::<Vec<_>>().join("\n")
}

fn action(row: &Row) -> String {
    let action = row.action.as_str();
    if row.action == row.action_always {
        return action.into();
    }
    format!("{action}\n(Always: {})", row.action_always.as_str())
}

fn limits(row: &Row) -> String {
    if row.action == Action::Ignore {
        return "-".into();
    }
    let dispositions = row.limits.iter().map(|(name, limit)| line(name.as_str(), limit));
    let classes = row.classes.iter().map(|(name, limit)| line(name.as_str(), limit));
    dispositions.chain(classes).collect::<Vec<_>>().join("\n")
}

fn line(name: &str, limit: &Limit) -> String {
    let Some(earliest) = limit.earliest_verdict_s.map(SignedDuration::from_secs) else {
        return format!("{name}: never");
    };
    format!(
        "{name}: {} attempts and {:#}; not before {earliest:#}",
        limit.max_attempts, limit.min_elapsed
    )
}

fn annotations(effective: &Effective) -> String {
    let allowed = &effective.annotations;
    let attempts = allowed
        .max_attempts
        .map_or("not allowed".into(), |bounds| format!("{} to {}", bounds.min, bounds.max));
    let mode = if allowed.mode { "ignore or report" } else { "not allowed" };
    format!("{MAX_ATTEMPTS_ANNOTATION}: {attempts}\n{MODE_ANNOTATION}: {mode}")
}
