//! The command line: its words, and which exit code an error means.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    classify::Code,
    config::{self, Capture, Endpoint},
    local,
};

/// Ends pods whose image will never come.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 fine, 1 the answer is no (such as a bad \
    configuration), 2 wrong usage, 69 something needed is absent, 70 a bug."
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
    /// Show the PullImage calls of a recording of the CRI socket.
    Replay(Replay),
    /// Write what passes over the CRI socket to a file, with credentials blanked.
    Record(Record),
    /// Show how the agent of this node is doing.
    Status(Ask),
}

/// How the running agent is asked.
#[derive(Debug, Args)]
pub struct Ask {
    /// The agent's socket.
    #[arg(long, env = "PULLFUSE_SOCKET", default_value = local::DEFAULT_SOCKET)]
    pub socket: PathBuf,
    /// How the answer is shown.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
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
#[command(after_help = "Exit codes: 0 explained, 1 no rule knows the text or a line of the batch \
    cannot be read, 2 wrong usage, 69 the batch is not there.")]
pub struct Explain {
    /// The text, as the runtime or an Event gives it.
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
}

fn code(text: &str) -> Result<Code, String> {
    Code::read(text).ok_or_else(|| format!("expected {}", Code::EXPECTED))
}

/// Show the PullImage calls of a recording of the CRI socket.
#[derive(Debug, Args)]
pub struct Replay {
    /// The recording, such as NAME.wire.jsonl or NAME.wire.jsonl.gz.
    pub file: PathBuf,
    /// Start at this record, the first being 0, like an agent that attached just then.
    #[arg(long, value_name = "RECORD", default_value_t = 0)]
    pub from: u64,
    /// How the calls are shown.
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
}
