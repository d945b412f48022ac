use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Shows which pods pullfuse ended and which wait for their images, by image and cause, and how the
/// agents of the nodes are.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-pullfuse",
    bin_name = "kubectl pullfuse",
    version,
    after_help = "Exit codes: 0 fine, 1 a node lacks a ready agent (agents), 2 wrong usage, 69 no \
    cluster, no right or no pullfuse."
)]
pub struct Cli {
    /// What to show; pods if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The kubeconfig [default: KUBECONFIG, then ~/.kube/config].
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context, if not its current one.
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// The pods' namespace, by default the context's; for agents that of the DaemonSet, by default
    /// pullfuse.
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// All namespaces.
    #[arg(short = 'A', long, global = true, conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// How the answer is shown.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// What to show.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Command {
    /// Pods that were ended or wait for their images, by image and cause.
    Pods,
    /// The agent of every node, and why it is not ready.
    Agents,
}

/// How answers are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For people with wide screens.
    Wide,
    /// For programs: one JSON object per line; null is unknown.
    Json,
}
