use prometheus_client::{metrics::counter::Counter, registry::Registry};

use crate::metrics::table;

/// What verdicts came to, as far as only the actor knows it.
#[derive(Debug, Clone)]
pub struct Metrics {
    reverted: Counter,
}

impl Metrics {
    /// Registers the metrics.
    pub fn new(registry: &mut Registry) -> Self {
        Self { reverted: table::VERDICTS_REVERTED.single(registry) }
    }

    pub(super) fn reverted(&self) {
        self.reverted.inc();
    }
}
