use std::io::{self, Write};

use jiff::{SignedDuration, Timestamp};

use super::{
    log_level, registries,
    times::{ago, duration, past, time},
};
use crate::{
    local::v1::{Counts, Part, StatusResponse, part::State},
    table::{Look, Rows},
    text::shown,
};

pub(super) fn table(status: &StatusResponse, out: &mut impl Write) -> io::Result<()> {
    let StatusResponse { version, node, started, parts, pulls, counts, breakers, log_level } =
        status;
    let now = Timestamp::now();
    let up = time(started.as_ref()).map_or(SignedDuration::ZERO, |at| ago(at, now));
    let (version, node) = (shown(Some(version)), shown(Some(node)));
    writeln!(out, "pullfuse {version} on node {node}, up for {up:#}")?;

    let mut table = Rows::new(&["PART", "STATE", "WHAT"]);
    for Part { name, state, text } in parts {
        let (look, state) = match State::try_from(*state) {
            Ok(State::Good) => (Look::Plain, "ok"),
            Ok(State::Starting) => (Look::Bad, "not ready"),
            Ok(State::Degraded) => (Look::Warning, "degraded"),
            Ok(State::Unspecified) | Err(_) => (Look::Plain, "unknown"),
        };
        table.add(look, [name.clone(), state.to_owned(), text.clone()]);
    }
    writeln!(out)?;
    table.write(out)?;

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
    if let Some(in_force) = log_level.as_ref().filter(|level| level.until.is_some()) {
        writeln!(out, "\n{}", log_level::sentence(in_force))?;
    }
    if !breakers.is_empty() {
        let mut table = Rows::new(&["REGISTRY", "BREAKER", "SINCE"]);
        for breaker in breakers {
            let state = registries::breaker(Some(breaker), now);
            let since = past(breaker.since.as_ref(), now);
            table.add(Look::Bad, [breaker.registry.clone(), state, since]);
        }
        writeln!(out)?;
        table.write(out)?;
    }
    if pulls.is_empty() {
        return writeln!(out, "\nno pull goes on");
    }
    let mut table = Rows::new(&["PULL", "POD", "AGE"]);
    for pull in pulls {
        let pod = format!("{}/{}", pull.namespace, pull.pod);
        let age = format!("{:#}", duration(pull.age.as_ref()));
        table.add(Look::Plain, [pull.image.clone(), pod, age]);
    }
    writeln!(out)?;
    table.write(out)
}
