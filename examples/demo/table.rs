//! The live table: redrawn in place on a terminal, a line per change elsewhere.

use std::{
    io::{IsTerminal, stdout},
    time::Duration,
};

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};

/// One Job.
#[derive(Clone, PartialEq)]
pub struct Row {
    name: String,
    phase: String,
    waiting: String,
    /// Failed attempts, as pullfuse counts them.
    pub attempts: u64,
    /// What the Job says of itself.
    pub job: String,
}

impl Row {
    /// Reads a Job and its pod.
    pub fn new(name: &str, job: &Job, pod: Option<&Pod>, attempts: u64) -> Self {
        let status = pod.and_then(|pod| pod.status.as_ref());
        let waiting = status
            .and_then(|s| s.container_statuses.iter().flatten().next())
            .and_then(|s| s.state.as_ref()?.waiting.as_ref()?.reason.clone());
        let ended = (job.status.iter().flat_map(|s| s.conditions.iter().flatten()))
            .find(|c| c.status == "True" && matches!(c.type_.as_str(), "Failed" | "Complete"));
        let job = match ended {
            Some(c) => format!("{} ({})", c.type_, c.reason.as_deref().unwrap_or("-")),
            None => "active".into(),
        };
        Self {
            name: name.into(),
            phase: status.and_then(|s| s.phase.clone()).unwrap_or_else(|| "-".into()),
            waiting: waiting.unwrap_or_else(|| "-".into()),
            attempts,
            job,
        }
    }

    fn line(&self) -> String {
        let Self { name, phase, waiting, attempts, job } = self;
        format!("{name:14} {phase:10} {waiting:18} {attempts:>8}  {job}")
    }
}

/// What has been shown.
pub struct Table {
    live: bool,
    last: Vec<Row>,
}

impl Table {
    /// An empty table with its heading.
    pub fn new() -> Self {
        let heading = format!("{:14} {:10} {:18} {:>8}  JOB", "NAME", "POD", "WAITING", "ATTEMPTS");
        println!("   time  {heading}");
        Self { live: stdout().is_terminal(), last: Vec::new() }
    }

    /// Shows what is new.
    pub fn show(&mut self, at: Duration, rows: &[Row]) {
        if self.live && !self.last.is_empty() {
            // Up to the first row again.
            print!("\x1b[{}A", self.last.len());
        }
        for (number, row) in rows.iter().enumerate() {
            if self.live || self.last.get(number) != Some(row) {
                let clear = if self.live { "\x1b[K" } else { "" };
                println!("{:>5.0} s  {}{clear}", at.as_secs_f64(), row.line());
            }
        }
        self.last = rows.to_vec();
    }
}
