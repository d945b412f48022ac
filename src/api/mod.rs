//! Calls to the API server: each has a deadline, and its failure is sorted by what to do next.
//!
//! In: a call. Out: its answer, or an [`ApiError`]. However much is to be done, an API server in
//! trouble gets few requests: [`Turns`] bounds what the agent writes, [`connect`] how often it lists
//! and watches.

mod client;
mod pace;
mod turns;

use std::{future::Future, time::Duration};

pub use self::{
    client::{connect, lists_or_watches},
    turns::Turns,
};
use crate::text::plain;

/// No call may take longer; what a slow API server does not answer waits for the next round.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// Longest text of an answer that is told, in bytes.
const TEXT_LIMIT: usize = 1024;

/// Why a call failed, by what to do next.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The pod changed since it was read: read it again.
    #[error("the pod has changed")]
    Conflict,
    /// The pod is gone.
    #[error("the pod is gone")]
    Gone,
    /// A right is missing: say so and try again much later.
    #[error("{0}; check that the RBAC rules and admission policies of daemonset/ are applied")]
    Forbidden(String),
    /// The write itself is refused; the same one will be refused again.
    #[error("{0}")]
    Rejected(String),
    /// It answers that it cannot now: try again soon.
    #[error("{0}")]
    Unavailable(String),
    /// It does not answer: try again soon, and expect that others cannot reach it either.
    #[error("{0}")]
    Unreachable(String),
}

impl ApiError {
    /// Whether the same call may go well soon, without anybody doing anything.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Unreachable(_))
    }
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        let status = match &error {
            kube::Error::Api(status) => status,
            kube::Error::SerdeError(why) => {
                let why = plain(&why.to_string(), TEXT_LIMIT);
                return Self::Unavailable(format!("the API server's answer cannot be read: {why}"));
            }
            error => {
                let why = plain(&crate::say(error), TEXT_LIMIT);
                return Self::Unreachable(format!("the API server cannot be reached: {why}"));
            }
        };
        let message = plain(&status.message, TEXT_LIMIT);
        let text = format!("the API server answered {}: {message}", status.code);
        match status.code {
            404 => Self::Gone,
            409 => Self::Conflict,
            401 => Self::Unavailable(format!("{text}; the token is read anew every minute")),
            403 => Self::Forbidden(text),
            400 | 405 | 413 | 415 | 422 => Self::Rejected(text),
            _ => Self::Unavailable(text),
        }
    }
}

/// Makes one call.
///
/// # Errors
/// As the API server answers, or [`ApiError::Unavailable`] when it does not.
pub async fn limited<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, ApiError> {
    match tokio::time::timeout(CALL_LIMIT, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(ApiError::Unreachable(format!(
            "the API server did not answer within {} s",
            CALL_LIMIT.as_secs()
        ))),
    }
}
