use std::io::{self, Write};

use jiff::{SignedDuration, Timestamp};

use super::table;
use crate::{
    local::v1::{Counts, Part, StatusResponse, breaker, part::State},
    text::shown,
};

pub(super) fn table(status: &StatusResponse, out: &mut impl Write) -> io::Result<()> {
    let StatusResponse { version, node, started, parts, pulls, counts, breakers } = status;
    let now = Timestamp::now();
    let up = table::time(started.as_ref()).map_or(SignedDuration::ZERO, |at| table::ago(at, now));
    let (version, node) = (shown(Some(version)), shown(Some(node)));
    writeln!(out, "pullfuse {version} on node {node}, up for {up:#}")?;

    let mut table = table::new(&["PART", "STATE", "WHAT"]);
    for Part { name, state, text } in parts {
        let state = match State::try_from(*state) {
            Ok(State::Good) => "ok",
            Ok(State::Starting) => "not ready",
            Ok(State::Degraded) => "degraded",
            Ok(State::Unspecified) | Err(_) => "unknown",
        };
        table.add_row([&shown(Some(name)), state, &shown(Some(text))]);
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
            held_back,
        } = counts;
        writeln!(
            out,
            "\n{pods} pods, {failing_images} failing images\nverdicts: {verdicts_under_way} under \
             way, {verdicts_held} carried out, {verdicts_dry_run} dry run, {verdicts_given_up} given \
             up, {held_back} held back"
        )?;
    }
    if !breakers.is_empty() {
        let mut table = table::new(&["REGISTRY", "BREAKER", "SINCE", "UNTIL AT LATEST"]);
        for breaker in breakers {
            let state = match breaker::State::try_from(breaker.state) {
                Ok(breaker::State::Open) => "open",
                Ok(breaker::State::HalfOpen) => "half open",
                Ok(breaker::State::Unspecified) | Err(_) => "unknown",
            };
            let since = table::time(breaker.since.as_ref()).map(|at| table::ago(at, now));
            let until = table::time(breaker.until.as_ref()).map(|at| table::ago(now, at));
            table.add_row([
                shown(Some(&breaker.registry)),
                state.to_owned(),
                since.map_or_else(String::new, |since| format!("{since:#} ago")),
                until.map_or_else(String::new, |until| format!("in {until:#}")),
            ]);
        }
        writeln!(out, "\n{}", table.trim_fmt())?;
    }
    if pulls.is_empty() {
        return writeln!(out, "\nno pull goes on");
    }
    let mut table = table::new(&["PULL", "POD", "AGE"]);
    for pull in pulls {
        table.add_row([
            shown(Some(&pull.image)),
            format!("{}/{}", shown(Some(&pull.namespace)), shown(Some(&pull.pod))),
            format!("{:#}", table::duration(pull.age.as_ref())),
        ]);
    }
    writeln!(out, "\n{}", table.trim_fmt())
}
