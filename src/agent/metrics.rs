use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

type Labels = Vec<(&'static str, String)>;

/// What was counted.
#[derive(Debug)]
pub(super) struct Metrics {
    attempts: Family<Labels, Counter>,
    resets: Counter,
    failing_images: Gauge,
    ledger_errors: Counter,
    watch_errors: Counter,
}

impl Metrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let attempts = Family::<Labels, Counter>::default();
        let (resets, failing_images) = (Counter::default(), Gauge::default());
        let (ledger_errors, watch_errors) = (Counter::default(), Counter::default());
        registry.register(
            "attempts",
            "Failed attempts to pull an image, by the kubelet's waiting reason",
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
        Self { attempts, resets, failing_images, ledger_errors, watch_errors }
    }

    /// An attempt; the reasons are the kubelet's, so they are few.
    pub(super) fn attempt(&self, reason: &str) {
        self.attempts.get_or_create(&vec![("reason", reason.to_owned())]).inc();
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
