use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use crate::{api::ApiError, config::Method};

type Labels = Vec<(&'static str, &'static str)>;

/// What verdicts came to.
#[derive(Debug, Clone)]
pub struct Metrics {
    verdicts: Family<Labels, Counter>,
    writes: Family<Labels, Counter>,
    reverted: Counter,
}

impl Metrics {
    /// Registers the metrics.
    pub fn new(registry: &mut Registry) -> Self {
        let (verdicts, writes) = (Family::default(), Family::default());
        let reverted = Counter::default();
        registry.register("verdicts", "Verdicts that ended, by outcome", verdicts.clone());
        registry.register(
            "verdict_writes",
            "Writes to end a pod, by method and result",
            writes.clone(),
        );
        registry.register(
            "verdicts_reverted",
            "Written verdicts that the kubelet undid",
            reverted.clone(),
        );
        Self { verdicts, writes, reverted }
    }

    /// A verdict ended.
    pub fn verdict(&self, outcome: &'static str) {
        self.verdicts.get_or_create(&vec![("outcome", outcome)]).inc();
    }

    pub(super) fn write(&self, method: Method, error: Option<&ApiError>) {
        let result = match error {
            None => "ok",
            Some(ApiError::Conflict) => "conflict",
            Some(ApiError::Gone) => "gone",
            Some(ApiError::Forbidden(_)) => "forbidden",
            Some(ApiError::Rejected(_)) => "rejected",
            Some(ApiError::Unavailable(_) | ApiError::Unreachable(_)) => "unavailable",
        };
        let labels = vec![("method", method.as_str()), ("result", result)];
        self.writes.get_or_create(&labels).inc();
    }

    pub(super) fn reverted(&self) {
        self.reverted.inc();
    }
}
