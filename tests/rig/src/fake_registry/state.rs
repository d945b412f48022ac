//! What the registry was told to answer, and what it was asked.

use std::collections::HashMap;

use tokio::sync::watch;

use super::answer::Answer;

/// How many requests a repository has seen. A request counts when it arrives, answered or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// GET of a manifest.
    pub manifest_get: u64,
    /// HEAD of a manifest.
    pub manifest_head: u64,
    /// GET or HEAD of a layer or of the configuration.
    pub blob: u64,
    /// Requests to the token server for this repository.
    pub token: u64,
    /// All of these, and whatever else named the repository.
    pub total: u64,
}

/// Shared by the handle and by all requests.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) answers: watch::Sender<Answers>,
    pub(super) counts: watch::Sender<HashMap<String, Counts>>,
}

impl State {
    pub(super) fn count(&self, repository: &str, count: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(|all| {
            let counts = all.entry(repository.to_owned()).or_default();
            counts.total += 1;
            count(counts);
        });
    }
}

/// The answer of every repository.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) default: Answer,
    pub(super) repositories: HashMap<String, Answer>,
}

impl Answers {
    pub(super) fn get(&self, repository: &str) -> &Answer {
        self.repositories.get(repository).unwrap_or(&self.default)
    }
}
