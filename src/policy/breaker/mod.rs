//! Tells a missing image from a registry that is out of order: many images that begin to fail with
//! no success between them are an outage, whatever their errors say.
//!
//! In: failed attempts, successes, the time. Out: [`Transition`]s, and whether a verdict is
//! [`Held`]. Pure; kept in the ledger, so that a restart does not end a hold.

mod registry;
mod transition;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use oci_spec::distribution::Reference;
use serde::{Deserialize, Serialize};

use self::registry::Registry;
pub use self::transition::{State, Transition, Why};
use crate::{
    attempts::Judged,
    classify::{Class, Disposition},
    config,
};

/// Registries that are kept in mind; far more than a node pulls from.
const MOST_REGISTRIES: usize = 64;
/// Longer than any name that a registry is ever asked for.
const LONGEST_IMAGE: usize = 1024;
/// A domain name and a port.
const LONGEST_HOST: usize = 253 + 6;

/// A failed attempt.
#[derive(Debug, Clone, Copy)]
pub struct Failure<'a> {
    /// The image as the pod spells it.
    pub image: &'a str,
    /// The host that the error names; a mirror is often not the image's registry.
    pub host: Option<&'a str>,
    /// What it failed of.
    pub cause: Judged,
}

/// Why a verdict must wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The registry that seems to be out of order.
    pub registry: String,
    /// Whether it has come back, and the pod has not tried again since.
    pub came_back: bool,
    /// The latest end of it, unless an outage begins anew.
    pub until: Timestamp,
}

/// All registries that images of this node fail to come from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Breaker {
    registries: BTreeMap<String, Registry>,
}

impl Breaker {
    /// Takes in a counted attempt that failed.
    pub fn failed(
        &mut self,
        settings: &config::Breaker,
        failure: Failure<'_>,
        now: Timestamp,
    ) -> Vec<Transition> {
        let mut transitions = self.advance(settings, now);
        let own = registry_of(failure.image);
        let key = failure.host.and_then(host).or_else(|| own.clone());
        if settings.images == 0
            || !speaks_of_a_registry(failure.cause)
            || failure.image.len() > LONGEST_IMAGE
        {
            return transitions;
        }
        let Some(key) = key else { return transitions };
        if !self.registries.contains_key(&key) {
            self.make_room();
        }
        let registry = self.registries.entry(key.clone()).or_insert_with(|| Registry::new(now));
        let change = registry.failed(settings, failure.image, own, now);
        transitions.extend(change.map(|change| change.of(key)));
        transitions
    }

    /// Takes in a pull that succeeded. An image that was on the node already says nothing about its
    /// registry and must not come here.
    pub fn succeeded(
        &mut self,
        settings: &config::Breaker,
        image: &str,
        now: Timestamp,
    ) -> Vec<Transition> {
        let mut transitions = self.advance(settings, now);
        let own = registry_of(image);
        for (key, registry) in &mut self.registries {
            // A mirror serves images of another registry: their success is its success.
            let helped = own.is_some() && (own.as_ref() == Some(key) || registry.serves(&own));
            let change = helped.then(|| registry.succeeded(settings, now)).flatten();
            transitions.extend(change.map(|change| change.of(key.clone())));
            registry.forget(image);
        }
        self.drop_idle();
        transitions
    }

    /// Moves every time, because the clock was set.
    pub fn shift(&mut self, by: SignedDuration) {
        self.registries.values_mut().for_each(|registry| registry.shift(by));
    }

    /// Takes in that time passes. To be called before [`Breaker::holds`] and at [`Breaker::next`].
    pub fn advance(&mut self, settings: &config::Breaker, now: Timestamp) -> Vec<Transition> {
        let changes = self.registries.iter_mut().filter_map(|(key, registry)| {
            registry.advance(settings, now).map(|change| change.of(key.clone()))
        });
        let transitions = changes.collect();
        self.drop_idle();
        transitions
    }

    /// Ends by hand what holds the verdicts of this registry; `None` if nothing does.
    pub fn release(
        &mut self,
        settings: &config::Breaker,
        registry: &str,
        uid: u32,
        now: Timestamp,
    ) -> Option<Transition> {
        let key = host(registry)?;
        let change = self.registries.get_mut(&key)?.release(settings, uid, now)?;
        self.drop_idle();
        Some(change.of(key))
    }

    /// When [`Breaker::advance`] has something to do.
    pub fn next(&self, settings: &config::Breaker) -> Option<Timestamp> {
        self.registries.values().filter_map(|registry| registry.ends(settings)).min()
    }

    /// Whether a verdict for this image must wait: its registry, the host that failed, or any other
    /// from which it failed to come is out of order, or has come back and the pod has not tried since.
    pub fn holds(
        &self,
        settings: &config::Breaker,
        image: &str,
        failed_host: Option<&str>,
        last_attempt: Timestamp,
        now: Timestamp,
    ) -> Option<Held> {
        let keys: BTreeSet<_> =
            registry_of(image).into_iter().chain(failed_host.and_then(host)).collect();
        self.registries.iter().find_map(|(key, registry)| {
            let concerned = keys.contains(key) || registry.knows(image);
            if !concerned {
                return None;
            }
            let (until, came_back) = registry.holds(settings, last_attempt)?;
            (until > now).then(|| Held { registry: key.clone(), came_back, until })
        })
    }

    /// The registries that are not closed.
    pub fn troubled(&self) -> impl Iterator<Item = (&str, State)> {
        let all = self.registries.iter().map(|(key, registry)| (key.as_str(), registry.state()));
        all.filter(|(_, state)| *state != State::Closed)
    }

    /// A closed one goes first: names that a stranger invents must not end a hold.
    fn make_room(&mut self) {
        while self.registries.len() >= MOST_REGISTRIES {
            let age = |registry: &Registry| (registry.state() != State::Closed, registry.seen());
            let oldest = self.registries.iter().min_by_key(|(_, registry)| age(registry));
            let Some(key) = oldest.map(|(key, _)| key.clone()) else { return };
            self.registries.remove(&key);
        }
    }

    fn drop_idle(&mut self) {
        self.registries.retain(|_, registry| !registry.is_idle());
    }
}

/// The registry of an image, as its full name has it.
pub(crate) fn registry_of(image: &str) -> Option<String> {
    image.parse::<Reference>().ok().map(|name| name.registry().to_ascii_lowercase())
}

/// A host as a key. It comes from an error's text, so it may be anything.
pub(crate) fn host(text: &str) -> Option<String> {
    (!text.is_empty() && text.len() <= LONGEST_HOST && !text.contains(char::is_control))
        .then(|| text.to_ascii_lowercase())
}

/// Whether a registry was asked at all.
pub(crate) fn speaks_of_a_registry(cause: Judged) -> bool {
    cause.disposition != Disposition::NodeFault
        && !matches!(
            cause.class,
            Class::InvalidReference
                | Class::NeverPull
                | Class::ShortName
                | Class::KubeletQps
                | Class::NoSpace
                | Class::RuntimeDown
        )
}

#[cfg(test)]
#[path = "property_tests.rs"]
mod property_tests;
#[cfg(test)]
mod tests;
