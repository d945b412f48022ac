//! The commands that ask the running agent of this node: `pullfuse status`, `pods`, `pod`,
//! `explain` for a pod, `what-if`.
//!
//! In: the command line. Out: what the agent answers, as a table or as JSON. Touches the agent's
//! socket.

mod pods;
mod status;
mod table;
mod what_if;

use std::io::{self, Write};

use serde::Serialize;
use thiserror::Error;

use crate::{
    cli::{Ask, Format, Pods, WhatIf},
    local::{ClientError, connect, v1},
};

/// Why a question has no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// The agent did not answer it.
    #[error(transparent)]
    Agent(#[from] ClientError),
    /// The answer cannot be written.
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

/// `pullfuse status`.
///
/// # Errors
/// When no agent answers, or the answer cannot be written.
pub async fn status(ask: &Ask, out: &mut impl Write) -> Result<(), AskError> {
    let mut agent = connect(&ask.socket).await?;
    let answer = agent.status(v1::StatusRequest {}).await.map_err(ClientError::from)?.into_inner();
    show(ask.output, &answer, out, status::table)
}

/// `pullfuse pods`.
///
/// # Errors
/// When no agent answers, or the answer cannot be written.
pub async fn pods(args: &Pods, out: &mut impl Write) -> Result<(), AskError> {
    let namespace = args.namespace.clone().unwrap_or_default();
    let wanted = v1::ListPodsRequest { namespace, name: String::new() };
    let mut agent = connect(&args.ask.socket).await?;
    let answer = agent.list_pods(wanted).await.map_err(ClientError::from)?.into_inner();
    show(args.ask.output, &answer, out, pods::table)
}

/// `pullfuse pod` and `pullfuse explain` for a pod, named `NAMESPACE/NAME`.
///
/// # Errors
/// When no agent answers, it knows no such pod with a failing image, or the answer cannot be
/// written.
pub async fn pod(name: &str, ask: &Ask, out: &mut impl Write) -> Result<(), AskError> {
    let (namespace, pod) = name.split_once('/').ok_or_else(|| {
        ClientError::NotFound(format!("`{name}` is no pod; write NAMESPACE/NAME"))
    })?;
    let wanted = v1::ListPodsRequest { namespace: namespace.into(), name: pod.into() };
    let mut agent = connect(&ask.socket).await?;
    let answer = agent.list_pods(wanted).await.map_err(ClientError::from)?.into_inner();
    if answer.images.is_empty() {
        return Err(AskError::Agent(ClientError::NotFound(format!(
            "no image of pod {name} fails on this node; `pullfuse pods` lists those that do"
        ))));
    }
    show(ask.output, &answer, out, pods::detail)
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
    let answer = agent.what_if(question).await.map_err(ClientError::from)?.into_inner();
    show(args.ask.output, &answer, out, what_if::table)
}

fn show<T: Serialize, W: Write>(
    format: Format,
    answer: &T,
    out: &mut W,
    table: impl FnOnce(&T, &mut W) -> io::Result<()>,
) -> Result<(), AskError> {
    match format {
        Format::Table => table(answer, out)?,
        Format::Json => {
            serde_json::to_writer(&mut *out, answer).map_err(io::Error::from)?;
            writeln!(out)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
