//! `kubectl pullfuse`: what was ended in a cluster, what waits, and how the agents are.
//!
//! In: the user's command line and kubeconfig. Out: tables, or JSON lines. Touches the API server
//! only, and only reads.

mod agents;
mod cli;
mod cluster;
mod found;
mod group;
mod nodes;
mod show;
mod shown;

use std::io::{self, ErrorKind};

use thiserror::Error;

pub use self::cli::Cli;
use self::{cli::Command, cluster::Cluster};
use crate::{cli::exit, text};

/// Longest text of the cluster that is kept, in bytes.
const LONGEST_TEXT: usize = 4096;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum PluginError {
    /// No kubeconfig, or not a usable one.
    #[error(
        "no cluster to ask: {0}; name a kubeconfig with --kubeconfig or KUBECONFIG, and one of its \
         contexts with --context"
    )]
    NoCluster(String),
    /// A right is missing.
    #[error(
        "you may not {verb} {resource} {place}: ask for the right (`kubectl auth can-i {verb} \
         {resource}` tells when you have it){hint}"
    )]
    Forbidden {
        /// Such as list.
        verb: &'static str,
        /// Such as pods.
        resource: &'static str,
        /// In which namespace, or in all.
        place: String,
        /// What may work without it.
        hint: &'static str,
    },
    /// The API server does not answer, or not as it should.
    #[error("cannot {verb} {resource} {place}: {why}")]
    Call {
        /// Such as list.
        verb: &'static str,
        /// Such as pods.
        resource: &'static str,
        /// In which namespace, or in all.
        place: String,
        /// What went wrong.
        why: String,
    },
    /// There is no DaemonSet of pullfuse.
    #[error(
        "no DaemonSet with the label {label} {place}: install pullfuse, or say with -n where it is \
         (-A looks everywhere)",
        label = nodes::LABEL
    )]
    NotInstalled {
        /// Where it was looked for.
        place: String,
    },
    /// The answer cannot be written.
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

/// Answers one question; the exit code says whether all is well.
///
/// # Errors
/// With the exit code that the error means.
pub fn run(cli: &Cli) -> Result<u8, (u8, PluginError)> {
    match answer(cli) {
        // Who reads has seen enough, as with `| head`.
        Err(PluginError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(0),
        Err(error) => Err((exit::UNAVAILABLE, error)),
        Ok(code) => Ok(code),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn answer(cli: &Cli) -> Result<u8, PluginError> {
    let cluster = Cluster::connect(cli).await?;
    let mut out = text::Harmless::new(io::stdout().lock());
    match cli.command {
        None | Some(Command::Pods) => {
            let place = cluster.place(cli, None);
            let groups = cluster.groups(&place).await?;
            show::groups(&groups, &place, cli.output, &mut out)?;
            Ok(0)
        }
        Some(Command::Agents) => {
            let place = cluster.place(cli, Some("pullfuse"));
            let agents = agents::look(&cluster, &place).await?;
            show::agents(&agents, cli.output, &mut out)?;
            Ok(if agents.all_well() { 0 } else { exit::NO })
        }
    }
}

/// A text of the cluster as it is kept: pods and their owners write what they like.
fn clean(text: &str) -> String {
    text::plain(text, LONGEST_TEXT)
}
