//! The CRI socket as a source of attempts: what the capture hears is decoded here and handed to the
//! judge as calls.

use std::{collections::BTreeMap, convert::Infallible, path::PathBuf};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

use super::metrics::Metrics;
use crate::{
    attempts::{Call, PullKey},
    capture::{self, Capture, CaptureError},
    config,
    pulls::Pulls,
    serve::{Condition, Health},
    wire::{self, Decoder, Exchange, Outcome},
};

/// Calls on their way to the judge. A node's kubelet has a few pulls at a time; a judge that is
/// behind by this many is stuck, and the capture's own buffer then holds the rest.
const QUEUE: usize = 256;

/// What is listened to, and who is told.
pub(super) struct Listener {
    pub(super) endpoints: Vec<PathBuf>,
    pub(super) mode: config::Capture,
    /// A folder of the agent's own, where a socket for the self-test may be made.
    pub(super) scratch: PathBuf,
    pub(super) pulls: Pulls,
    pub(super) health: Health,
    pub(super) metrics: Metrics,
}

/// Both ends of the queue of calls.
pub(super) fn queue() -> (mpsc::Sender<Call>, mpsc::Receiver<Call>) {
    mpsc::channel(QUEUE)
}

impl Listener {
    /// Listens for ever. What cannot be heard is said in health; attempts then come from pod status.
    pub(super) async fn run(self, calls: mpsc::Sender<Call>) -> Infallible {
        match self.start().await {
            Ok(capture) => self.listen(capture, calls).await,
            Err(CaptureError::Off) => {
                self.health.set("capture", Condition::Good("off, as configured".into()));
            }
            Err(error) => {
                let text = format!("attempts are counted from pod status: {error}");
                self.health.set("capture", Condition::Degraded(text));
            }
        }
        std::future::pending().await
    }

    async fn start(&self) -> Result<Capture, CaptureError> {
        let mut options = capture::Options::new(self.endpoints.clone());
        options.mode = self.mode;
        options.scratch.push(self.scratch.clone());
        let capture = Capture::start(options).await?;
        let mode = capture.mode().as_str();
        self.metrics.capture_mode(mode);
        let mut text = format!("attached as {mode}");
        for refusal in capture.refused() {
            text.push_str(&format!("; not as {refusal}"));
        }
        self.health.set("capture", Condition::Good(text));
        Ok(capture)
    }

    async fn listen(&self, mut capture: Capture, calls: mpsc::Sender<Call>) {
        let mut decoder = Decoder::new();
        loop {
            let record = match capture.next().await {
                Ok(record) => record,
                Err(error) => {
                    let text = format!(
                        "the CRI socket is no longer heard, attempts are counted \
                                        from pod status: {error}; restart pullfuse"
                    );
                    self.health.set("capture", Condition::Degraded(text));
                    return;
                }
            };
            let direction = record.direction.into();
            // The capture counts from where it first heard a connection. The kubelet's preface shows
            // whether that was its beginning; an answer at 0 would only be taken for it.
            let joined = u64::from(direction == wire::Direction::ToKubelet);
            let seen = wire::Record {
                t_us: record.t_us,
                connection: record.connection,
                direction,
                offset: record.offset.saturating_add(joined),
                data: &record.data,
            };
            for exchange in decoder.feed(&seen) {
                self.metrics.exchange(&exchange);
                let Some(call) = call(exchange, Timestamp::now()) else { continue };
                if calls.send(call).await.is_err() {
                    return;
                }
            }
            if decoder.rules_out_pulls(record.connection) {
                capture.mute(record.connection);
                decoder.close(record.connection, record.t_us);
            }
            self.pulls.set(in_flight(&decoder, record.t_us));
            self.metrics.heard(&capture.counters(), &decoder.counters());
        }
    }
}

/// An exchange as an attempt sees it; `None` for one that is no attempt: it broke off, or it is not
/// for a pod, as those of `crictl` are.
fn call(exchange: Exchange, now: Timestamp) -> Option<Call> {
    let error = match exchange.outcome {
        Outcome::Succeeded => None,
        Outcome::Failed => Some(text(exchange.code, exchange.message)),
        Outcome::Transport => return None,
    };
    let took = exchange.end_us.saturating_sub(exchange.start_us);
    let pull = exchange.pull;
    let key = PullKey {
        pod_uid: pull.pod_uid.filter(|uid| !uid.is_empty())?,
        image: pull.image.filter(|image| !image.is_empty())?,
    };
    Some(Call {
        key,
        namespace: pull.namespace.unwrap_or_default(),
        pod: pull.pod.unwrap_or_default(),
        started: before(now, took),
        ended: now,
        error,
    })
}

/// The kubelet's own wording, so that an error reads alike from either source.
fn text(code: Option<u32>, message: Option<String>) -> String {
    let Some(message) = message else { return String::new() };
    let message = crate::pods::clean(&message);
    match code.and_then(|code| i32::try_from(code).ok()).map(tonic::Code::from_i32) {
        Some(code) => format!("rpc error: code = {code:?} desc = {message}"),
        None => message,
    }
}

fn before(now: Timestamp, micros: u64) -> Timestamp {
    let micros = i64::try_from(micros).unwrap_or(i64::MAX);
    now.checked_sub(SignedDuration::from_micros(micros)).unwrap_or(now)
}

fn in_flight(decoder: &Decoder, now_us: u64) -> BTreeMap<PullKey, Timestamp> {
    let now = Timestamp::now();
    let pull = |call: wire::InFlight<'_>| {
        let key = PullKey { pod_uid: call.pull.pod_uid.clone()?, image: call.pull.image.clone()? };
        Some((key, before(now, now_us.saturating_sub(call.start_us))))
    };
    decoder.in_flight().filter_map(pull).collect()
}
