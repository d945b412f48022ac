//! Structured logs on standard error, whose level an operator may change for a while.
//!
//! In: a filter and how long it is to hold. Out: lines on standard error. Nothing is kept: an agent
//! that starts anew logs as configured.

use std::{
    fmt,
    io::{Write, stderr},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use parking_lot::Mutex;
use thiserror::Error;
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    prelude::*,
    registry::LookupSpan,
    reload,
};

use crate::{
    config::{Log, LogFormat},
    text::{Harmless, plain},
};

/// For how long another level may hold: one second to one day.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Bytes of what was asked for that an answer repeats.
const LONGEST_ECHO: usize = 128;

/// Why a level is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LevelError {
    /// It is no filter.
    #[error(
        "`{level}` is no log level: {why}; write off, error, warn, info, debug or trace, or a list \
         such as pullfuse=debug,info"
    )]
    NoFilter {
        /// What was asked for.
        level: String,
        /// What is wrong with it.
        why: String,
    },
    /// It would hold too short or too long.
    #[error("a log level may hold for 1s to 24h, not for {0:?}")]
    Lasting(Duration),
    /// Nothing is logged by this process.
    #[error("the log filter is gone: a bug; restart the agent")]
    Gone,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// The filter.
    pub level: String,
    /// When it falls back to the configured one; `None` if it is that.
    pub until: Option<Timestamp>,
}

/// The log level; clones share one.
#[derive(Clone)]
pub struct Level {
    shared: Arc<Shared>,
}

struct Shared {
    configured: String,
    apply: Box<dyn Fn(Targets) -> bool + Send + Sync>,
    /// What is in force, and how often it was changed.
    state: Mutex<(InForce, u64)>,
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Level").field(&self.in_force()).finish()
    }
}

/// Starts logging; the configuration's filter has been checked before.
pub fn start(log: &Log) -> Level {
    let filter: Targets = log.level.parse().unwrap_or_default();
    let (filter, handle) = reload::Layer::new(filter);
    let lines = lines(log.format, stderr).with_filter(filter);
    tracing_subscriber::registry().with(lines).init();
    Level::new(&log.level, move |filter| handle.reload(filter).is_ok())
}

fn lines<S, W>(format: LogFormat, to: impl Fn() -> W + Send + Sync + 'static) -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    W: Write + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_ansi(false);
    // Each line is one write.
    let lines = lines.with_writer(move || Harmless::whole_lines(to()));
    match format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => lines.boxed(),
    }
}

impl Level {
    /// A level that is put into force by `apply`, which says whether it could.
    pub fn new(configured: &str, apply: impl Fn(Targets) -> bool + Send + Sync + 'static) -> Self {
        let in_force = InForce { level: configured.to_owned(), until: None };
        let shared = Shared {
            configured: configured.to_owned(),
            apply: Box::new(apply),
            state: Mutex::new((in_force, 0)),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The configured filter.
    pub fn configured(&self) -> &str {
        &self.shared.configured
    }

    /// What is logged now.
    pub fn in_force(&self) -> InForce {
        self.shared.state.lock().0.clone()
    }

    /// Logs by another filter for a while. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When it is no filter, or the time is out of range.
    pub fn set(&self, level: &str, lasting: Duration) -> Result<InForce, LevelError> {
        if !(Duration::from_secs(1)..=LONGEST).contains(&lasting) {
            return Err(LevelError::Lasting(lasting));
        }
        let filter = parse(level)?;
        let until = Timestamp::now().checked_add(lasting).ok();
        let number = self.put(filter, InForce { level: level.to_owned(), until })?;
        let level = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(lasting).await;
            // Unless somebody has changed it since.
            if level.shared.state.lock().1 == number {
                let _ = level.reset();
            }
        });
        Ok(self.in_force())
    }

    /// Logs as configured.
    ///
    /// # Errors
    /// When nothing is logged by this process.
    pub fn reset(&self) -> Result<InForce, LevelError> {
        let level = self.shared.configured.clone();
        let filter = level.parse().unwrap_or_default();
        self.put(filter, InForce { level, until: None })?;
        tracing::info!(level = self.shared.configured, "logging as configured again");
        Ok(self.in_force())
    }

    fn put(&self, filter: Targets, in_force: InForce) -> Result<u64, LevelError> {
        let mut state = self.shared.state.lock();
        if !(self.shared.apply)(filter) {
            return Err(LevelError::Gone);
        }
        *state = (in_force, state.1 + 1);
        Ok(state.1)
    }
}

/// A filter. A word alone is a level here: taken for the name of a module, a misspelt level would
/// silence everything else.
fn parse(level: &str) -> Result<Targets, LevelError> {
    let refused = |why: String| {
        let (level, why) = (plain(level, LONGEST_ECHO), plain(&why, LONGEST_ECHO));
        LevelError::NoFilter { level, why }
    };
    for word in level.split(',').map(str::trim).filter(|part| !part.contains('=')) {
        if word.is_empty() || word.parse::<LevelFilter>().is_err() {
            return Err(refused(format!("`{word}` is not a level")));
        }
    }
    level.parse::<Targets>().map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
#[path = "logging_tests.rs"]
mod tests;
