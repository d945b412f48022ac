//! `pullfuse replay`: shows the `PullImage` calls of a recording, or what a configuration would have
//! made of them.
//!
//! In: a recording, the arguments and perhaps a configuration. Out: a table or JSON lines. Touches
//! only those files.

mod calls;
mod verdicts;

use std::io::{self, Write};

use serde::Serialize;
use thiserror::Error;

use crate::{
    cli::Replay,
    config::{self, ConfigError},
    recording::{Recording, RecordingError},
    settings::Settings,
    text::shown,
    wire::{Counters, Decoder},
};

/// Why a recording cannot be shown.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The recording cannot be read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
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

/// Decodes the recording and writes its calls, or with a configuration what would have become of
/// the pods, to `to`.
///
/// # Errors
/// When the recording cannot be read to its end, the configuration is not valid, or the output
/// cannot be written.
pub fn replay(args: &Replay, to: &mut dyn Write) -> Result<(), ReplayError> {
    let settings = args.config.as_deref().map(config::load).transpose()?.map(Settings::new);
    let mut recording = Recording::open(&args.file)?;
    recording.skip_records(args.from)?;
    match settings {
        None => calls::show(recording, args.output, to)?,
        Some(settings) => verdicts::show(recording, settings, args.output, to)?,
    }
    Ok(to.flush()?)
}

fn write_json(
    lines: impl IntoIterator<Item = impl Serialize>,
    to: &mut dyn Write,
) -> io::Result<()> {
    for line in lines {
        serde_json::to_writer(&mut *to, &line)?;
        to.write_all(b"\n")?;
    }
    Ok(())
}

/// What the table cannot show.
fn remarks(decoder: &Decoder, to: &mut dyn Write) -> io::Result<()> {
    for call in decoder.in_flight() {
        writeln!(
            to,
            "still in flight since {}: {} for pod {}/{}",
            seconds(call.start_us),
            shown(call.pull.image.as_deref()),
            shown(call.pull.namespace.as_deref()),
            shown(call.pull.pod.as_deref()),
        )?;
    }
    let Counters { gaps, missing_bytes, unread_blocks, unsettled, .. } = decoder.counters();
    if gaps > 0 {
        writeln!(to, "gaps: {gaps}, with at least {missing_bytes} bytes missing")?;
    }
    if unread_blocks > 0 {
        writeln!(to, "header blocks that could not be read: {unread_blocks}")?;
    }
    if unsettled > 0 {
        writeln!(to, "pulls whose outcome is not in the recording: {unsettled}")?;
    }
    Ok(())
}

fn seconds(us: u64) -> String {
    format!("{}.{:03}s", us / 1_000_000, us / 1000 % 1000)
}
