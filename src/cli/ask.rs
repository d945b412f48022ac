//! The words of the commands that ask the running agent.

use std::path::PathBuf;

use clap::{
    Args, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use jiff::SignedDuration;
use strum::VariantNames;

use crate::{classify::Class, local};

/// How the running agent is asked.
#[derive(Debug, Clone, Args)]
pub struct Ask {
    /// The agent's socket.
    #[arg(long, env = "PULLFUSE_SOCKET", default_value = local::DEFAULT_SOCKET)]
    pub socket: PathBuf,
    /// How the answer is shown.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// How an answer of the agent is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For people with wide terminals: more columns where there are more.
    Wide,
    /// For programs: one JSON object per line.
    Json,
}

/// List the pods of this node whose images fail, and what comes next for each.
#[derive(Debug, Args)]
pub struct Pods {
    /// Only pods of this namespace.
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// Go on, and show each that changes.
    #[arg(short, long)]
    pub watch: bool,
    /// How the agent is asked.
    #[command(flatten)]
    pub ask: Ask,
}

/// List images or registries.
#[derive(Debug, Args)]
pub struct List {
    /// Go on, and show each that changes.
    #[arg(short, long)]
    pub watch: bool,
    /// How the agent is asked.
    #[command(flatten)]
    pub ask: Ask,
}

/// Show what changed lately.
#[derive(Debug, Args)]
pub struct Changes {
    /// How far back, such as 10m or 24h; a day is remembered.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = positive)]
    pub since: SignedDuration,
    /// Without the changes of pods of other namespaces.
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// How the agent is asked.
    #[command(flatten)]
    pub ask: Ask,
}

/// Show attempts, verdicts and all else as it happens, until stopped.
#[derive(Debug, Args)]
pub struct Watch {
    /// Begin with what changed within this time, such as 1h.
    #[arg(long, value_name = "TIME", value_parser = positive)]
    pub since: Option<SignedDuration>,
    /// Without the changes of pods of other namespaces.
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

/// End a hold by hand.
#[derive(Debug, Args)]
#[command(
    after_help = "A registry's breaker is closed, and all its pods are judged as always. A pod \
    is let go on although its registry seems to be out of order, a cap is reached, it is only to be \
    reported, or its verdict was given up. Its limits must be reached all the same, no pull of it \
    may go on and its image not have come; protected pods stay protected, a dry run stays one, and \
    no pod that was ended is brought back. The log and an Event name the user."
)]
pub struct Release {
    /// A registry as `pullfuse registries` names it, or a pod.
    #[arg(value_name = "REGISTRY|NAMESPACE/NAME")]
    pub target: String,
    /// How the agent is asked.
    #[command(flatten)]
    pub ask: Ask,
}

/// Show or change what the agent logs.
#[derive(Debug, Args)]
pub struct LogLevel {
    /// A level such as debug, or a list such as pullfuse=debug,info; without it the one in force is
    /// shown.
    pub level: Option<String>,
    /// For how long, up to 24h; then the agent logs as configured again.
    #[arg(long = "for", value_name = "TIME", default_value = "15m", value_parser = positive)]
    pub lasting: SignedDuration,
    /// Log as configured again at once.
    #[arg(long, conflicts_with = "level")]
    pub reset: bool,
    /// How the agent is asked.
    #[command(flatten)]
    pub ask: Ask,
}

fn positive(text: &str) -> Result<SignedDuration, String> {
    match text.parse::<SignedDuration>() {
        Ok(time) if time > SignedDuration::ZERO => Ok(time),
        _ => Err("write a time such as 30s, 10m or 1h 30m".into()),
    }
}
