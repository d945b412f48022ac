//! `pullfuse replay`: shows the `PullImage` calls of a recording.
//!
//! In: a recording and the arguments. Out: a table or JSON lines. Touches only that file.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use thiserror::Error;

use crate::{
    cli::{Format, Replay},
    recording::{Recording, RecordingError},
    wire::{Counters, Decoder, Exchange},
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
    let mut exchanges = Vec::new();
    while let Some(line) = recording.next_line()? {
        let ended = decoder.feed(&line.record());
        match args.output {
            Format::Json => write_json(&ended, to)?,
            Format::Table => exchanges.extend(ended),
        }
    }
    if args.output == Format::Table {
        writeln!(to, "{}", table(&exchanges))?;
        for line in remarks(&decoder) {
            writeln!(to, "{line}")?;
        }
    }
    Ok(to.flush()?)
}

fn write_json(exchanges: &[Exchange], to: &mut dyn Write) -> io::Result<()> {
    for exchange in exchanges {
        serde_json::to_writer(&mut *to, exchange)?;
        to.write_all(b"\n")?;
    }
    Ok(())
}

fn table(exchanges: &[Exchange]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["START", "TOOK", "NAMESPACE", "POD", "IMAGE", "OUTCOME", "CODE", "MESSAGE"]);
    for exchange in exchanges {
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

/// For a terminal: what was on the wire must not move the cursor.
fn shown(text: Option<&str>) -> String {
    match text {
        Some(text) => text.chars().flat_map(escaped).collect(),
        None => "<unknown>".into(),
    }
}

fn escaped(char: char) -> impl Iterator<Item = char> {
    // Besides control characters those that turn the writing direction.
    let harmful = char.is_control()
        || matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let (plain, escape) =
        if harmful { (None, Some(char.escape_default())) } else { (Some(char), None) };
    plain.into_iter().chain(escape.into_iter().flatten())
}
