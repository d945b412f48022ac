//! What the judge and the listener count.

mod labels;
mod live;

use std::sync::atomic::Ordering;

use jiff::Timestamp;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use self::{labels::Labels, live::Live};
use crate::{
    act::Outcome,
    attempts::{PullKey, Tally},
    capture,
    classify::Cause,
    config,
    history::End,
    metrics::{Series, table},
    policy::Because,
    wire::{self, Exchange},
};

/// Seconds of a pull: from an image of which all layers are there to one of many gigabytes.
const PULL_BUCKETS: [f64; 11] = [0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0];

/// What was counted; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    labels: Labels,
    live: Live,
    attempts: Series<Counter>,
    resets: Counter,
    ledger_errors: Counter,
    watch_errors: Counter,
    capture_mode: Series<Gauge>,
    capture_lost: Series<Counter>,
    decoder_unknown: Series<Counter>,
    pull_calls: Series<Counter>,
    pull_duration: Series<Histogram>,
    held_up_pods: Gauge,
    verdicts: Series<Counter>,
    breaker_changes: Series<Counter>,
    held_back: Series<Gauge>,
    dry_run_stuck: Gauge,
    dry_run_ended: Series<Counter>,
}

impl Metrics {
    pub(super) fn new(registry: &mut Registry, config: &config::Metrics) -> Self {
        let (labels, live) = (Labels::new(config), Live::default());
        live.register(registry, labels.clone());
        let metrics = Self {
            labels,
            live,
            attempts: table::ATTEMPTS.series(registry, Counter::default),
            resets: table::RESETS.single(registry),
            ledger_errors: table::LEDGER_ERRORS.single(registry),
            watch_errors: table::WATCH_ERRORS.single(registry),
            capture_mode: table::CAPTURE_MODE.series(registry, Gauge::default),
            capture_lost: table::CAPTURE_LOST.series(registry, Counter::default),
            decoder_unknown: table::DECODER_UNKNOWN.series(registry, Counter::default),
            pull_calls: table::PULL_CALLS.series(registry, Counter::default),
            pull_duration: table::PULL_DURATION.series(registry, || Histogram::new(PULL_BUCKETS)),
            held_up_pods: table::HELD_UP_PODS.single(registry),
            verdicts: table::VERDICTS.series(registry, Counter::default),
            breaker_changes: table::BREAKER_CHANGES.series(registry, Counter::default),
            held_back: table::HELD_BACK.series(registry, Gauge::default),
            dry_run_stuck: table::DRY_RUN_STUCK.single(registry),
            dry_run_ended: table::DRY_RUN_ENDED.series(registry, Counter::default),
        };
        metrics.begin();
        metrics
    }

    /// Series that are there from the start show their first event as a step from 0.
    fn begin(&self) {
        for result in ["succeeded", "failed", "transport"] {
            self.pull_calls.with([result]);
            self.pull_duration.with([result]);
        }
        let withdrawn = Outcome::Withdrawn(Because::NotPending);
        for outcome in
            [Outcome::Held, Outcome::Gone, withdrawn, Outcome::ImageArrived, Outcome::GivenUp]
        {
            self.verdicts.with(["fail", outcome.as_str(), ""]);
        }
        for end in [End::Recovered, End::Deleted, End::Failed] {
            self.dry_run_ended.with([end.as_str()]);
        }
    }

    /// Another configuration is in effect.
    pub(super) fn configure(&self, config: &config::Metrics, now: Timestamp) {
        self.forget(self.labels.configure(config, now));
    }

    /// Time passes: series of what is gone end.
    pub(super) fn sweep(&self, now: Timestamp) {
        self.forget(self.labels.sweep(now));
    }

    fn forget(&self, lost: labels::Lost) {
        self.attempts.forget("registry", &lost.registries);
        for series in [&self.attempts, &self.verdicts] {
            series.forget("pod_namespace", &lost.namespaces);
        }
    }

    /// An attempt.
    pub(super) fn attempt(&self, key: &PullKey, tally: &Tally, cause: &Cause, now: Timestamp) {
        let registry = labels::registry(&key.image, cause.host.as_deref());
        let (labels, lost) = self.labels.count(&registry, &tally.namespace, now);
        self.forget(lost);
        let (class, source) = (cause.class.as_str(), tally.source.as_str());
        self.attempts.with([class, source, &labels.registry, &labels.namespace]).inc();
        self.live.fails(key, registry, &tally.namespace);
    }

