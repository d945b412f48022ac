use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{
    attempts::Source,
    capture,
    classify::Class,
    history::End,
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
    breaker_changes: Family<Labels, Counter>,
    breakers: Family<Labels, Gauge>,
    held_back: Family<Labels, Gauge>,
    dry_run_stuck: Gauge,
    dry_run_ended: Family<Labels, Counter>,
}

impl Metrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let attempts = Family::<Labels, Counter>::default();
        let (resets, failing_images) = (Counter::default(), Gauge::default());
        let (ledger_errors, watch_errors) = (Counter::default(), Counter::default());
        registry.register(
            "attempts",
            "Failed attempts to pull an image, by cause and where it was seen first",
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
        let (breaker_changes, breakers, held_back) =
            (Family::default(), Family::default(), Family::default());
        registry.register(
            "breaker_changes",
            "Changes of a registry's breaker, by the new state",
            breaker_changes.clone(),
        );
        registry.register(
            "breakers",
            "Registries whose verdicts are held, by the state of the breaker",
            breakers.clone(),
        );
        registry.register(
            "held_back",
            "Images whose pod would be ended but for an outage or a cap",
            held_back.clone(),
        );
        let (dry_run_stuck, dry_run_ended) = (Gauge::default(), Family::default());
        registry.register(
            "dry_run_stuck",
            "Pods that a dry run would have ended and that still wait",
            dry_run_stuck.clone(),
        );
        registry.register(
            "dry_run_ended",
            "What became of pods that a dry run would have ended; recovered is a regret",
            dry_run_ended.clone(),
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
            breaker_changes,
            breakers,
            held_back,
            dry_run_stuck,
            dry_run_ended,
        }
    }

    /// An attempt.
    pub(super) fn attempt(&self, class: Class, source: Source) {
        let labels =
            vec![("class", class.as_str().to_owned()), ("source", source.as_str().to_owned())];
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

    /// A registry's breaker changed to this state.
    pub(super) fn breaker_changed(&self, to: &str) {
        self.breaker_changes.get_or_create(&vec![("to", to.to_owned())]).inc();
    }

    /// How many breakers stand in each of these states.
    pub(super) fn breakers(&self, numbers: [(&str, usize); 2]) {
        for (state, number) in numbers {
            let gauge = self.breakers.get_or_create(&vec![("state", state.to_owned())]);
            gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
        }
    }

    /// How many verdicts each of these reasons holds.
    pub(super) fn held_back(&self, numbers: [(&str, usize); 3]) {
        for (reason, number) in numbers {
            let gauge = self.held_back.get_or_create(&vec![("reason", reason.to_owned())]);
            gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
        }
    }

    /// How many pods a dry run would have ended and still wait.
    pub(super) fn dry_run_stuck(&self, number: usize) {
        self.dry_run_stuck.set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    /// A pod that a dry run would have ended ended so.
    pub(super) fn dry_run_ended(&self, end: End) {
        self.dry_run_ended.get_or_create(&vec![("end", end.as_str().to_owned())]).inc();
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
