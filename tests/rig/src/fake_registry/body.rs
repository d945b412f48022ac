//! How a blob's bytes go out: at once, slowly, or less of them than promised.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::watch;

use super::answer::Answer;
use super::state::{Answers, State};

/// Pieces of a slow body per second.
const PIECES: u64 = 10;

pub(super) fn whole(bytes: Bytes) -> Body {
    bytes.into()
}

/// A body whose length the HTTP server does not know, so that it believes the headers.
pub(super) fn of_unknown_length(bytes: Bytes) -> Body {
    Body::from_stream(stream::unfold(Some(bytes), |bytes| async {
        match bytes {
            Some(bytes) => Some((Ok::<_, Infallible>(bytes), None)),
            None => {
                // The server closes as soon as it finds bytes missing; let it first send what it has.
                tokio::task::yield_now().await;
                None
            }
        }
    }))
}

/// A body that follows the repository's answer while it goes out: slow while that says so.
pub(super) fn paced(state: &Arc<State>, repository: &str, bytes: Bytes) -> Body {
    if rate(state.answers.borrow().get(repository)).is_none() {
        return bytes.into();
    }
    let paced = Paced {
        answers: state.answers.subscribe(),
        repository: repository.to_owned(),
        left: bytes,
    };
    Body::from_stream(stream::unfold(paced, |mut paced| async move {
        let piece = paced.next().await?;
        Some((Ok::<_, Infallible>(piece), paced))
    }))
}

struct Paced {
    answers: watch::Receiver<Answers>,
    repository: String,
    left: Bytes,
}

impl Paced {
    async fn next(&mut self) -> Option<Bytes> {
        while !self.left.is_empty() {
            let Some(rate) = rate(self.answers.borrow_and_update().get(&self.repository)) else {
                return Some(std::mem::take(&mut self.left));
            };
            let size = (rate / PIECES).max(1);
            // At rate 0 no piece is ever due, and only a new answer ends the wait.
            let due = async {
                match rate {
                    0 => std::future::pending().await,
                    rate => {
                        tokio::time::sleep(Duration::from_secs_f64(size as f64 / rate as f64)).await
                    }
                }
            };
            tokio::select! {
                () = due => {
                    let size = usize::try_from(size).unwrap_or(usize::MAX).min(self.left.len());
                    return Some(self.left.split_to(size));
                }
                changed = self.answers.changed() => changed.ok()?,
            }
        }
        None
    }
}

/// Bytes per second; None for no limit.
fn rate(answer: &Answer) -> Option<u64> {
    match answer.innermost() {
        Answer::SlowBlob { bytes_per_second, .. } => Some(*bytes_per_second),
        _ => None,
    }
}
