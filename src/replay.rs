//! `pullfuse replay`: shows the `PullImage` calls of a recording.
//!
//! In: a recording and the arguments. Out: a table or JSON lines. Touches only that file.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use thiserror::Error;

use crate::{
    classify::{Class, Classifier, Code, Disposition, Failure},
    cli::{Format, Replay},
    recording::{Recording, RecordingError},
    terminal::shown,
    wire::{Counters, Decoder, Exchange, Outcome},
};

/// Why a recording cannot be shown.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The recording cannot be read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl ReplayError {
    /// Whether the file is not there, as opposed to not understood.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Recording(RecordingError::Absent { .. }))
    }
}

/// Decodes the recording and writes its calls to `to`.
///
/// # Errors
/// When the recording cannot be read to its end, or the output cannot be written.
pub fn replay(args: &Replay, to: &mut dyn Write) -> Result<(), ReplayError> {
    let mut recording = Recording::open(&args.file)?;
    recording.skip_records(args.from)?;
    let mut decoder = Decoder::new();
    let classifier = Classifier::new(&[]);
    let mut calls = Vec::new();
    while let Some(line) = recording.next_line()? {
        let ended = decoder.feed(&line.record());
        let ended = ended.into_iter().map(|exchange| Call::judged(exchange, &classifier));
        match args.output {
            Format::Json => write_json(ended, to)?,
            Format::Table => calls.extend(ended),
        }
    }
    if args.output == Format::Table {
        writeln!(to, "{}", table(&calls))?;
        for line in remarks(&decoder) {
            writeln!(to, "{line}")?;
        }
    }
    Ok(to.flush()?)
}

/// A call and, where it failed, why. In JSON, `null` is unknown.
#[derive(Serialize)]
struct Call {
    #[serde(flatten)]
    exchange: Exchange,
    class: Option<Class>,
    disposition: Option<Disposition>,
    host: Option<String>,
    rule: Option<String>,
}

impl Call {
    fn judged(exchange: Exchange, classifier: &Classifier) -> Self {
        let cause = (exchange.outcome == Outcome::Failed).then(|| {
            classifier.classify(&Failure {
                message: exchange.message.as_deref().unwrap_or_default(),
                code: exchange.code.and_then(Code::of),
                image: exchange.pull.image.as_deref(),
                ..Failure::default()
            })
        });
        Self {
            class: cause.as_ref().map(|cause| cause.class),
            disposition: cause.as_ref().map(|cause| cause.disposition),
            host: cause.as_ref().and_then(|cause| cause.host.clone()),
            rule: cause.map(|cause| cause.rule),
            exchange,
        }
    }
}

fn write_json(calls: impl Iterator<Item = Call>, to: &mut dyn Write) -> io::Result<()> {
    for call in calls {
        serde_json::to_writer(&mut *to, &call)?;
        to.write_all(b"\n")?;
    }
    Ok(())
}

fn table(calls: &[Call]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header([
        "START",
        "TOOK",
        "NAMESPACE",
        "POD",
        "IMAGE",
        "OUTCOME",
        "CLASS",
        "HOST",
        "CODE",
        "MESSAGE",
    ]);
    for Call { exchange, class, host, .. } in calls {
        let Exchange { connection: _, stream: _, pull, start_us, end_us, outcome, code, message } =
            exchange;
        let outcome = format!("{outcome:?}").to_lowercase();
        table.add_row([
            seconds(*start_us),
            seconds(end_us.saturating_sub(*start_us)),
            shown(pull.namespace.as_deref()),
            shown(pull.pod.as_deref()),
            shown(pull.image.as_deref()),
            outcome,
            class.map_or("-", Class::as_str).to_owned(),
            host.clone().unwrap_or_else(|| "-".into()),
            code.map_or_else(|| shown(None), |code| code.to_string()),
            shown(message.as_deref()),
        ]);
    }
    table
}

fn remarks(decoder: &Decoder) -> Vec<String> {
    let mut remarks: Vec<String> = decoder
        .in_flight()
        .map(|call| {
            format!(
                "still in flight since {}: {} for pod {}/{}",
                seconds(call.start_us),
                shown(call.pull.image.as_deref()),
                shown(call.pull.namespace.as_deref()),
                shown(call.pull.pod.as_deref()),
            )
        })
        .collect();
    let Counters { gaps, missing_bytes, unread_blocks, unsettled, .. } = decoder.counters();
    if gaps > 0 {
        remarks.push(format!("gaps: {gaps}, with {missing_bytes} bytes missing"));
    }
    if unread_blocks > 0 {
        remarks.push(format!("header blocks that could not be read: {unread_blocks}"));
    }
    if unsettled > 0 {
        remarks.push(format!("pulls whose outcome is not in the recording: {unsettled}"));
    }
    remarks
}

fn seconds(us: u64) -> String {
    format!("{}.{:03}s", us / 1_000_000, us / 1000 % 1000)
}
