//! The programs of a rig: starting, signalling and reaping them as process 1 must.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::protocol::{Exit, Program, ProgramStatus};

/// How long a program may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// All programs started so far, by name.
#[derive(Clone)]
pub(crate) struct Programs {
    shared: Arc<Shared>,
}

struct Shared {
    log: PathBuf,
    table: Mutex<BTreeMap<String, Entry>>,
    changed: Condvar,
}

struct Entry {
    program: Program,
    pid: Pid,
    exit: Option<Exit>,
}

impl Programs {
    /// An empty table whose programs log into the folder `log`.
    pub(crate) fn new(log: &Path) -> Self {
        Self {
            shared: Arc::new(Shared {
                log: log.to_owned(),
                table: Mutex::default(),
                changed: Condvar::new(),
            }),
        }
    }

    /// Starts a program.
    pub(crate) fn start(&self, program: Program) -> anyhow::Result<()> {
        let mut table = self.table();
        if table.get(&program.name).is_some_and(|entry| entry.exit.is_none()) {
            bail!("{} is running already", program.name);
        }
        let Some((path, arguments)) = program.argv.split_first() else {
            bail!("{} has no command", program.name);
        };
        let log = self.shared.log.join(format!("{}.log", program.name));
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot open {}", log.display()))?;
        // The table stays locked until the process is in it: the reaper looks only afterwards, so
        // no exit is missed.
        #[allow(clippy::zombie_processes, reason = "the reaper waits for every process")]
        let child = Command::new(path)
            .args(arguments)
            .envs(&program.env)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {path}"))?;
        let pid = Pid::from_child(&child);
        let name = program.name.clone();
        table.insert(name, Entry { program, pid, exit: None });
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Sends a signal to a running program.
    pub(crate) fn signal(&self, name: &str, signal: Signal) -> anyhow::Result<()> {
        let table = self.table();
        let entry = table.get(name).with_context(|| format!("no program is called {name}"))?;
        if entry.exit.is_some() {
            bail!("{name} is not running");
        }
        // The process is unreaped while its exit is unset, so the id is still its own.
        rustix::process::kill_process(entry.pid, signal)
            .with_context(|| format!("cannot signal {name}"))
    }

    /// Waits until a program has ended, at most until `deadline`.
    pub(crate) fn wait(
        &self,
        name: &str,
        deadline: Option<Instant>,
    ) -> anyhow::Result<Option<Exit>> {
        let mut table = self.table();
        loop {
            let entry = table.get(name).with_context(|| format!("no program is called {name}"))?;
            if entry.exit.is_some() {
                return Ok(entry.exit);
            }
            let left = match deadline {
                Some(deadline) => deadline.saturating_duration_since(Instant::now()),
                None => Duration::from_secs(60),
            };
            if left.is_zero() {
                return Ok(None);
            }
            let woken = self.shared.changed.wait_timeout(table, left);
            table = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends a program if it runs and starts it again with the same command.
    pub(crate) fn restart(&self, name: &str) -> anyhow::Result<()> {
        let program = {
            let table = self.table();
            let entry = table.get(name).with_context(|| format!("no program is called {name}"))?;
            entry.program.clone()
        };
        if self.signal(name, Signal::TERM).is_ok()
            && self.wait(name, Some(Instant::now() + GRACE))?.is_none()
        {
            self.signal(name, Signal::KILL)?;
            self.wait(name, None)?;
        }
        self.start(program)
    }

    /// The state of every program.
    pub(crate) fn list(&self) -> Vec<ProgramStatus> {
        let table = self.table();
        let status = |(name, entry): (&String, &Entry)| ProgramStatus {
            name: name.clone(),
            pid: entry.pid.as_raw_nonzero().get(),
            exit: entry.exit,
        };
        table.iter().map(status).collect()
    }

    /// Reaps every process that ends, for ever: also those whose parents died before them.
    pub(crate) fn reap(&self) {
        loop {
            // Looking without reaping first: `Command::spawn` reaps a child that could not execute
            // its program itself, while it holds the table.
            let peek = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            match rustix::process::waitid(WaitId::All, peek) {
                Ok(Some(_)) => self.reap_one(),
                Err(rustix::io::Errno::CHILD) => {
                    let table = self.table();
                    drop(self.shared.changed.wait_timeout(table, Duration::from_secs(1)));
                }
                Ok(None) | Err(_) => {}
            }
        }
    }

    fn reap_one(&self) {
        let mut table = self.table();
        let gone = rustix::process::wait(rustix::process::WaitOptions::NOHANG);
        let Ok(Some((pid, status))) = gone else { return };
        let running = |entry: &&mut Entry| entry.pid == pid && entry.exit.is_none();
        if let Some(entry) = table.values_mut().find(running) {
            entry.exit =
                Some(Exit { code: status.exit_status(), signal: status.terminating_signal() });
            self.shared.changed.notify_all();
        }
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.shared.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
