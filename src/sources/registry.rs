use std::collections::{BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::shift;
use crate::{
    attempts::Judged,
    classify::{Class, Disposition},
    clock::moved,
};

/// Pulls that are remembered of a registry.
const MOST_PULLS: usize = 64;
/// And how long.
const WINDOW: SignedDuration = SignedDuration::from_hours(24);
/// Registries that a mirror is known to serve.
const MOST_MIRRORED: usize = 8;

/// What is known of one registry, or of the host of a mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrySource {
    /// The registries for whose images it was asked, without itself.
    pub mirror_of: BTreeSet<String>,
    /// When an image came from it last.
    pub last_success: Option<Timestamp>,
    /// When one failed to come last.
    pub last_failure: Option<Timestamp>,
    /// Of what.
    pub class: Option<Class>,
    /// Whether it did not answer as a registry should when it was asked last.
    pub down: bool,
    pulls: VecDeque<Pull>,
    seen: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Pull {
    at: Timestamp,
    succeeded: bool,
    took: Option<SignedDuration>,
}

/// The pulls of the last day, at most the latest 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// Those that succeeded.
    pub succeeded: u32,
    /// Those that failed.
    pub failed: u32,
    /// How long those took that succeeded, where that was seen.
    pub median: Option<SignedDuration>,
}

impl RegistrySource {
    pub(super) fn shift(&mut self, by: SignedDuration) {
        shift(&mut self.last_success, by);
        shift(&mut self.last_failure, by);
        self.seen = moved(self.seen, by);
        self.pulls.iter_mut().for_each(|pull| pull.at = moved(pull.at, by));
    }

    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            mirror_of: BTreeSet::new(),
            last_success: None,
            last_failure: None,
            class: None,
            down: false,
            pulls: VecDeque::new(),
            seen: now,
        }
    }

    pub(super) fn seen(&self) -> Timestamp {
        self.seen
    }

    pub(super) fn came(&mut self, took: Option<SignedDuration>, now: Timestamp) {
        self.last_success = Some(now);
        self.down = false;
        self.push(Pull { at: now, succeeded: true, took }, now);
    }

    pub(super) fn failed(&mut self, cause: Judged, mirrored: Option<String>, now: Timestamp) {
        self.last_failure = Some(now);
        self.class = Some(cause.class);
        self.down = is_down(cause);
        if self.mirror_of.len() < MOST_MIRRORED {
            self.mirror_of.extend(mirrored);
        }
        self.push(Pull { at: now, succeeded: false, took: None }, now);
    }

    fn push(&mut self, pull: Pull, now: Timestamp) {
        self.seen = now;
        while self.pulls.len() >= MOST_PULLS {
            self.pulls.pop_front();
        }
        self.pulls.push_back(pull);
    }

    /// Counts.
    pub fn numbers(&self, now: Timestamp) -> Numbers {
        let recent = || self.pulls.iter().filter(|pull| now.duration_since(pull.at) < WINDOW);
        let count = |succeeded| recent().filter(|pull| pull.succeeded == succeeded).count();
        let number = |count| u32::try_from(count).unwrap_or(u32::MAX);
        let mut times: Vec<_> = recent().filter_map(|pull| pull.took).collect();
        times.sort();
        let median = times.get(times.len() / 2).copied();
        Numbers { succeeded: number(count(true)), failed: number(count(false)), median }
    }
}

/// Whether the registry did not answer as one should. That an image does not exist, or not for
/// everybody, is a proper answer.
fn is_down(cause: Judged) -> bool {
    cause.disposition == Disposition::Transient && cause.class != Class::ContentLock
        || matches!(cause.class, Class::X509 | Class::TlsProtocol)
}
