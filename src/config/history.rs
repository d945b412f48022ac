use jiff::SignedDuration;
use serde::Deserialize;

use super::checks;

/// `[history]`: how much is remembered for `pullfuse what-if`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct History {
    /// Episodes that ended are forgotten after this time; up to 90 days.
    #[serde(deserialize_with = "checks::long")]
    pub keep: SignedDuration,
    /// And the oldest when there are more than this; each takes about a kilobyte.
    #[serde(deserialize_with = "checks::at_least_1")]
    pub max_episodes: u32,
}

impl Default for History {
    fn default() -> Self {
        Self { keep: SignedDuration::from_hours(14 * 24), max_episodes: 2000 }
    }
}

impl History {
    /// `max_episodes`, as a number of things in memory.
    pub fn most(&self) -> usize {
        usize::try_from(self.max_episodes).unwrap_or(usize::MAX)
    }
}