    /// An image that failed before this agent began.
    pub(super) fn fails(&self, key: &PullKey, tally: &Tally) {
        let registry = labels::registry(&key.image, None);
        self.labels.count(&registry, &tally.namespace, tally.last_attempt);
        self.live.fails(key, registry, &tally.namespace);
    }

    /// An image that failed no longer does, or its pod is gone.
    pub(super) fn fails_no_more(&self, key: &PullKey) {
        self.live.fails_no_more(key);
    }

    /// An image was pulled after failed attempts.
    pub(super) fn reset(&self) {
        self.resets.inc();
    }

    /// A verdict on a pod of this namespace ended.
    pub(super) fn verdict(&self, action: &str, outcome: &str, namespace: &str) {
        let namespace = self.labels.namespace(namespace);
        self.verdicts.with([action, outcome, &namespace]).inc();
    }

    /// How the CRI socket is heard; `None`: it is not.
    pub(super) fn capture_mode(&self, mode: Option<&'static str>) {
        self.capture_mode.clear();
        self.capture_mode.with([mode.unwrap_or("off")]).set(1);
    }

    /// How many pods wait for one pull.
    pub(super) fn held_up(&self, pods: usize) {
        self.held_up_pods.set(number(pods));
    }

    /// A `PullImage` call that ended, whoever made it.
    pub(super) fn exchange(&self, exchange: &Exchange) {
        let result = match exchange.outcome {
            wire::Outcome::Succeeded => "succeeded",
            wire::Outcome::Failed => "failed",
            wire::Outcome::Transport => "transport",
        };
        let took =
            std::time::Duration::from_micros(exchange.end_us.saturating_sub(exchange.start_us));
        self.pull_calls.with([result]).inc();
        self.pull_duration.with([result]).observe(took.as_secs_f64());
    }

    /// What the capture and the decoder have missed since the capture began.
    pub(super) fn heard(&self, capture: &capture::Counters, decoder: &wire::Counters) {
        let set = |series: &Series<Counter>, what: &str, value: u64| {
            series.with([what]).inner().store(value, Ordering::Relaxed);
        };
        for (what, value) in [
            ("ring_drops", capture.dropped),
            ("copy_faults", capture.faults),
            ("unsupported_sends", capture.unsupported),
            ("truncated_sends", capture.truncated),
            ("hidden_sends", capture.missed),
        ] {
            set(&self.capture_lost, what, value);
        }
        for (what, value) in [
            ("gaps", decoder.gaps),
            ("missing_bytes", decoder.missing_bytes),
            ("unread_blocks", decoder.unread_blocks),
            ("unsettled", decoder.unsettled),
        ] {
            set(&self.decoder_unknown, what, value);
        }
    }

    /// A registry's breaker changed to this state.
    pub(super) fn breaker_changed(&self, to: &str) {
        self.breaker_changes.with([to]).inc();
    }

    /// The registries whose breaker is not closed, and its state.
    pub(super) fn breakers<'a>(&self, troubled: impl Iterator<Item = (&'a str, &'static str)>) {
        self.live.breakers(troubled);
    }

    /// How many verdicts each of these reasons holds.
    pub(super) fn held_back<'a>(&self, numbers: impl IntoIterator<Item = (&'a str, usize)>) {
        for (reason, held) in numbers {
            self.held_back.with([reason]).set(number(held));
        }
    }

    /// How many pods a dry run would have ended and still wait.
    pub(super) fn dry_run_stuck(&self, stuck: usize) {
        self.dry_run_stuck.set(number(stuck));
    }

    /// A pod that a dry run would have ended ended so.
    pub(super) fn dry_run_ended(&self, end: End) {
        self.dry_run_ended.with([end.as_str()]).inc();
    }

    pub(super) fn ledger_error(&self) {
        self.ledger_errors.inc();
    }

    pub(super) fn watch_error(&self) {
        self.watch_errors.inc();
    }
}

fn number(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
