//! How many pods may be ended in a short time: a wrong rule must not sweep a cluster.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{clock::moved, config};

/// The verdicts of the last window; kept in the ledger, so that a restart allows none more.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Caps {
    /// Time and namespace, the oldest first.
    verdicts: VecDeque<(Timestamp, String)>,
}

/// A verdict that must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldBack {
    /// The cap that is reached.
    pub which: Cap,
    /// When it is worth asking again.
    pub until: Timestamp,
}

/// One of the caps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Cap {
    /// `caps.per_node`.
    PerNode,
    /// `caps.per_namespace`.
    PerNamespace,
}

impl Cap {
    /// The name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl Caps {
    /// Whether a pod of this namespace may be ended now.
    ///
    /// # Errors
    /// With the cap that is reached, and until when.
    pub fn allow(
        &mut self,
        caps: &config::Caps,
        namespace: &str,
        now: Timestamp,
    ) -> Result<(), HeldBack> {
        self.settle(caps, now);
        let all = self.verdicts.iter().map(|(at, _)| *at);
        let own = self.verdicts.iter().filter(|(_, name)| name == namespace).map(|(at, _)| *at);
        for (which, times, most) in [
            (Cap::PerNode, all.collect::<Vec<_>>(), caps.per_node),
            (Cap::PerNamespace, own.collect(), caps.per_namespace),
        ] {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let Some(too_many) = times.len().checked_sub(most) else { continue };
            // Once this one has left the window there is room for one.
            let leaves = times.get(too_many).and_then(|at| at.checked_add(caps.window).ok());
            return Err(HeldBack { which, until: leaves.unwrap_or(Timestamp::MAX) });
        }
        Ok(())
    }

    /// Counts a verdict.
    pub fn record(&mut self, caps: &config::Caps, namespace: &str, now: Timestamp) {
        self.settle(caps, now);
        self.verdicts.push_back((now, namespace.to_owned()));
        // More than the cap tell nothing more.
        while self.verdicts.len() > usize::try_from(caps.per_node).unwrap_or(usize::MAX) {
            self.verdicts.pop_front();
        }
    }

    /// Forgets a verdict that ended no pod in the end.
    pub fn forget(&mut self, namespace: &str, at: Timestamp) {
        let of = |(when, name): &(Timestamp, String)| *when == at && name == namespace;
        if let Some(index) = self.verdicts.iter().position(of) {
            self.verdicts.remove(index);
        }
    }

    /// Moves every time, because the clock was set.
    pub fn shift(&mut self, by: SignedDuration) {
        for (at, _) in &mut self.verdicts {
            *at = moved(*at, by);
        }
    }

    /// Verdicts on the node within the window.
    pub fn on_node(&mut self, caps: &config::Caps, now: Timestamp) -> usize {
        self.settle(caps, now);
        self.verdicts.len()
    }

    /// Drops what has left the window. After the clock went back, what lies in the future counts as
    /// of now: nothing is held for longer than a window.
    fn settle(&mut self, caps: &config::Caps, now: Timestamp) {
        for (at, _) in &mut self.verdicts {
            *at = now.min(*at);
        }
        self.verdicts.retain(|(at, _)| now.duration_since(*at) < caps.window);
    }
}

#[cfg(test)]
#[path = "caps_tests.rs"]
mod tests;
