//! Answers about images and the registries that they come from.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use jiff::Timestamp;

use super::{Judge, answer::number};
use crate::{
    local::{duration, timestamp, v1},
    policy::breaker::registry_of,
    sources::{Numbers, RegistrySource},
};

/// Pods that an answer names for one image.
const MOST_PODS: usize = 20;

impl Judge {
    pub(super) fn images(&mut self) -> v1::ListImagesResponse {
        let mut images: BTreeMap<String, v1::Image> = BTreeMap::new();
        for (name, source) in self.sources.images() {
            let fails = source.failures > 0;
            let image = v1::Image {
                image: name.to_owned(),
                failures: source.failures,
                last_success: source.last_success.map(timestamp),
                last_pull: source.last_pull.map(duration),
                last_failure: source.last_failure.map(timestamp),
                class: source
                    .class
                    .filter(|_| fails)
                    .map(|c| c.as_str().into())
                    .unwrap_or_default(),
                host: source.host.clone().filter(|_| fails).unwrap_or_default(),
                ..v1::Image::default()
            };
            images.insert(image.image.clone(), image);
        }
        for failing in self.failing(&v1::ListPodsRequest::default()).images {
            add(images.entry(failing.image.clone()).or_default(), failing);
        }
        let mut images: Vec<_> = images.into_values().collect();
        images.sort_by_cached_key(|image| {
            let fails = image.failures > 0 || image.pods_waiting > 0;
            let last = image.last_failure.filter(|_| fails).map_or(i64::MIN, |at| at.seconds);
            (!fails, Reverse(image.pods_waiting), Reverse(last), image.image.clone())
        });
        v1::ListImagesResponse { images, since: self.sources.since().map(timestamp) }
    }

    pub(super) fn registries(&mut self) -> v1::ListRegistriesResponse {
        let now = self.now();
        let mut registries: BTreeMap<String, v1::Registry> = BTreeMap::new();
        for (name, source) in self.sources.registries() {
            registries.insert(name.to_owned(), registry(name, source, now));
        }
        for breaker in self.breakers() {
            let known = registries.entry(breaker.registry.clone()).or_default();
            known.name.clone_from(&breaker.registry);
            known.breaker = Some(breaker);
        }
        let mut failing: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for image in self.failing(&v1::ListPodsRequest::default()).images {
            let host = (!image.host.is_empty()).then(|| image.host.to_ascii_lowercase());
            let Some(from) = host.or_else(|| registry_of(&image.image)) else { continue };
            failing.entry(from).or_default().insert(image.image);
        }
        for (name, images) in failing {
            if let Some(known) = registries.get_mut(&name) {
                known.failing_images = number(images.len());
            }
        }
        let mut registries: Vec<_> = registries.into_values().collect();
        registries.sort_by_cached_key(|registry| {
            let down = registry.state() == v1::registry::State::Down;
            let open = registry.breaker.is_some();
            (!open, !down, Reverse(registry.failing_images), registry.name.clone())
        });
        v1::ListRegistriesResponse { registries, since: self.sources.since().map(timestamp) }
    }
}

/// What a pod's failing image adds to what is known of the image.
fn add(image: &mut v1::Image, failing: v1::FailingImage) {
    // Those that were ended wait no more.
    if failing.verdict.is_empty() || failing.dry_run {
        image.pods_waiting += 1;
        if image.pods.len() < MOST_PODS {
            image.pods.push(format!("{}/{}", failing.namespace, failing.pod));
        }
        let next = failing.next_attempt;
        let sooner = |at: &pbjson_types::Timestamp| {
            image.next_attempt.is_none_or(|known| at.seconds < known.seconds)
        };
        if let Some(next) = next.filter(sooner) {
            image.next_attempt = Some(next);
        }
    }
    let known = image.last_failure.filter(|_| !image.disposition.is_empty());
    let newer = known.is_none_or(|known| {
        failing.last_attempt.is_some_and(|at| (at.seconds, at.nanos) > (known.seconds, known.nanos))
    });
    image.failures = image.failures.max(failing.attempts);
    if newer {
        image.image = failing.image;
        image.last_failure = failing.last_attempt;
        image.class = failing.class;
        image.disposition = failing.disposition;
        image.host = failing.host;
        image.advice = failing.advice;
        image.message = failing.message;
    }
}

fn registry(name: &str, source: &RegistrySource, now: Timestamp) -> v1::Registry {
    let Numbers { succeeded, failed, median } = source.numbers(now);
    let state = if source.down { v1::registry::State::Down } else { v1::registry::State::Up };
    v1::Registry {
        name: name.to_owned(),
        mirror_of: source.mirror_of.iter().cloned().collect(),
        succeeded,
        failed,
        median: median.map(duration),
        last_success: source.last_success.map(timestamp),
        last_failure: source.last_failure.map(timestamp),
        class: source.class.map(|class| class.as_str().into()).unwrap_or_default(),
        state: state.into(),
        failing_images: 0,
        breaker: None,
    }
}
