//! Where this node's images come from: what each image and each registry did lately.
//!
//! In: pulls that succeeded, attempts that failed, the time. Out: an [`ImageSource`] per image and a
//! [`RegistrySource`] per registry or mirror. Pure and bounded; the ledger keeps it now and then, so
//! a crash may lose the last minute of it. No verdict depends on it.

mod registry;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::registry::{Numbers, RegistrySource};
use crate::{
    attempts::Judged,
    classify::Class,
    clock::moved,
    policy::breaker::{host, registry_of, speaks_of_a_registry},
};

/// Images that are remembered; a node has fewer pods, and their images come again.
const MOST_IMAGES: usize = 256;
/// Registries that are remembered; far more than a node pulls from.
const MOST_REGISTRIES: usize = 32;
/// No image has a longer name that a registry is ever asked for.
const LONGEST_IMAGE: usize = 1024;

/// A failed attempt.
#[derive(Debug, Clone, Copy)]
pub struct Failure<'a> {
    /// The image as the pod spells it.
    pub image: &'a str,
    /// The host that the error names.
    pub host: Option<&'a str>,
    /// What it failed of.
    pub cause: Judged,
}

/// What is known of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSource {
    /// Failed attempts of all pods since the last success.
    pub failures: u32,
    /// When it came last, as far as that was seen.
    pub last_success: Option<Timestamp>,
    /// How long that took.
    pub last_pull: Option<SignedDuration>,
    /// When an attempt failed last.
    pub last_failure: Option<Timestamp>,
    /// Of what.
    pub class: Option<Class>,
    /// Which host failed.
    pub host: Option<String>,
    seen: Timestamp,
}

/// All images and registries that this node pulled from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sources {
    /// Since when they are remembered.
    since: Option<Timestamp>,
    images: BTreeMap<String, ImageSource>,
    registries: BTreeMap<String, RegistrySource>,
}

impl Sources {
    /// Begins to remember, unless it has before.
    pub fn begin(&mut self, now: Timestamp) {
        self.since.get_or_insert(now);
    }

    /// Moves every time, because the clock was set.
    pub fn shift(&mut self, by: SignedDuration) {
        shift(&mut self.since, by);
        for image in self.images.values_mut() {
            shift(&mut image.last_success, by);
            shift(&mut image.last_failure, by);
            image.seen = moved(image.seen, by);
        }
        self.registries.values_mut().for_each(|registry| registry.shift(by));
    }

    /// Since when anything is remembered.
    pub fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// Every image, by its name.
    pub fn images(&self) -> impl Iterator<Item = (&str, &ImageSource)> {
        self.images.iter().map(|(name, image)| (name.as_str(), image))
    }

    /// Every registry and mirror, by its name.
    pub fn registries(&self) -> impl Iterator<Item = (&str, &RegistrySource)> {
        self.registries.iter().map(|(name, registry)| (name.as_str(), registry))
    }

    /// Takes in a pull that succeeded, and how long it took where that was seen. It tells nothing of
    /// mirrors: which of them served it is not known.
    pub fn came(&mut self, image: &str, took: Option<SignedDuration>, now: Timestamp) {
        if let Some(known) = self.image(image, now) {
            known.failures = 0;
            known.last_success = Some(now);
            known.last_pull = took.or(known.last_pull);
        }
        if let Some(registry) = registry_of(image) {
            self.registry(registry, now).came(took, now);
        }
    }

    /// Takes in an attempt that failed.
    pub fn failed(&mut self, failure: Failure<'_>, now: Timestamp) {
        let Failure { image, host: failed, cause } = failure;
        let failed = failed.and_then(host);
        if let Some(known) = self.image(image, now) {
            known.failures = known.failures.saturating_add(1);
            known.last_failure = Some(now);
            known.class = Some(cause.class);
            known.host.clone_from(&failed);
        }
        let own = registry_of(image);
        if !speaks_of_a_registry(cause) {
            return;
        }
        let Some(key) = failed.or_else(|| own.clone()) else { return };
        let mirrored = own.filter(|own| *own != key);
        self.registry(key, now).failed(cause, mirrored, now);
    }

    fn image(&mut self, image: &str, now: Timestamp) -> Option<&mut ImageSource> {
        if image.is_empty() || image.len() > LONGEST_IMAGE {
            return None;
        }
        let age = |image: &ImageSource| (image.failures > 0, image.seen);
        make_room(&mut self.images, image, MOST_IMAGES, age);
        let known = self.images.entry(image.to_owned()).or_insert_with(|| ImageSource {
            failures: 0,
            last_success: None,
            last_pull: None,
            last_failure: None,
            class: None,
            host: None,
            seen: now,
        });
        known.seen = now;
        Some(known)
    }

    fn registry(&mut self, name: String, now: Timestamp) -> &mut RegistrySource {
        make_room(&mut self.registries, &name, MOST_REGISTRIES, RegistrySource::seen);
        self.registries.entry(name).or_insert_with(|| RegistrySource::new(now))
    }
}

fn shift(at: &mut Option<Timestamp>, by: SignedDuration) {
    *at = at.map(|at| moved(at, by));
}

/// Makes room for one more, unless it is known: the smallest of `age` goes.
fn make_room<T, A: Ord>(
    all: &mut BTreeMap<String, T>,
    name: &str,
    most: usize,
    age: impl Fn(&T) -> A,
) {
    while all.len() >= most && !all.contains_key(name) {
        let oldest = all.iter().min_by_key(|(_, one)| age(one)).map(|(name, _)| name.clone());
        let Some(oldest) = oldest else { return };
        all.remove(&oldest);
    }
}

#[cfg(test)]
mod tests;
