//! `rig`: rigs by hand, and the first process inside every rig.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use pullfuse_rig::{Containerd, Kubelet, Options, init};

mod by_hand;

/// A real Kubernetes node on this machine, in seconds.
#[derive(Parser)]
#[command(name = "rig", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the parts that are missing and print their folder
    Build,
    /// Start a rig that runs until `rig stop`
    Start {
        /// What to call it
        #[arg(long)]
        name: Option<String>,
        /// The kubelet's version
        #[arg(long, value_enum, default_value = "1.36")]
        kubelet: Kubelet,
        /// containerd's version
        #[arg(long, value_enum, default_value = "2.4")]
        containerd: Containerd,
    },
    /// End a rig and remove everything that was its own
    Stop {
        /// Which one; not needed if only one runs
        #[arg(long, conflicts_with = "all")]
        name: Option<String>,
        /// All rigs, also those of running tests
        #[arg(long)]
        all: bool,
    },
    /// List the rigs that run
    List,
    /// Run a command inside a rig
    Exec {
        /// Which one; not needed if only one runs
        #[arg(long)]
        name: Option<String>,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Become a rig's namespaces (used by the other commands)
    #[command(hide = true)]
    Enter {
        folder: PathBuf,
        #[arg(long)]
        detached: bool,
    },
    /// Become a rig's first process (used by the other commands)
    #[command(hide = true)]
    Init {
        folder: PathBuf,
        #[arg(long)]
        detached: bool,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rig: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Build => by_hand::build(),
        Command::Start { name, kubelet, containerd } => {
            by_hand::start(Options { name, kubelet, containerd, ..Options::default() })
        }
        Command::Stop { name, all } => by_hand::stop(name.as_deref(), all),
        Command::List => by_hand::list(),
        Command::Exec { name, command } => by_hand::exec(name.as_deref(), &command),
        Command::Enter { folder, detached } => init::enter(&folder, detached),
        Command::Init { folder, detached } => init::run(&folder, detached),
    }
}
