//! The CRI socket as a source of attempts: what the capture hears is decoded here and handed to the
//! judge as calls.

use std::{
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::sync::mpsc;

use super::{AgentError, metrics::Metrics};
use crate::{
    attempts::PullKey,
    capture::{self, Capture, CaptureError, Counters, Heard},
    config,
    confine::Confinement,
    pods::LONGEST_NAME,
    pulls::{Hearing, Pull, Pulls},
    serve::{Condition, Health},
    text::plain,
    wire::{self, Decoder, Exchange, Outcome},
};

/// Calls on their way to the judge. A node's kubelet has a few pulls at a time; a judge that is
/// behind by this many is stuck, and the capture's own buffer then holds the rest.
const QUEUE: usize = 256;
/// What was not heard is looked for this often where nothing is heard.
const LONGEST_SILENCE: Duration = Duration::from_secs(1);
/// Between two tries to listen; what is missing on a node is seldom there a moment later.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// What is listened to, and who is told.
pub(super) struct Listener {
    pub(super) endpoints: Vec<PathBuf>,
    pub(super) mode: config::Capture,
    /// A folder of the agent's own, where a socket for the self-test may be made.
    pub(super) scratch: PathBuf,
    pub(super) pulls: Pulls,
    pub(super) health: Health,
    pub(super) metrics: Metrics,
    /// What the process gives up once it listens.
    pub(super) confinement: Confinement,
}

/// A call that ended, and when: an agent that waits for its turn on a busy node hears of it late.
pub(super) type Ended = (Exchange, Instant);

/// Both ends of the queue of calls.
pub(super) fn queue() -> (mpsc::Sender<Ended>, mpsc::Receiver<Ended>) {
    mpsc::channel(QUEUE)
}

impl Listener {
    /// Listens for ever. What cannot be heard is said in health; attempts then come from pod status.
    /// Returns only when what was heard no longer is, and only a new process could listen again.
    pub(super) async fn run(mut self, calls: mpsc::Sender<Ended>) -> AgentError {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .without_max_times();
        let mut pauses = pauses.build();
        let mut pause = || pauses.next().unwrap_or(LONGEST_PAUSE);
        loop {
            let started = self.start().await;
            self.health.set("confinement", self.confinement.condition());
            match started {
                Ok(capture) => {
                    let error = self.listen(capture, &calls).await;
                    self.pulls.hears_no_more();
                    let text = format!(
                        "the CRI socket is no longer heard, attempts are counted from pod status, \
                         and it is tried again: {error}"
                    );
                    self.health.set("capture", Condition::Degraded(text));
                    self.metrics.capture_mode(None);
                    if self.confinement.is_final() {
                        // Longer than the kubelet's own first pause: if this comes back, it counts
                        // from pod status most of the time.
                        tokio::time::sleep(LONGEST_PAUSE).await;
                        return AgentError::Deaf(error);
                    }
                }
                Err(CaptureError::Off) => {
                    self.health.set("capture", Condition::Good("off, as configured".into()));
                    return std::future::pending().await;
                }
                Err(error) => {
                    let text = format!("attempts are counted from pod status: {error}");
                    self.health.set("capture", Condition::Degraded(text));
                    self.metrics.capture_mode(None);
                }
            }
            tokio::time::sleep(pause()).await;
        }
    }

    async fn start(&mut self) -> Result<Capture, CaptureError> {
        let started = self.attach().await;
        match started {
            Ok(mut capture) => {
                self.confinement.settle(|| capture.is_steered());
                Ok(capture)
            }
            Err(error) => {
                self.pulls.hears_no_more();
                // The rights that are missing do not come back to a process.
                if matches!(error, CaptureError::Off) || !self.confinement.may_attach() {
                    self.confinement.settle(|| true);
                }
                Err(error)
            }
        }
    }

    async fn attach(&self) -> Result<Capture, CaptureError> {
        let mut options = capture::Options::new(self.endpoints.clone());
        options.mode = self.mode;
        options.scratch.push(self.scratch.clone());
        let capture = Capture::start(options).await?;
        let mode = capture.mode().as_str();
        self.metrics.capture_mode(Some(mode));
        self.pulls.hears(Hearing::Since(Instant::now()));
        let mut text = format!("attached as {mode}");
        for refusal in capture.refused() {
            text.push_str(&format!("; not as {refusal}"));
        }
        self.health.set("capture", Condition::Good(text));
        Ok(capture)
    }

    /// Listens until that is no longer possible.
    async fn listen(&self, mut capture: Capture, calls: &mpsc::Sender<Ended>) -> io::Error {
        let mut decoder = Decoder::new();
        let mut counted = Counters::default();
        loop {
            let heard = tokio::time::timeout(LONGEST_SILENCE, capture.next()).await;
            let before = std::mem::replace(&mut counted, capture.counters());
            if counted.unheard() > before.unheard() {
                // The request of a pull may have been in it.
                self.pulls.hears(Hearing::Since(Instant::now()));
            }
            let Ok(heard) = heard else { continue };
            let (connection, t_us, exchanges) = match heard {
                Ok(Heard::Sent(record)) => {
                    (record.connection, record.t_us, decoder.feed(&as_decoded(&record)))
                }
                Ok(Heard::Closed { connection, t_us }) => {
                    (connection, t_us, decoder.close(connection, t_us))
                }
                Err(error) => return error,
            };
            for exchange in exchanges {
                self.metrics.exchange(&exchange);
                self.pulls.asked(exchange.start_us);
                let came = exchange.outcome == Outcome::Succeeded;
                if exchange.outcome != Outcome::Transport
                    && let Some(key) = PullKey::of(&exchange.pull)
                {
                    self.pulls.answered(key, exchange.end_us, came);
                }
                // The judge and this end together.
                let ended = capture::instant(exchange.end_us);
                let _ = calls.send((exchange, ended)).await;
            }
            if decoder.rules_out_pulls(connection) {
                capture.mute(connection);
                decoder.close(connection, t_us);
            }
            self.pulls.set(decoder.in_flight().filter_map(|call| pull(&call)));
            self.metrics.heard(&counted, &decoder.counters());
        }
    }
}

fn as_decoded(record: &capture::Record) -> wire::Record<'_> {
    let direction = record.direction.into();
    // The capture counts from where it first heard a connection. The kubelet's preface shows whether
    // that was its beginning; an answer at 0 would only be taken for it.
    let joined = u64::from(direction == wire::Direction::ToKubelet);
    wire::Record {
        t_us: record.t_us,
        connection: record.connection,
        direction,
        offset: record.offset.saturating_add(joined),
        data: &record.data,
    }
}

/// A call that goes on, unless it is for no pod.
fn pull(call: &wire::InFlight<'_>) -> Option<Pull> {
    let wire::Pull { namespace, pod, .. } = call.pull;
    let key = PullKey::of(call.pull)?;
    let name = |name: &Option<String>| plain(name.as_deref().unwrap_or_default(), LONGEST_NAME);
    let names = (name(namespace), name(pod));
    let began = capture::instant(call.start_us);
    Some(Pull { unsure: call.unsure, ..Pull::new(key, names, call.start_us, began) })
}
