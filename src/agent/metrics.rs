use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{
    attempts::Source,
    capture,
    wire::{self, Exchange, Outcome},
};

type Labels = Vec<(&'static str, String)>;

/// What was counted.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    attempts: Family<Labels, Counter>,
    resets: Counter,
    failing_images: Gauge,
    ledger_errors: Counter,
    watch_errors: Counter,
    capture_mode: Family<Labels, Gauge>,
    pull_calls: Family<Labels, Counter>,
    missed: Family<Labels, Gauge>,
    held_up_pods: Gauge,
}

impl Metrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let attempts = Family::<Labels, Counter>::default();
        let (resets, failing_images) = (Counter::default(), Gauge::default());
        let (ledger_errors, watch_errors) = (Counter::default(), Counter::default());
        registry.register(
            "attempts",
            "Failed attempts to pull an image, by the kubelet's waiting reason and where it was seen first",
            attempts.clone(),
        );
        registry.register(
            "resets",
            "Images that were pulled after failed attempts",
            resets.clone(),
        );
        registry.register(
            "failing_images",
            "Pairs of pod and image with failed attempts and no success since",
            failing_images.clone(),
        );
        registry.register(
            "ledger_errors",
            "Failed writes to the ledger; they are tried again",
            ledger_errors.clone(),
        );
        registry.register(
            "watch_errors",
            "Failures of the watch of this node's pods",
            watch_errors.clone(),
        );
        let (capture_mode, pull_calls) = (Family::default(), Family::default());
        let missed = Family::<Labels, Gauge>::default();
        registry.register("capture_mode", "How the CRI socket is heard", capture_mode.clone());
        registry.register(
            "pull_calls",
            "PullImage calls seen on the CRI socket that ended, by result",
            pull_calls.clone(),
        );
        registry.register(
            "capture_missed",
            "What the capture and the decoder missed since the start",
            missed.clone(),
        );
        let held_up_pods = Gauge::default();
        registry.register(
            "held_up_pods",
            "Pods of this node that wait for one pull which goes on for long; 0 without such a pull",
            held_up_pods.clone(),
        );
        Self {
            attempts,
            resets,
            failing_images,
            ledger_errors,
            watch_errors,
            capture_mode,
            pull_calls,
            missed,
            held_up_pods,
        }
    }

    /// An attempt; the reasons are the kubelet's, so they are few.
    pub(super) fn attempt(&self, reason: &str, source: Source) {
        let labels = vec![("reason", reason.to_owned()), ("source", source.as_str().to_owned())];
        self.attempts.get_or_create(&labels).inc();
    }

    /// How the CRI socket is heard; `None`: it is not.
    pub(super) fn capture_mode(&self, mode: Option<&'static str>) {
        self.capture_mode.clear();
        self.capture_mode.get_or_create(&vec![("mode", mode.unwrap_or("off").to_owned())]).set(1);
    }

    /// How many pods wait for one pull.
    pub(super) fn held_up(&self, pods: usize) {
        self.held_up_pods.set(i64::try_from(pods).unwrap_or(i64::MAX));
    }

    /// A `PullImage` call that ended, whoever made it.
    pub(super) fn exchange(&self, exchange: &Exchange) {
        let result = match exchange.outcome {
            Outcome::Succeeded => "succeeded",
            Outcome::Failed => "failed",
            Outcome::Transport => "transport",
        };
        self.pull_calls.get_or_create(&vec![("result", result.to_owned())]).inc();
    }

    /// What the capture and the decoder have missed so far.
    pub(super) fn heard(&self, capture: &capture::Counters, decoder: &wire::Counters) {
        let set = |what: &str, value: u64| {
            let gauge = self.missed.get_or_create(&vec![("what", what.to_owned())]);
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set("ring_drops", capture.dropped);
        set("copy_faults", capture.faults);
        set("hidden_sends", capture.missed);
        set("gaps", decoder.gaps);
        set("missing_bytes", decoder.missing_bytes);
        set("unread_blocks", decoder.unread_blocks);
        set("unsettled", decoder.unsettled);
    }

    pub(super) fn reset(&self) {
        self.resets.inc();
    }

    pub(super) fn failing_images(&self, number: usize) {
        self.failing_images.set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    pub(super) fn ledger_error(&self) {
        self.ledger_errors.inc();
    }

    pub(super) fn watch_error(&self) {
        self.watch_errors.inc();
    }
}
