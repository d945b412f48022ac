//! The commands that ask the running agent of this node: `pullfuse status`, `pods`, `pod`,
//! `explain` for a pod, `images`, `registries`, `changes`, `watch`, `what-if`, `release`,
//! `log-level`.
//!
//! In: the command line. Out: what the agent answers, as a table or as JSON. Touches the agent's
//! socket.

mod changes;
mod images;
mod listing;
mod log_level;
mod pod;
mod pods;
mod registries;
mod status;
mod times;
mod what_if;

use std::io::{self, Write};

use serde::Serialize;
use thiserror::Error;

use crate::{
    cli::{Ask, Changes, List, LogLevel, Output, Pods, Release, Watch, WhatIf},
    local::{
        ClientError, connect,
        v1::{self, release_request::What},
    },
    text::shown,
};

/// Why a question has no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// The agent did not answer it.
    #[error(transparent)]
    Agent(#[from] ClientError),
    /// It answered for a while.
    #[error("the agent has ended, or the connection to it")]
    Ended,
    /// The answer cannot be written.
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

impl From<tonic::Status> for AskError {
    fn from(status: tonic::Status) -> Self {
        Self::Agent(status.into())
    }
}

/// `pullfuse status`.
///
/// # Errors
/// When no agent answers, or the answer cannot be written.
pub async fn status(ask: &Ask, out: &mut impl Write) -> Result<(), AskError> {
    let mut agent = connect(&ask.socket).await?;
    let answer = agent.status(v1::StatusRequest {}).await?.into_inner();
    show(ask.output, &answer, out, status::table)
}

/// `pullfuse pods`.
///
/// # Errors
/// When no agent answers, or the answer cannot be written.
pub async fn pods(args: &Pods, out: &mut impl Write) -> Result<(), AskError> {
    let namespace = args.namespace.clone().unwrap_or_default();
    let wanted = v1::ListPodsRequest { namespace: namespace.clone(), name: String::new() };
    let list = async |agent: &mut crate::local::Client| {
        Ok(agent.list_pods(wanted.clone()).await?.into_inner())
    };
    listing::run(&args.ask, args.watch, namespace, list, out).await
}

/// `pullfuse images`.
///
/// # Errors
/// When no agent answers, or the answer cannot be written.
pub async fn images(args: &List, out: &mut impl Write) -> Result<(), AskError> {
    let list = async |agent: &mut crate::local::Client| {
        Ok(agent.list_images(v1::ListImagesRequest {}).await?.into_inner())
    };
    listing::run(&args.ask, args.watch, String::new(), list, out).await
}

/// `pullfuse registries`.
///
/// # Errors
/// When no agent answers, or the answer cannot be written.
pub async fn registries(args: &List, out: &mut impl Write) -> Result<(), AskError> {
    let list = async |agent: &mut crate::local::Client| {
        Ok(agent.list_registries(v1::ListRegistriesRequest {}).await?.into_inner())
    };
    listing::run(&args.ask, args.watch, String::new(), list, out).await
}

/// `pullfuse pod` and `pullfuse explain` for a pod, named `NAMESPACE/NAME`.
///
/// # Errors
/// When no agent answers, the pod is not on its node, or the answer cannot be written.
pub async fn pod(name: &str, ask: &Ask, out: &mut impl Write) -> Result<(), AskError> {
    let wanted = pod_named(name)?;
    let mut agent = connect(&ask.socket).await?;
    let answer = agent.get_pod(wanted).await?.into_inner();
    show(ask.output, &answer, out, pod::detail)
}

/// `pullfuse changes`.
///
/// # Errors
/// When no agent answers, or the answer cannot be written.
pub async fn changes(args: &Changes, out: &mut impl Write) -> Result<(), AskError> {
    let since = args.since.unsigned_abs();
    let namespace = args.namespace.clone().unwrap_or_default();
    let wanted = v1::ListChangesRequest { since: Some(since.into()), namespace };
    let mut agent = connect(&args.ask.socket).await?;
    let answer = agent.list_changes(wanted).await?.into_inner();
    show(args.ask.output, &answer, out, |answer, out| changes::table(answer, args.since, out))
}

/// `pullfuse watch`.
///
/// # Errors
/// When no agent answers, it ends, or the changes cannot be written.
pub async fn watch(args: &Watch, out: &mut impl Write) -> Result<(), AskError> {
    let wanted = v1::WatchRequest {
        since: args.since.map(|since| since.unsigned_abs().into()),
        namespace: args.namespace.clone().unwrap_or_default(),
    };
    let mut agent = connect(&args.ask.socket).await?;
    let mut told = agent.watch(wanted).await?.into_inner();
    while let Some(change) = told.message().await.map_err(|_| AskError::Ended)? {
        show(args.ask.output, &change, out, changes::line)?;
        out.flush()?;
    }
    Err(AskError::Ended)
}

/// `pullfuse what-if`.
///
/// # Errors
/// When no agent answers, or the answer cannot be written.
pub async fn what_if(args: &WhatIf, out: &mut impl Write) -> Result<(), AskError> {
    let question = v1::WhatIfRequest {
        max_attempts: args.max_attempts,
        class: args.class.map(|class| class.as_str().to_owned()).unwrap_or_default(),
        min_elapsed: args.min_elapsed.map(|least| least.unsigned_abs().into()),
    };
    let mut agent = connect(&args.ask.socket).await?;
    let answer = agent.what_if(question).await?.into_inner();
    show(args.ask.output, &answer, out, what_if::table)
}

/// `pullfuse release`.
///
/// # Errors
/// When no agent answers, or nothing that can be released holds what is named.
pub async fn release(args: &Release, out: &mut impl Write) -> Result<(), AskError> {
    // No host has a slash, every pod has one.
    let what = match args.target.contains('/') {
        true => What::Pod(pod_named(&args.target)?),
        false => What::Registry(args.target.clone()),
    };
    let mut agent = connect(&args.ask.socket).await?;
    let answer = agent.release(v1::ReleaseRequest { what: Some(what) }).await?.into_inner();
    show(args.ask.output, &answer, out, |answer, out| {
        writeln!(out, "{}", shown(Some(&answer.text)))
    })
}

/// `pullfuse log-level`.
///
/// # Errors
/// When no agent answers, or what is named is no log level.
pub async fn log_level(args: &LogLevel, out: &mut impl Write) -> Result<(), AskError> {
    let mut agent = connect(&args.ask.socket).await?;
    let in_force = match (&args.level, args.reset) {
        (None, false) => agent.status(v1::StatusRequest {}).await?.into_inner().log_level,
        (level, _) => {
            let level = level.clone().unwrap_or_default();
            let lasting = Some(args.lasting.unsigned_abs().into());
            let request = v1::SetLogLevelRequest { level, lasting };
            agent.set_log_level(request).await?.into_inner().log_level
        }
    };
    let in_force = in_force.unwrap_or_default();
    show(args.ask.output, &in_force, out, |in_force, out| {
        writeln!(out, "{}", log_level::sentence(in_force))
    })
}

fn pod_named(name: &str) -> Result<v1::GetPodRequest, ClientError> {
    match name.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok(v1::GetPodRequest { namespace: namespace.into(), name: name.into() })
        }
        _ => Err(ClientError::NotFound(format!("`{name}` is no pod; write NAMESPACE/NAME"))),
    }
}

fn show<T: Serialize, W: Write>(
    output: Output,
    answer: &T,
    out: &mut W,
    table: impl FnOnce(&T, &mut W) -> io::Result<()>,
) -> Result<(), AskError> {
    match output {
        Output::Table | Output::Wide => table(answer, out)?,
        Output::Json => {
            serde_json::to_writer(&mut *out, answer).map_err(io::Error::from)?;
            writeln!(out)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
