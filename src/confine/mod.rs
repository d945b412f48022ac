//! Takes from the process what it does not need, so that whoever takes it over finds little.
//!
//! In: the places that the agent goes on to use, and whether its capture works without rights. Out:
//! one sentence for health. Touches this process alone: its capabilities, a filter of system calls
//! (seccomp), a limit of files (Landlock). What a kernel does not offer is said and done without.

mod calls;
mod files;
mod rights;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

pub use files::Places;
pub use rights::{drop_rights, give_up};

use crate::serve::Condition;

/// No core file, and no debugger but root's: credentials pass through this memory.
pub fn keep_memory_private() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // Either one alone is enough for a core file; neither is known to fail.
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// What the agent goes on to need.
#[derive(Debug, Clone)]
pub struct Needs {
    /// The files that it reads and writes.
    pub places: Places,
    /// The port on which it listens.
    pub port: u16,
    /// Whether it starts programs: a kubeconfig may get its credentials from one.
    pub programs: bool,
    /// Whether it goes on to connect to unix sockets: the runtime is asked over one.
    pub unix_sockets: bool,
}

/// How far the process is confined.
#[derive(Debug)]
pub struct Confinement {
    state: State,
}

#[derive(Debug)]
enum State {
    Off,
    On { calls: Limit, files: Limit, unix_sockets: bool, rights: Rights },
}

/// A limit that the kernel was asked for.
#[derive(Debug)]
enum Limit {
    /// It holds.
    On(String),
    /// It does not and cannot.
    Absent(String),
    /// It should and does not.
    Failed(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rights {
    /// Until the capture is attached.
    Held,
    Dropped,
    /// The kernel asks for it at every change of the socket filter.
    OnlyBpf,
    Kept,
}

impl Confinement {
    /// The process keeps what it has.
    pub fn off() -> Self {
        Self { state: State::Off }
    }

    /// Limits files and system calls, and keeps only the capabilities that the capture is attached
    /// with. Threads made later have the same limits, so this comes before the first.
    pub fn begin(needs: &Needs) -> Self {
        rights::keep_those_of_the_capture();
        let programs = || Limit::Absent("the kubeconfig's credentials come from a program".into());
        let (files, calls) = match needs.programs {
            true => (programs(), programs()),
            false => (files::limit(&needs.places, needs.port), calls::limit()),
        };
        let unix_sockets = needs.unix_sockets;
        Self { state: State::On { calls, files, unix_sockets, rights: Rights::Held } }
    }

    /// Gives up what only a capture that is not yet attached needs. `works` tries whether the
    /// capture works without capabilities; where it does not, the one that it needs is kept.
    pub fn settle(&mut self, works: impl FnMut() -> bool) {
        let State::On { calls, unix_sockets, rights, .. } = &mut self.state else { return };
        if *rights != Rights::Held {
            return;
        }
        *rights = rights::drop_after(works);
        if let Limit::On(_) = calls
            && let Err(error) = calls::limit_further(*unix_sockets)
        {
            *calls = Limit::Failed(error);
        }
    }

    /// Whether no capture can be attached any more by this process.
    pub fn is_final(&self) -> bool {
        matches!(&self.state, State::On { rights, .. } if *rights != Rights::Held)
    }

    /// Whether there is a capability to lose, without which no capture can be attached.
    pub fn may_attach(&self) -> bool {
        !self.is_final() && rights::any()
    }

    /// What holds, for health.
    pub fn condition(&self) -> Condition {
        let State::On { calls, files, rights, .. } = &self.state else {
            return Condition::Good("off, as configured".into());
        };
        let (dropped, rights) = match rights {
            Rights::Held => (true, "capabilities held until the capture is attached"),
            Rights::Dropped => (true, "capabilities dropped"),
            Rights::OnlyBpf => {
                (true, "capabilities dropped but CAP_BPF, which this kernel asks for")
            }
            Rights::Kept => (false, "capabilities could not be dropped"),
        };
        let text = format!("{rights}, seccomp {}, Landlock {}", calls.text(), files.text());
        let failed = |limit: &Limit| matches!(limit, Limit::Failed(_));
        match dropped && !failed(calls) && !failed(files) {
            true => Condition::Good(text),
            false => Condition::Degraded(text),
        }
    }
}

impl Limit {
    fn text(&self) -> String {
        match self {
            Self::On(what) => what.clone(),
            Self::Absent(why) => format!("off ({why})"),
            Self::Failed(why) => format!("failed ({why})"),
        }
    }
}
