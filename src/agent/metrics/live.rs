//! What is worked out anew whenever somebody asks: its labels change with the traffic.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

use super::labels::Labels;
use crate::{
    attempts::PullKey,
    metrics::{Series, table, when_asked},
};

/// What fails now; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Live(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    failing: BTreeMap<PullKey, (String, String)>,
    breakers: Vec<(String, &'static str)>,
}

impl Live {
    pub(super) fn register(&self, registry: &mut Registry, labels: Labels) {
        let live = self.clone();
        when_asked(registry, move |encoder| {
            let (failing, breakers) = live.now(&labels);
            table::FAILING_IMAGES.encode(encoder, &failing)?;
            table::BREAKERS.encode(encoder, &breakers)
        });
    }

    fn now(&self, labels: &Labels) -> (Series<Gauge>, Series<Gauge>) {
        let failing = table::FAILING_IMAGES.made(Gauge::default);
        let breakers = table::BREAKERS.made(Gauge::default);
        let inner = self.0.lock();
        for (registry, namespace) in inner.failing.values() {
            let of = labels.of(registry, namespace);
            failing.with([&of.registry, &of.namespace]).inc();
        }
        for (registry, state) in &inner.breakers {
            breakers.with([&labels.of(registry, "").registry, state]).inc();
        }
        (failing, breakers)
    }

    pub(super) fn fails(&self, key: &PullKey, registry: String, namespace: &str) {
        self.0.lock().failing.insert(key.clone(), (registry, namespace.to_owned()));
    }

    pub(super) fn fails_no_more(&self, key: &PullKey) {
        self.0.lock().failing.remove(key);
    }

    pub(super) fn breakers<'a>(&self, troubled: impl Iterator<Item = (&'a str, &'static str)>) {
        let mut inner = self.0.lock();
        inner.breakers.clear();
        inner.breakers.extend(troubled.map(|(registry, state)| (registry.to_owned(), state)));
    }
}
