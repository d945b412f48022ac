//! The command line: its words, and which exit code an error means.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config;

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
    /// Check a configuration file.
    Check {
        /// The file.
        file: PathBuf,
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

/// Exit codes, after BSD's sysexits.
pub mod exit {
    /// The answer is no.
    pub const NO: u8 = 1;
    /// Something needed is absent.
    pub const UNAVAILABLE: u8 = 69;
}
