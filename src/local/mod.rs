//! The agent's own API on a unix socket, for the command line.
//!
//! In: questions of root or of the agent's own user. Out: answers in the words of
//! `proto/pullfuse/v1/pullfuse.proto`. Touches its socket; whatever only the judge knows is asked of
//! the judge.

mod client;
mod server;

use tokio::sync::oneshot;

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
    /// How many of everything.
    Counts(oneshot::Sender<v1::Counts>),
}
