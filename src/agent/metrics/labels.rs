use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;

use crate::{
    config,
    metrics::Names,
    policy::breaker::{host, registry_of},
};

/// The value for images of which no registry is known.
const NONE: &str = "none";
/// Namespaces with series of their own; a node has not many more pods.
const MOST_NAMESPACES: usize = 100;

/// The values of the labels that strangers choose; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Labels(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    most: usize,
    registries: Names,
    /// `None`: the label is switched off.
    namespaces: Option<Names>,
}

/// The labels of an attempt.
pub(super) struct Of {
    pub(super) registry: String,
    pub(super) namespace: String,
}

/// Values whose series end.
#[derive(Debug, Default)]
pub(super) struct Lost {
    pub(super) registries: Vec<String>,
    pub(super) namespaces: Vec<String>,
}

/// The host that failed, or else the image's registry, as the breaker sees it.
pub(super) fn registry(image: &str, failed_host: Option<&str>) -> String {
    failed_host.and_then(host).or_else(|| registry_of(image)).unwrap_or_else(|| NONE.into())
}

impl Labels {
    pub(super) fn new(config: &config::Metrics) -> Self {
        let most = most(config);
        let namespaces = config.namespaces.then(|| Names::new(MOST_NAMESPACES));
        let inner = Inner { most, registries: Names::new(most), namespaces };
        Self(Arc::new(Mutex::new(inner)))
    }

    pub(super) fn configure(&self, config: &config::Metrics, now: Timestamp) -> Lost {
        let mut inner = self.0.lock();
        inner.most = most(config);
        let mut lost = inner.sweep(now);
        if !config.namespaces {
            let all = inner.namespaces.take().map(|mut names| names.sweep(0, now));
            lost.namespaces.extend(all.unwrap_or_default());
            lost.namespaces.push(crate::metrics::OTHER.into());
        } else if inner.namespaces.is_none() {
            inner.namespaces = Some(Names::new(MOST_NAMESPACES));
        }
        lost
    }

    pub(super) fn sweep(&self, now: Timestamp) -> Lost {
        self.0.lock().sweep(now)
    }

    /// Notes an attempt.
    pub(super) fn count(&self, registry: &str, namespace: &str, now: Timestamp) -> (Of, Lost) {
        let inner = &mut *self.0.lock();
        let registries = match registry {
            NONE => None,
            registry => inner.registries.count(registry, now),
        };
        let namespaces = inner.namespaces.as_mut().and_then(|names| names.count(namespace, now));
        let lost = Lost {
            registries: registries.into_iter().collect(),
            namespaces: namespaces.into_iter().collect(),
        };
        (inner.of(registry, namespace), lost)
    }

    pub(super) fn of(&self, registry: &str, namespace: &str) -> Of {
        self.0.lock().of(registry, namespace)
    }

    pub(super) fn namespace(&self, namespace: &str) -> String {
        self.0.lock().of(NONE, namespace).namespace
    }
}

impl Inner {
    fn of(&self, registry: &str, namespace: &str) -> Of {
        let registry = match registry {
            NONE => NONE,
            registry => self.registries.label(registry),
        };
        let namespace = self.namespaces.as_ref().map_or("", |names| names.label(namespace));
        Of { registry: registry.to_owned(), namespace: namespace.to_owned() }
    }

    fn sweep(&mut self, now: Timestamp) -> Lost {
        let namespaces = self.namespaces.as_mut().map(|names| names.sweep(MOST_NAMESPACES, now));
        Lost {
            registries: self.registries.sweep(self.most, now),
            namespaces: namespaces.unwrap_or_default(),
        }
    }
}

fn most(config: &config::Metrics) -> usize {
    usize::try_from(config.registries).unwrap_or(usize::MAX)
}
