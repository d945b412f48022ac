//! `pullfuse record`: writes what passes over the CRI socket to a file, credentials blanked.
//!
//! In: the endpoint and the live socket. Out: a recording, a remark on standard error of how much
//! was heard. Touches the file and what [`capture`](crate::capture) touches.

mod blank;
mod file;
mod message;

use std::{future::Future, io, path::PathBuf};

use thiserror::Error;

use self::file::Recording;
use crate::{
    capture::{Capture, CaptureError, Counters, Heard, Options},
    confine,
};

pub use blank::Blanker;

/// Why a recording could not be made.
#[derive(Debug, Error)]
pub enum RecordError {
    /// Nothing can be heard.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The file cannot be written.
    #[error("cannot write {path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The ring buffer broke.
    #[error("listening ended: {0}")]
    Broken(io::Error),
}

/// Records until `end`, and returns how many records were written and what the kernel counted.
///
/// # Errors
/// When nothing can be heard or the file cannot be written.
pub async fn record(
    options: Options,
    out: PathBuf,
    end: impl Future<Output = ()>,
) -> Result<(u64, Counters), RecordError> {
    let mut capture = Capture::start(options).await?;
    let failed = |error| RecordError::File { path: out.clone(), error };
    let mut recording = Recording::create(&out).map_err(failed)?;
    confine::give_up(|| capture.is_steered());
    eprintln!("pullfuse: listening ({}); Ctrl-C ends", capture.mode().as_str());
    let mut blanker = Blanker::default();
    let mut written = 0;
    let mut write = |heard| {
        // The format has no word for a connection's end; the next one has a number of its own.
        let Heard::Sent(mut record) = heard else { return Ok(()) };
        blanker.blank(&mut record);
        written += 1;
        recording.write(record).map_err(failed)
    };
    tokio::pin!(end);
    loop {
        let heard = tokio::select! {
            biased;
            () = &mut end => break,
            heard = capture.next() => heard.map_err(RecordError::Broken)?,
        };
        write(heard)?;
    }
    // What was said before the end belongs to the recording, however busy the node is.
    capture.stop();
    while let Some(heard) = capture.left() {
        write(heard)?;
    }
    recording.finish().map_err(failed)?;
    Ok((written, capture.counters()))
}
