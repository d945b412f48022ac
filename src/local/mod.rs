//! The agent's own API on a unix socket, for the command line.
//!
//! In: questions of root or of the agent's own user. Out: answers in the words of
//! `proto/pullfuse/v1/pullfuse.proto`. Touches its socket and the log level; whatever only the judge
//! knows is asked of the judge.

mod change;
mod client;
mod server;
mod service;
mod time;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use thiserror::Error;
use tokio::sync::{broadcast, oneshot};

pub(crate) use self::{
    change::of_journal,
    time::{duration, length, timestamp},
};
pub use self::{
    client::{Client, ClientError, connect},
    server::{About, Server},
};
use crate::{classify::Class, journal::Change};

/// The messages and services of `proto/pullfuse/v1/pullfuse.proto`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "made by tonic-prost-build and pbjson-build"
)]
pub mod v1 {
    tonic::include_proto!("pullfuse.v1");
    include!(concat!(env!("OUT_DIR"), "/pullfuse.v1.serde.rs"));

    /// The file itself, compiled: served to whoever asks what can be asked.
    pub(crate) const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("pullfuse.v1");
}

/// Where the agent is asked unless the configuration names another socket.
pub const DEFAULT_SOCKET: &str = "/run/pullfuse/pullfuse.sock";

/// Changes that wait for those who watch. Whoever is behind by more is told how many it missed.
const WATCHED: usize = 256;

/// A change and its number.
pub type Numbered = (u64, Arc<Change>);

/// Where changes are told; nobody who listens holds up who tells.
pub fn watchers() -> broadcast::Sender<Numbered> {
    broadcast::Sender::new(WATCHED)
}

/// What only the judge knows; an answer that nobody waits for any more is dropped.
#[derive(Debug)]
pub enum Question {
    /// How many of everything, and the outages.
    Summary(oneshot::Sender<Summary>),
    /// The pods whose images fail.
    Pods(v1::ListPodsRequest, oneshot::Sender<v1::ListPodsResponse>),
    /// One pod; `None` if it is not on this node.
    Pod(v1::GetPodRequest, oneshot::Sender<Option<v1::GetPodResponse>>),
    /// The images of this node.
    Images(oneshot::Sender<v1::ListImagesResponse>),
    /// The registries that they come from.
    Registries(oneshot::Sender<v1::ListRegistriesResponse>),
    /// What changed within this time and concerns this namespace.
    Changes(Option<SignedDuration>, String, oneshot::Sender<Remembered>),
    /// What other limits would have done.
    WhatIf(WhatIf, oneshot::Sender<v1::WhatIfResponse>),
    /// To end a hold by hand; the answer says what comes next.
    Release(Hold, u32, oneshot::Sender<Result<String, NotReleased>>),
}

/// What is remembered of what changed.
#[derive(Debug)]
pub struct Remembered {
    /// The changes, the oldest first.
    pub changes: Vec<Numbered>,
    /// Since when none is missing.
    pub since: Timestamp,
    /// The number of the next change.
    pub next: u64,
}

/// What an operator may end by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// The open or half-open breaker of this registry.
    Registry(String),
    /// What holds the verdict of the pod with this namespace and name.
    Pod(String, String),
}

/// Why nothing was released.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotReleased {
    /// No such pod on this node.
    #[error("no pod {0} is on this node; `pullfuse pods` lists those whose images fail")]
    NoSuchPod(String),
    /// Nothing that an operator could end holds it.
    #[error("{0}")]
    NotHeld(String),
}

/// Other limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WhatIf {
    /// Counted attempts before a pod is ended.
    pub max_attempts: u32,
    /// Least time since the first of them; `None`: as the configuration has it.
    pub min_elapsed: Option<SignedDuration>,
    /// Only attempts of this cause count; otherwise those of permanent and ambiguous causes.
    pub class: Option<Class>,
}

/// What the judge adds to the status.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// How many of everything.
    pub counts: v1::Counts,
    /// The registries that seem to be out of order.
    pub breakers: Vec<v1::Breaker>,
}
