use std::{collections::BTreeSet, io::Write};

use jiff::Timestamp;
use serde::Serialize;

use super::{ReplayError, remarks, seconds, write_json};
use crate::{
    attempts::Call,
    classify::{Class, Disposition},
    cli::Format,
    fuse::{By, Held},
    recording::Recording,
    settings::Settings,
    simulation::{Fate, Outlook, Simulation},
    table,
    text::shown,
    wire::Decoder,
};

/// The beginning of the simulated time: its microseconds are those of the recording.
const BEGINNING: Timestamp = Timestamp::UNIX_EPOCH;

/// Plays the calls to a fuse with these settings, and writes what becomes of each image of each pod.
pub(super) fn show(
    mut recording: Recording,
    settings: Settings,
    output: Format,
    to: &mut dyn Write,
) -> Result<(), ReplayError> {
    let mut simulation = Simulation::new(settings, BEGINNING);
    let mut decoder = Decoder::new();
    let mut clock = BEGINNING;
    while let Some(line) = recording.next_line()? {
        // Records of different connections may be a little out of order.
        clock = clock.max(at(line.t_us));
        simulation.pass(clock);
        let exchanges = decoder.feed(&line.record());
        simulation.set_pulling(pulling(&decoder));
        for call in exchanges.into_iter().filter_map(|exchange| Call::of(exchange, clock)) {
            simulation.hear(call);
        }
    }
    // What only became due with the last record.
    simulation.pass(clock);
    let mut fates: Vec<&Fate> = simulation.fates().collect();
    fates.sort_by_key(|fate| (&fate.namespace, &fate.pod, &fate.key));
    match output {
        Format::Json => write_json(fates.into_iter().map(Row::of), to)?,
        Format::Table => {
            writeln!(to, "{}", rows(&fates))?;
            remarks(&decoder, to)?;
        }
    }
    Ok(())
}

/// The pods for which a pull goes on.
fn pulling(decoder: &Decoder) -> BTreeSet<String> {
    decoder.in_flight().filter_map(|call| call.pull.pod_uid.clone()).collect()
}

fn at(us: u64) -> Timestamp {
    let us = i64::try_from(us).ok();
    us.and_then(|us| Timestamp::from_microsecond(us).ok()).unwrap_or(Timestamp::MAX)
}

fn us(at: Timestamp) -> u64 {
    u64::try_from(at.as_microsecond()).unwrap_or_default()
}

/// What became of one image of one pod. Times are those of the recording.
#[derive(Serialize)]
struct Row<'a> {
    namespace: &'a str,
    pod: &'a str,
    pod_uid: &'a str,
    image: &'a str,
    attempts: u32,
    counted: u32,
    limit: Option<u32>,
    class: Option<Class>,
    disposition: Option<Disposition>,
    rule: Option<&'a str>,
    host: Option<&'a str>,
    scope: Option<&'a str>,
    dry_run: bool,
    decision: &'static str,
    because: Option<&'static str>,
    /// Of the verdict.
    at_us: Option<u64>,
    /// When it is decided anew.
    until_us: Option<u64>,
    /// When the image was pulled, be it after the verdict.
    came_us: Option<u64>,
}

impl<'a> Row<'a> {
    fn of(fate: &'a Fate) -> Self {
        let cause = fate.cause.as_ref();
        Self {
            namespace: &fate.namespace,
            pod: &fate.pod,
            pod_uid: &fate.key.pod_uid,
            image: &fate.key.image,
            attempts: fate.attempts,
            counted: fate.counted,
            limit: fate.limit,
            class: cause.map(|cause| cause.class),
            disposition: cause.map(|cause| cause.disposition),
            rule: cause.map(|cause| cause.rule.as_str()),
            host: cause.and_then(|cause| cause.host.as_deref()),
            scope: fate.scope.as_deref(),
            dry_run: fate.dry_run,
            decision: fate.outlook.as_str(),
            because: fate.outlook.because(),
            at_us: verdict_at(&fate.outlook).map(us),
            until_us: fate.outlook.until().map(us),
            came_us: fate.came.map(us),
        }
    }
}

fn verdict_at(outlook: &Outlook) -> Option<Timestamp> {
    match outlook {
        Outlook::Fail { at } => Some(*at),
        _ => None,
    }
}

const COLUMNS: [&str; 8] =
    ["NAMESPACE", "POD", "IMAGE", "ATTEMPTS", "COUNTED", "CLASS", "HOST", "OUTLOOK"];

fn rows(fates: &[&Fate]) -> String {
    let mut table = table::plain();
    table.set_header(COLUMNS);
    for fate in fates {
        let cause = fate.cause.as_ref();
        let limit = fate.limit.map_or_else(|| "never".into(), |limit| limit.to_string());
        table.add_row([
            shown(Some(&fate.namespace)),
            shown(Some(&fate.pod)),
            shown(Some(&fate.key.image)),
            fate.attempts.to_string(),
            cause.map_or_else(|| "-".into(), |_| format!("{}/{limit}", fate.counted)),
            cause.map_or("-", |cause| cause.class.as_str()).to_owned(),
            shown(Some(cause.and_then(|cause| cause.host.as_deref()).unwrap_or("-"))),
            outlook(fate),
        ]);
    }
    table::text(table)
}

/// What would have been done, in a few words.
fn outlook(fate: &Fate) -> String {
    let when = |at: Timestamp| seconds(us(at));
    let came = fate.came.map(when);
    let dry_run = if fate.dry_run { " (dry run)" } else { "" };
    match (&fate.outlook, came) {
        (Outlook::Fail { at }, None) => format!("failed at {}{dry_run}", when(*at)),
        (Outlook::Fail { at }, Some(came)) => {
            format!("failed at {}{dry_run}; but the image came at {came}", when(*at))
        }
        (Outlook::Wait { until }, _) => format!("fails at {}{dry_run}", when(*until)),
        (Outlook::Pulling, _) => format!("fails when the pull under way does{dry_run}"),
        (Outlook::Held(held), _) => {
            format!("held: {}, until {} at the latest", by(held), when(held.until))
        }
        (Outlook::Report(because), _) => format!("reported only: {}", because.sentence()),
        (Outlook::Leave(because), _) => format!("left alone: {}", because.sentence()),
        (Outlook::Recovered, came) => format!("recovered at {}", came.unwrap_or_default()),
        (Outlook::Pulled, came) => format!("pulled at {}", came.unwrap_or_default()),
    }
}

fn by(held: &Held) -> String {
    match &held.by {
        By::Breaker { registry, .. } => {
            format!("registry {} seems to be out of order", shown(Some(registry)))
        }
        By::Cap(cap) => format!("caps.{}", cap.as_str()),
        // A recording tells nothing of what went on before it.
        By::Unheard => "a pull that nobody heard".into(),
    }
}
