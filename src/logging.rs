//! Structured logs on standard error.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{filter::Targets, prelude::*};

use crate::config::{Log, LogFormat};

/// Starts logging; the configuration's filter has been checked before.
pub fn start(log: &Log) {
    let filter: Targets = log.level.parse().unwrap_or_default();
    let lines =
        tracing_subscriber::fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal());
    let lines = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => lines.boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}
