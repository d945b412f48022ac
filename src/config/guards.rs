//! What keeps a wrong rule, an outage or a pod's own wish from ending too much.

use std::fmt;

use jiff::SignedDuration;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::checks;

/// Images of one registry that the breaker can keep in mind.
const MOST_IMAGES: u32 = 100;

/// `[annotations]`: what a pod may ask for itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Annotations {
    /// The numbers that `pullfuse.io/max-attempts` may have; `false`: the annotation is not heard.
    #[serde(deserialize_with = "bounds")]
    pub max_attempts: Option<Bounds>,
    /// Whether `pullfuse.io/mode` is heard, by which a pod can only be treated more mildly.
    pub mode: bool,
}

/// From and to which number, both included. By default 1 to 100: a pod ends only itself sooner, so
/// there is nothing to protect below, and a hundred attempts take the kubelet eight hours, which is
/// as good as never for who waits for a Job and yet has an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// The least.
    #[serde(deserialize_with = "checks::at_least_1")]
    pub min: u32,
    /// The most.
    #[serde(deserialize_with = "checks::at_least_1")]
    pub max: u32,
}

impl Default for Annotations {
    fn default() -> Self {
        Self { max_attempts: Some(Bounds::default()), mode: true }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self { min: 1, max: 100 }
    }
}

/// `[caps]`: how many pods may be ended within any window.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Caps {
    /// On the whole node.
    #[serde(deserialize_with = "checks::at_least_1")]
    pub per_node: u32,
    /// In one namespace, on this node.
    #[serde(deserialize_with = "checks::at_least_1")]
    pub per_namespace: u32,
    /// The window.
    #[serde(deserialize_with = "checks::window")]
    pub window: SignedDuration,
}

impl Default for Caps {
    fn default() -> Self {
        Self { per_node: 30, per_namespace: 20, window: SignedDuration::from_mins(10) }
    }
}

/// `[breaker]`: what counts as an outage of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// This many different images of one registry, with no success between them; 0: never.
    #[serde(deserialize_with = "images")]
    pub images: u32,
    /// Within this time they started to fail.
    #[serde(deserialize_with = "checks::window")]
    pub window: SignedDuration,
    /// The longest time that verdicts are held without any success.
    #[serde(deserialize_with = "checks::window")]
    pub hold: SignedDuration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            images: 5,
            window: SignedDuration::from_mins(10),
            hold: SignedDuration::from_mins(30),
        }
    }
}

fn images<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        1 => Err(D::Error::custom(
            "1 would take every failing image for an outage; use 2 or more, or 0 for no breaker",
        )),
        images if images > MOST_IMAGES => Err(D::Error::custom(format!(
            "{images} is more than a node pulls; use 2 to {MOST_IMAGES}, or 0 for no breaker"
        ))),
        images => Ok(images),
    }
}

fn bounds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bounds>, D::Error> {
    struct Written;

    impl<'de> Visitor<'de> for Written {
        type Value = Option<Bounds>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("`{ min = 1, max = 100 }`, or `false` to allow none")
        }

        fn visit_bool<E: Error>(self, allowed: bool) -> Result<Option<Bounds>, E> {
            Ok(allowed.then(Bounds::default))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<Bounds>, A::Error> {
            let bounds = Bounds::deserialize(MapAccessDeserializer::new(map))?;
            let Bounds { min, max } = bounds;
            if min > max {
                return Err(A::Error::custom(format!(
                    "min = {min} is more than max = {max}, so no number would be allowed; \
                     raise max, or write `max_attempts = false` to allow none"
                )));
            }
            Ok(Some(bounds))
        }
    }

    deserializer.deserialize_any(Written)
}
