use jiff::{SignedDuration, Timestamp};

use super::{Attempts, Causes, Change, PullKey, Source, Stage, Tally};
use crate::{
    clock::moved,
    pods::{MESSAGE_LIMIT, Trouble},
    text::plain,
};

/// The kubelet sends one `PullImage` per matching credential, back to back; its own back-off is
/// never under 10 s.
pub const ONE_ATTEMPT: SignedDuration = SignedDuration::from_secs(5);
/// A call that ended so long after a status was seen is another attempt than the status shows: the
/// kubelet tells of a call after its end. How long before is no matter, for an agent that had to wait
/// for its turn sees a status late.
const SAME_ATTEMPT: SignedDuration = SignedDuration::from_secs(8);

/// A `PullImage` call that ended with an answer. One without, because the connection broke or the
/// call was cancelled, is no attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The pod and the image.
    pub key: PullKey,
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// When the request was seen.
    pub started: Timestamp,
    /// When the answer was seen.
    pub ended: Timestamp,
    /// The error, unless it succeeded; its text is empty where the wire did not tell it.
    pub error: Option<String>,
}

impl Call {
    /// Moves its times, because the clock was set.
    pub fn shift(&mut self, by: SignedDuration) {
        self.started = moved(self.started, by);
        self.ended = moved(self.ended, by);
    }
}

impl Attempts {
    /// Takes in a call seen on the CRI socket.
    pub fn observe_call(&mut self, call: Call) -> Option<Change> {
        let Call { key, namespace, pod, started, ended, error } = call;
        let Some(message) = error else {
            let Some(mut tally) = self.tallies.remove(&key) else {
                self.came.succeeded_again(&key, ended);
                return None;
            };
            tally.source = Source::Wire;
            self.came.succeeded(key.clone(), ended, tally.stage);
            return Some(Change::Reset(key, Box::new(tally)));
        };
        let trouble = Trouble { reason: "ErrImagePull".into(), message };
        let Some(tally) = self.tallies.get_mut(&key) else {
            let tally = Tally {
                namespace,
                pod,
                attempts: 1,
                first_attempt: ended,
                last_attempt: ended,
                trouble,
                seen: Vec::new(),
                causes: Causes::default(),
                // The status has not shown this attempt; what it still shows of before is none.
                stage: self.came.shown(&key).unwrap_or(Stage::BackingOff),
                image_was_present: None,
                source: Source::Wire,
                unconfirmed: 1,
                last_call: Some(ended),
            };
            self.tallies.insert(key.clone(), tally);
            return Some(Change::Counted(key));
        };
        let next_credential =
            tally.last_call.is_some_and(|last| started.duration_since(last).abs() < ONE_ATTEMPT);
        let shown_already = !next_credential
            && tally.unconfirmed > 0
            && tally.source == Source::PodStatus
            && ended.duration_since(tally.last_attempt) < SAME_ATTEMPT;
        tally.last_call = Some(ended);
        tally.trouble.message = if next_credential {
            both(&tally.trouble.message, trouble.message)
        } else if shown_already && trouble.message.is_empty() {
            // The status has told it already.
            std::mem::take(&mut tally.trouble.message)
        } else {
            trouble.message
        };
        tally.trouble.reason = trouble.reason;
        if next_credential || shown_already {
            if shown_already {
                tally.unconfirmed -= 1;
                tally.first_attempt = tally.first_attempt.min(ended);
                if tally.unconfirmed == 0 {
                    tally.last_attempt = tally.last_attempt.min(ended);
                }
            }
            return Some(Change::Moved(key));
        }
        tally.attempts = tally.attempts.saturating_add(1);
        tally.last_attempt = ended;
        if tally.source == Source::PodStatus {
            tally.source = Source::Wire;
            tally.unconfirmed = 0;
        }
        tally.unconfirmed = tally.unconfirmed.saturating_add(1);
        Some(Change::Counted(key))
    }
}

/// The errors of an attempt's calls, one for each credential, as the kubelet joins them. One that is
/// not known leaves the whole unknown, until the status tells it.
fn both(first: &str, second: String) -> String {
    if first.is_empty() || second.is_empty() {
        return String::new();
    }
    match first.strip_prefix('[').and_then(|first| first.strip_suffix(']')) {
        _ if first == second => second,
        Some(first) => plain(&format!("[{first}, {second}]"), MESSAGE_LIMIT),
        None => plain(&format!("[{first}, {second}]"), MESSAGE_LIMIT),
    }
}

#[cfg(test)]
#[path = "calls_tests.rs"]
mod tests;
