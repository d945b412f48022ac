//! The command line: its words, and which exit code an error means.

mod ask;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use self::ask::{Ask, Changes, List, LogLevel, Output, Pods, Release, Watch, WhatIf};
use crate::{
    classify::Code,
    config::{self, Capture, Endpoint},
    local,
};

/// Ends pods whose image will never come.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 fine, 1 the answer is no (a bad configuration, no such pod, nothing \
    to release), 2 wrong usage, 69 something needed is absent (no agent answers, no cluster), 70 a \
    bug, 75 only a new process can listen again (`run`)."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the agent of this node.
    Run(Run),
    /// Check a configuration file and show what it means.
    Check(Check),
    /// Say what an error text of a failed pull means.
    Explain(Explain),
    /// Show the PullImage calls of a recording of the CRI socket, or what a configuration would have
    /// made of them.
    Replay(Replay),
    /// Write what passes over the CRI socket to a file, with credentials blanked.
    Record(Record),
    /// Show how the agent of this node is doing.
    Status(Ask),
    /// List the pods of this node whose images fail, and what comes next for each.
    Pods(Pods),
    /// Show all that is known of one pod of this node: what fails, what comes next, and why.
    Pod {
        /// The pod.
        #[arg(value_name = "NAMESPACE/NAME")]
        pod: String,
        /// How the agent is asked.
        #[command(flatten)]
        ask: Ask,
    },
    /// List the images that this node pulled or failed to pull.
    Images(List),
    /// List the registries and mirrors that this node pulls from, and which of them is down.
    Registries(List),
    /// Show what changed on this node lately.
    Changes(Changes),
    /// Show attempts, verdicts and all else on this node as it happens.
    Watch(Watch),
    /// Show what other limits would have done to the pods of this node.
    WhatIf(WhatIf),
    /// End a hold by hand: of a registry, or of one pod.
    Release(Release),
    /// Show or change what the agent of this node logs, for a while.
    LogLevel(LogLevel),
    /// Print the completions of a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page, or write one for each command.
    Man {
        /// A folder to write all pages to.
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
}

/// Run the agent of this node.
#[derive(Debug, Args)]
pub struct Run {
    /// The configuration file.
    #[arg(long, default_value = config::DEFAULT_PATH)]
    pub config: PathBuf,
    /// The node whose pods to look after, as the API server names it.
    #[arg(long, env = "NODE_NAME")]
    pub node_name: String,
}

/// Check a configuration file and show what it means.
#[derive(Debug, Args)]
pub struct Check {
    /// The file.
    pub file: PathBuf,
    /// How the policy is shown; as JSON it is one object.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// Say what an error text of a failed pull means.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 explained, 1 no rule knows the text, a line of the batch \
    cannot be read or no such pod is on this node, 2 wrong usage, 69 the batch or the agent is not \
    there.")]
pub struct Explain {
    /// The text, as the runtime or an Event gives it; or NAMESPACE/NAME of a pod of this node, which
    /// the running agent explains.
    #[arg(allow_hyphen_values = true, required_unless_present_any = ["batch", "code", "reason"])]
    pub target_or_message: Option<String>,
    /// The gRPC status of the call: a name such as NotFound, or a number.
    #[arg(long, value_parser = code)]
    pub code: Option<Code>,
    /// The container runtime, such as "containerd 2.4".
    #[arg(long)]
    pub runtime: Option<String>,
    /// The kubelet's waiting reason, such as InvalidImageName.
    #[arg(long)]
    pub reason: Option<String>,
    /// The image that was asked for.
    #[arg(long)]
    pub image: Option<String>,
    /// Explain JSON lines with message, code, runtime, reason and image from this file (- is
    /// standard input); one JSON line each comes back.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["target_or_message", "code", "runtime", "reason", "image", "output"]
    )]
    pub batch: Option<String>,
    /// The configuration file, for its rules and limits [default: /etc/pullfuse/config.toml where
    /// it exists].
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// How the answer is shown.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
    /// The agent's socket, for a pod.
    #[arg(long, env = "PULLFUSE_SOCKET", default_value = local::DEFAULT_SOCKET)]
    pub socket: PathBuf,
}

fn code(text: &str) -> Result<Code, String> {
    Code::read(text).ok_or_else(|| format!("expected {}", Code::EXPECTED))
}

/// Show the PullImage calls of a recording of the CRI socket, or what a configuration would have
/// made of them.
#[derive(Debug, Args)]
pub struct Replay {
    /// The recording, such as NAME.wire.jsonl or NAME.wire.jsonl.gz.
    pub file: PathBuf,
    /// Start at this record, the first being 0, like an agent that attached just then.
    #[arg(long, value_name = "RECORD", default_value_t = 0)]
    pub from: u64,
    /// Instead of the calls show what this configuration would have made of each image of each pod.
    ///
    /// The calls are played in simulated time, and verdicts fall as they would have on the node. A
    /// recording tells of a pod only its UID, namespace and name: it is taken for Pending, with
    /// restartPolicy Never, without labels, annotations and owner. What a call does not tell is
    /// unknown, since there is no status to ask. The time ends with the recording.
    #[arg(long, value_name = "CONFIG")]
    pub config: Option<PathBuf>,
    /// How it is shown.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs: one JSON object per line; null is unknown.
    Json,
}

/// Write what passes over the CRI socket to a file, with credentials blanked.
#[derive(Debug, Args)]
pub struct Record {
    /// The recording, compressed when the name ends in .gz.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The CRI socket, such as unix:///run/containerd/containerd.sock; auto listens to the usual
    /// ones.
    #[arg(long, default_value = "auto")]
    pub endpoint: Endpoint,
    /// How the kernel is asked to listen.
    #[arg(long, value_enum, default_value_t)]
    pub capture: Capture,
    /// Ends after this time; by default with Ctrl-C.
    #[arg(long)]
    pub seconds: Option<u64>,
}

/// Exit codes, after BSD's sysexits.
pub mod exit {
    /// The answer is no.
    pub const NO: u8 = 1;
    /// Something needed is absent.
    pub const UNAVAILABLE: u8 = 69;
    /// What is missing comes back with a new process.
    pub const RESTART: u8 = 75;
}
