//! The command line: its words, and which exit code an error means.

use std::path::PathBuf;

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use jiff::SignedDuration;
use strum::VariantNames;

use crate::{
    classify::{Class, Code},
    config::{self, Capture, Endpoint},
    local,
};

/// Ends pods whose image will never come.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 fine, 1 the answer is no (such as a bad \
    configuration), 2 wrong usage, 69 something needed is absent, 70 a bug, 75 a new \
    process is needed (`run` has given up the rights to listen anew)."
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
    /// Show all that is known of one pod whose image fails.
    Pod {
        /// The pod.
        #[arg(value_name = "NAMESPACE/NAME")]
        pod: String,
        /// How the agent is asked.
        #[command(flatten)]
        ask: Ask,
    },
    /// Show what other limits would have done to the pods of this node.
    WhatIf(WhatIf),
}

/// List the pods of this node whose images fail, and what comes next for each.
#[derive(Debug, Args)]
pub struct Pods {
    /// Only pods of this namespace.
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// How the agent is asked.
    #[command(flatten)]
    pub ask: Ask,
}

/// Show what other limits would have done to the pods of this node.
#[derive(Debug, Args)]
pub struct WhatIf {
    /// Failed attempts before a pod is ended.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_attempts: u32,
    /// Only attempts of this cause count; otherwise those of permanent and ambiguous causes.
    #[arg(long, value_parser = PossibleValuesParser::new(Class::VARIANTS).try_map(|name| name.parse::<Class>()))]
    pub class: Option<Class>,
    /// Least time since the first attempt, such as 1m; by default as configured.
    #[arg(long, value_name = "TIME")]
    pub min_elapsed: Option<SignedDuration>,
    /// How the agent is asked.
    #[command(flatten)]
    pub ask: Ask,
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
#[command(after_help = "Exit codes: 0 explained, 1 no rule knows the text, a line of the batch \
    cannot be read or no image of the pod fails, 2 wrong usage, 69 the batch or the agent is not \
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
