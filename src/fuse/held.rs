use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::policy::{
    breaker,
    caps::{Cap, HeldBack},
};

/// Why a pod that would be ended is not, and until when at the latest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// By what.
    pub by: By,
    /// When it is worth asking again.
    pub until: Timestamp,
}

/// What holds a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// Its registry seems to be out of order, or was until a moment ago.
    Breaker {
        /// The registry, or the host of a mirror.
        registry: String,
        /// Whether a pull has succeeded since the pod's last attempt.
        came_back: bool,
    },
    /// Enough pods were ended lately.
    Cap(Cap),
    /// The kubelet may be pulling, and nobody heard that begin.
    Unheard,
}

/// That an operator let a pod go on in spite of what holds its verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// The user id of who did it.
    pub uid: u32,
    /// When.
    pub at: Timestamp,
}

impl By {
    /// All names, as [`By::as_str`] gives them.
    pub const NAMES: [&'static str; 4] = ["breaker", "per_node", "per_namespace", "unheard"];

    /// The name in metrics and logs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Breaker { .. } => "breaker",
            Self::Cap(cap) => cap.as_str(),
            Self::Unheard => "unheard",
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = self.until;
        match &self.by {
            By::Breaker { registry, came_back: false } => write!(
                f,
                "held: registry {registry} seems to be out of order; until a pull from it succeeds, \
                 or until {until:.0}"
            ),
            By::Breaker { registry, came_back: true } => write!(
                f,
                "held: registry {registry} has come back; until the next attempt, or until \
                 {until:.0}"
            ),
            By::Cap(cap) => write!(
                f,
                "held: as many pods as caps.{} allows were ended lately; until {until:.0}",
                cap.as_str()
            ),
            By::Unheard => write!(
                f,
                "held: a pull may go on whose beginning was not heard; until its outcome or that of \
                 the next attempt is known"
            ),
        }
    }
}

impl From<breaker::Held> for Held {
    fn from(held: breaker::Held) -> Self {
        let breaker::Held { registry, came_back, until } = held;
        Self { by: By::Breaker { registry, came_back }, until }
    }
}

impl From<HeldBack> for Held {
    fn from(held: HeldBack) -> Self {
        Self { by: By::Cap(held.which), until: held.until }
    }
}
