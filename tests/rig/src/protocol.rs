//! What is said over a rig's control socket: one JSON object per line, one answer per request.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A program to run inside a rig.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Program {
    /// Under which name it is signalled and waited for; its log is `log/<name>.log`.
    pub name: String,
    /// The program's path and its arguments.
    pub argv: Vec<String>,
    /// Variables added to the rig's own small environment (PATH, HOME, LANG).
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

impl Program {
    /// A program called `name`, started with `argv`.
    pub fn new<A: Into<String>>(
        name: impl Into<String>,
        argv: impl IntoIterator<Item = A>,
    ) -> Self {
        Self {
            name: name.into(),
            argv: argv.into_iter().map(Into::into).collect(),
            env: BTreeMap::new(),
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.argv.push(argument.into());
        self
    }

    /// Adds one environment variable.
    #[must_use]
    pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(key.into(), value.into());
        self
    }
}

/// How a program ended: by itself with a code, or by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit code of a program that ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl Exit {
    /// Whether the program ended by itself with code 0.
    #[must_use]
    pub fn success(self) -> bool {
        self.code == Some(0)
    }
}

/// A program of a rig and its state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProgramStatus {
    /// The program's name.
    pub name: String,
    /// Its process id as seen inside the rig.
    pub pid: i32,
    /// How it ended; `None` while it runs.
    pub exit: Option<Exit>,
}

/// A request to a rig's init.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Request {
    /// Starts a program; its name must not be running.
    Start { program: Program },
    /// Sends a signal to a running program.
    Signal { name: String, signal: i32 },
    /// Answers when the program has ended.
    Wait { name: String },
    /// Ends a program, by force if it does not go, and starts it again.
    Restart { name: String },
    /// Lists all programs started so far.
    List,
    /// Answers when something accepts connections there.
    Listening { at: Endpoint, within_ms: u64 },
    /// Forwards connections to the listener sent along (`SCM_RIGHTS`) to a port of the rig's loopback.
    Forward { port: u16 },
}

/// Where a program of a rig accepts connections.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Endpoint {
    /// A port of the rig's loopback.
    Port(u16),
    /// containerd's socket.
    Containerd,
}

/// The answer to a [`Request`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// Nothing more to say.
    Done,
    /// The program ended like this.
    Exited(Exit),
    /// Every program started so far.
    Programs(Vec<ProgramStatus>),
    /// The request failed.
    Failed(String),
}
