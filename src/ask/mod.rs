//! The commands that ask the running agent of this node: `pullfuse status`.
//!
//! In: the command line. Out: what the agent answers, as a table or as JSON. Touches the agent's
//! socket.

mod status;

use std::io::{self, Write};

use serde::Serialize;
use thiserror::Error;

use crate::{
    cli::{Ask, Format},
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
