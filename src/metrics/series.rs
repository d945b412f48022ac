use std::{collections::BTreeMap, fmt, sync::Arc};

use parking_lot::Mutex;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder},
    metrics::{MetricType, TypedMetric},
    registry::{Metric, Registry},
};

/// Before the name of every family.
pub const PREFIX: &str = "pullfuse";

/// What a family of metrics is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the agent starts anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How many observations were at most so large.
    Histogram,
    /// Always 1; its labels tell.
    Info,
}

/// A family of metrics as it is declared.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Without prefix and without the ending that its kind gives it.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

impl Spec {
    fn text(&self) -> &'static str {
        self.help.trim_start()
    }

    /// Registers a family without labels.
    pub fn single<M: Metric + Clone + Default>(&self, registry: &mut Registry) -> M {
        let metric = M::default();
        self.register(registry, metric.clone());
        metric
    }

    /// Registers a family with labels.
    pub fn series<M: Metric + Clone + TypedMetric>(
        &self,
        registry: &mut Registry,
        new: fn() -> M,
    ) -> Series<M> {
        let series = Series { labels: self.labels, new, all: Arc::default() };
        self.register(registry, series.clone());
        series
    }

    /// Registers a metric that exists.
    pub fn register(&self, registry: &mut Registry, metric: impl Metric) {
        registry.register(self.name, self.text(), metric);
    }

    /// Encodes a metric that was made for this answer.
    ///
    /// # Errors
    /// As the encoder.
    pub fn encode(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        metric: &impl EncodeMetric,
    ) -> fmt::Result {
        if metric.is_empty() {
            return Ok(());
        }
        metric.encode(encoder.encode_descriptor(
            self.name,
            self.text(),
            None,
            metric.metric_type(),
        )?)
    }

    /// Series that are made for each answer.
    pub fn made<M>(&self, new: fn() -> M) -> Series<M> {
        Series { labels: self.labels, new, all: Arc::default() }
    }
}

/// The series of a family, by the values of its labels; clones share them. Unlike
/// [`prometheus_client`]'s own family it can drop some of them. A label without a value is left out.
#[derive(Clone)]
pub struct Series<M> {
    labels: &'static [&'static str],
    new: fn() -> M,
    all: Arc<Mutex<BTreeMap<Vec<String>, M>>>,
}

impl<M: Clone> Series<M> {
    /// The series with these values, in the order in which the labels are declared.
    pub fn with<const N: usize>(&self, values: [&str; N]) -> M {
        debug_assert_eq!(N, self.labels.len(), "a value for each label of {:?}", self.labels);
        let values = values.map(str::to_owned).to_vec();
        self.all.lock().entry(values).or_insert_with(self.new).clone()
    }

    /// Drops the series whose value of a label was dropped.
    pub fn forget(&self, label: &str, dropped: &[String]) {
        let at = self.labels.iter().position(|name| *name == label);
        self.all.lock().retain(|values, _| {
            !at.and_then(|at| values.get(at)).is_some_and(|value| dropped.contains(value))
        });
    }

    /// Drops all.
    pub fn clear(&self) {
        self.all.lock().clear();
    }
}

impl<M> fmt::Debug for Series<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Series").field("labels", &self.labels).finish_non_exhaustive()
    }
}

impl<M: EncodeMetric + TypedMetric + Clone> EncodeMetric for Series<M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (values, metric) in self.all.lock().iter() {
            let labels = self.labels.iter().copied().zip(values.iter().map(String::as_str));
            let labels: Vec<_> = labels.filter(|(_, value)| !value.is_empty()).collect();
            metric.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }

    fn is_empty(&self) -> bool {
        self.all.lock().is_empty()
    }
}

/// Registers what is only known when it is asked for.
pub fn when_asked<F>(registry: &mut Registry, encode: F)
where
    F: Fn(&mut DescriptorEncoder<'_>) -> fmt::Result + Send + Sync + 'static,
{
    registry.register_collector(Box::new(Asked(encode)));
}

struct Asked<F>(F);

impl<F> fmt::Debug for Asked<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asked")
    }
}

impl<F> Collector for Asked<F>
where
    F: Fn(&mut DescriptorEncoder<'_>) -> fmt::Result + Send + Sync + 'static,
{
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        (self.0)(&mut encoder)
    }
}
