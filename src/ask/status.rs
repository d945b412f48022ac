use std::io::{self, Write};

use comfy_table::{Table, presets::NOTHING};
use jiff::{SignedDuration, Timestamp};

use crate::{
    local::v1::{Counts, Part, StatusResponse, part::State},
    pods::clean,
};

pub(super) fn table(status: &StatusResponse, out: &mut impl Write) -> io::Result<()> {
    let StatusResponse { version, node, started, parts, pulls, counts } = status;
    let up = started.as_ref().and_then(|s| Timestamp::new(s.seconds, s.nanos).ok());
    let up = up.map(|started| Timestamp::now().duration_since(started)).unwrap_or_default();
    writeln!(out, "pullfuse {version} on node {node}, up for {:#}", whole(up))?;

    let mut table = new(&["PART", "STATE", "WHAT"]);
    for Part { name, state, text } in parts {
        let state = match State::try_from(*state) {
            Ok(State::Good) => "ok",
            Ok(State::Starting) => "not ready",
            Ok(State::Degraded) => "degraded",
            Ok(State::Unspecified) | Err(_) => "unknown",
        };
        table.add_row([name.as_str(), state, &clean(text)]);
    }
    writeln!(out, "\n{}", table.trim_fmt())?;

    if let Some(counts) = counts {
        let Counts {
            pods,
            failing_images,
            verdicts_under_way,
            verdicts_held,
            verdicts_dry_run,
            verdicts_given_up,
        } = counts;
        writeln!(
            out,
            "\n{pods} pods, {failing_images} failing images\nverdicts: {verdicts_under_way} under \
             way, {verdicts_held} held, {verdicts_dry_run} dry run, {verdicts_given_up} given up"
        )?;
    }
    if pulls.is_empty() {
        return writeln!(out, "\nno pull goes on");
    }
    let mut table = new(&["PULL", "POD", "AGE"]);
    for pull in pulls {
        let age = pull.age.as_ref().map(|age| SignedDuration::from_secs(age.seconds));
        table.add_row([
            clean(&pull.image),
            format!("{}/{}", clean(&pull.namespace), clean(&pull.pod)),
            age.map_or_else(String::new, |age| format!("{age:#}")),
        ]);
    }
    writeln!(out, "\n{}", table.trim_fmt())
}

fn new(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(head.iter().copied());
    table
}

fn whole(duration: SignedDuration) -> SignedDuration {
    SignedDuration::from_secs(duration.as_secs())
}
