//! The agent's own API on a unix socket, for the command line.
//!
//! In: questions of root or of the agent's own user. Out: answers in the words of
//! `proto/pullfuse/v1/pullfuse.proto`. Touches its socket; whatever only the judge knows is asked of
//! the judge.

mod client;
mod server;
mod time;

use jiff::SignedDuration;
use tokio::sync::oneshot;

use crate::classify::Class;

pub(crate) use self::time::{duration, timestamp};
pub use self::{
    client::{Client, ClientError, connect},
    server::{About, Server},
};

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
}

/// Where the agent is asked unless the configuration names another socket.
pub const DEFAULT_SOCKET: &str = "/run/pullfuse/pullfuse.sock";

/// What only the judge knows; an answer that nobody waits for any more is dropped.
#[derive(Debug)]
pub enum Question {
    /// How many of everything, and the outages.
    Summary(oneshot::Sender<Summary>),
    /// The pods whose images fail.
    Pods(v1::ListPodsRequest, oneshot::Sender<v1::ListPodsResponse>),
    /// What other limits would have done.
    WhatIf(WhatIf, oneshot::Sender<v1::WhatIfResponse>),
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
