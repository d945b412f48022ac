//! What became of images that failed: the evidence from which an operator picks the limits.
//!
//! In: [`Episode`]s that ended, those that go on, and the time. Out: what other limits would have
//! done ([`History::what_if`]). Pure; the ledger keeps it.

mod what_if;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::what_if::{Answer, Question, Regret};
use crate::{
    attempts::{Attempt, PullKey, Tally},
    clock::moved,
};

/// How an episode ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The image was pulled.
    Recovered,
    /// The pod was deleted, or ended by somebody else.
    Deleted,
    /// pullfuse ended the pod.
    Failed,
}

impl End {
    /// The name in metrics and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recovered => "recovered",
            Self::Deleted => "deleted",
            Self::Failed => "failed",
        }
    }
}

/// One image failing in one pod, from its first failed attempt on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// The pod and the image.
    pub key: PullKey,
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Its first attempts, at most [`MOST_SEEN`](crate::attempts::MOST_SEEN).
    pub attempts: Vec<Attempt>,
    /// When a dry run would have ended the pod.
    pub dry_run: Option<Timestamp>,
    /// When and how it ended; `None` while it goes on.
    pub ended: Option<(Timestamp, End)>,
}

impl Episode {
    /// Moves every time in it, because the clock was set.
    pub fn shift(&mut self, by: SignedDuration) {
        for attempt in &mut self.attempts {
            attempt.at = moved(attempt.at, by);
        }
        self.dry_run = self.dry_run.map(|at| moved(at, by));
        self.ended = self.ended.map(|(at, end)| (moved(at, by), end));
    }

    /// What a tally shows.
    pub fn of(key: &PullKey, tally: &Tally) -> Self {
        Self {
            key: key.clone(),
            namespace: tally.namespace.clone(),
            pod: tally.pod.clone(),
            attempts: tally.seen.clone(),
            dry_run: None,
            ended: None,
        }
    }
}

/// The episodes of this node that ended, bounded in number and age.
#[derive(Debug, Default)]
pub struct History {
    episodes: BTreeMap<u64, Episode>,
}

impl History {
    /// Goes on from what the ledger kept.
    pub fn new(episodes: BTreeMap<u64, Episode>) -> Self {
        Self { episodes }
    }

    /// Adds an episode that ended, and returns its number.
    pub fn push(&mut self, episode: Episode) -> u64 {
        let number = self.episodes.last_key_value().map_or(0, |(last, _)| last + 1);
        self.episodes.insert(number, episode);
        number
    }

    /// Moves every time, because the clock was set.
    pub fn shift(&mut self, by: SignedDuration) {
        self.episodes.values_mut().for_each(|episode| episode.shift(by));
    }

    /// One episode.
    pub fn get(&self, number: u64) -> Option<&Episode> {
        self.episodes.get(&number)
    }

    /// Every episode that ended, in that order.
    pub fn iter(&self) -> impl Iterator<Item = &Episode> {
        self.episodes.values()
    }

    /// Every episode that ended, with its number.
    pub fn numbered(&self) -> impl Iterator<Item = (u64, &Episode)> {
        self.episodes.iter().map(|(number, episode)| (*number, episode))
    }

    /// Drops what is too old or too much, and returns the numbers.
    pub fn trim(&mut self, most: usize, keep: SignedDuration, now: Timestamp) -> Vec<u64> {
        let old = |episode: &Episode| {
            let ended = episode.ended.map_or(now, |(at, _)| at);
            now.duration_since(ended) > keep
        };
        let too_many = self.episodes.len().saturating_sub(most);
        let mut dropped: Vec<u64> = self.episodes.keys().take(too_many).copied().collect();
        dropped.extend(self.episodes.iter().filter(|(_, e)| old(e)).map(|(number, _)| *number));
        for number in &dropped {
            self.episodes.remove(number);
        }
        dropped
    }
}

#[cfg(test)]
mod tests;
