//! Structured logs on standard error.

use tracing_subscriber::{filter::Targets, prelude::*};

use crate::config::{Log, LogFormat};

/// Starts logging; the configuration's filter has been checked before.
pub fn start(log: &Log) {
    let filter: Targets = log.level.parse().unwrap_or_default();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => lines.boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}
