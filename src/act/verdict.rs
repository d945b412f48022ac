use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    attempts::{PullKey, Tally},
    classify::Cause,
    clock::moved,
    config::Method,
    fuse::Released,
    text::{self, plain},
};

/// Longest text in bytes: an Event's note may have 1024, and some are for what it adds.
const TEXT_LIMIT: usize = 960;
/// Longest image in it: whoever made the name long must not hide what comes after.
const IMAGE_LIMIT: usize = 320;

/// Longest host in the annotation, in bytes, as the classes have it.
const HOST_LIMIT: usize = 255;
/// Longest reason in the annotation, in bytes; the kubelet's are far shorter.
const REASON_LIMIT: usize = 64;

/// A decision to end a pod, and how far it has come. Kept in the ledger until the pod is gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerdictRecord {
    /// The pod and the image it is ended for.
    pub key: PullKey,
    /// The evidence.
    pub tally: Tally,
    /// The cause of the last attempt, as it was seen then; `None` from a pullfuse that did not look
    /// for causes.
    #[serde(default)]
    pub cause: Option<Cause>,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// How far it has come.
    pub stage: VerdictStage,
    /// How it is carried out; changes when the first way does not hold.
    pub method: Method,
    /// How often it was written.
    pub writes: u32,
    /// When it was last written, if that could be stored.
    #[serde(default)]
    pub written_at: Option<Timestamp>,
    /// That an operator wanted it in spite of what held it.
    #[serde(default)]
    pub released: Option<Released>,
}

/// How far a verdict has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum VerdictStage {
    /// To be written.
    Decided,
    /// Written; the kubelet may still revert it.
    Written,
    /// Written, and the pod stayed Failed.
    Held,
    /// Dry run: recorded, never written.
    DryRun,
    /// The API server or the kubelet would not have it.
    GivenUp,
}

impl VerdictStage {
    /// The name in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decided => "decided",
            Self::Written => "written",
            Self::Held => "held",
            Self::DryRun => "dry_run",
            Self::GivenUp => "given_up",
        }
    }
}

impl VerdictRecord {
    /// A fresh verdict.
    pub fn new(
        key: PullKey,
        tally: Tally,
        cause: Cause,
        decided_at: Timestamp,
        method: Method,
    ) -> Self {
        let stage = VerdictStage::Decided;
        let cause = Some(cause);
        Self {
            key,
            tally,
            cause,
            decided_at,
            stage,
            method,
            writes: 0,
            written_at: None,
            released: None,
        }
    }

    /// Moves every time, because the clock was set.
    pub fn shift(&mut self, by: SignedDuration) {
        self.tally.shift(by);
        self.decided_at = moved(self.decided_at, by);
        self.written_at = self.written_at.map(|at| moved(at, by));
    }

    /// What the pod's owner reads: image, attempts, time, cause, advice and last error.
    pub fn text(&self) -> String {
        let Tally { attempts, trouble, last_attempt, .. } = &self.tally;
        let times = match attempts {
            1 => "1 failed attempt".to_owned(),
            more => format!("{more} failed attempts in {:#}, the last", self.tally.span()),
        };
        let cause = self.cause.as_ref().map_or_else(String::new, |cause| {
            format!(" ({}): {}", cause.class.as_str(), cause.advice)
        });
        let image = plain(&self.key.image, IMAGE_LIMIT);
        let text = format!(
            "Image \"{image}\" could not be pulled: {times} at {last_attempt:.0}{cause}. {}: {}",
            trouble.reason, trouble.message
        );
        plain(&text, TEXT_LIMIT)
    }

    /// The value of the annotation: the verdict for programs.
    pub fn annotation(&self) -> String {
        let host = self.cause.as_ref().and_then(|cause| cause.host.as_deref());
        json!({
            "image": text::image(&self.key.image),
            "attempts": self.tally.attempts,
            "firstAttempt": self.tally.first_attempt,
            "lastAttempt": self.tally.last_attempt,
            "class": self.cause.as_ref().map(|cause| cause.class),
            "host": host.map(|host| plain(host, HOST_LIMIT)),
            "reason": plain(&self.tally.trouble.reason, REASON_LIMIT),
            "decided": self.decided_at,
        })
        .to_string()
    }
}

/// Advice and error of a text as [`VerdictRecord::text`] writes it, for who knows class and reason
/// from the annotation; `None` for another text.
pub fn advice_and_error<'t>(
    text: &'t str,
    class: &str,
    reason: &str,
) -> Option<(&'t str, &'t str)> {
    let (_, advice) = text.split_once(&format!(" ({class}): "))?;
    advice.split_once(&format!(". {reason}: "))
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
