//! From the bytes on a CRI socket to `PullImage` exchanges, also from the middle of a connection.
//!
//! In: [`Record`]s, in the order of each direction's bytes. Out: [`Exchange`]s. Touches nothing:
//! no I/O, no clock of its own. What it holds is bounded whatever the bytes say, and passwords
//! (`PullImageRequest.auth`) are never part of it.
//!
//! A connection joined late has header indexes that nobody can resolve; what depends on them is
//! unknown, never guessed. See `hpack` for why the rest is right all the same.

mod calls;
mod connection;
mod frames;
mod grpc;
mod hpack;
mod request;
mod service;
mod stream;
mod sync;

use std::collections::BTreeMap;

use serde::Serialize;

use calls::Out;
use connection::Connection;
pub use request::Pull;
pub use stream::Outcome;

/// A gap at least as long as this has a length that nobody knows.
pub const UNKNOWN_GAP: u64 = 1 << 32;
/// Connections kept. A node has a few; more means that their ends are not told.
const MOST_CONNECTIONS: usize = 1024;

/// Which way bytes went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From a client, thus nearly always the kubelet, to the runtime.
    ToRuntime,
    /// From the runtime to its client.
    ToKubelet,
}

/// Bytes seen on a connection, as one write or a part of one.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// When they were seen, in microseconds of any clock.
    pub t_us: u64,
    /// Identity of the connection.
    pub connection: u64,
    /// Which way they went.
    pub direction: Direction,
    /// Where they start in the stream of this direction.
    pub offset: u64,
    /// The bytes.
    pub data: &'a [u8],
}

/// A call of `PullImage` that is over. In JSON, `null` is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exchange {
    /// Identity of the connection.
    pub connection: u64,
    /// HTTP/2 stream of the call.
    pub stream: u32,
    /// What was asked for.
    #[serde(flatten)]
    pub pull: Pull,
    /// When the first byte of the request was seen.
    pub start_us: u64,
    /// When the last frame of the response was seen.
    pub end_us: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The gRPC status.
    pub code: Option<u32>,
    /// The runtime's text; empty for a success.
    pub message: Option<String>,
}

/// A call of `PullImage` that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFlight<'a> {
    /// Identity of the connection.
    pub connection: u64,
    /// HTTP/2 stream of the call.
    pub stream: u32,
    /// What was asked for.
    pub pull: &'a Pull,
    /// When the first byte of the request was seen.
    pub start_us: u64,
    /// Its answer may have been in a gap.
    pub unsure: bool,
}

/// What went wrong so far. Nothing here is an attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Places where bytes were missing.
    pub gaps: u64,
    /// The bytes missing there, as far as their number is known.
    pub missing_bytes: u64,
    /// How often the frames were found again, late joins included.
    pub resyncs: u64,
    /// Header blocks that could not be read.
    pub unread_blocks: u64,
    /// Pulls whose outcome could not be told.
    pub unsettled: u64,
    /// Connections forgotten because there were too many.
    pub forgotten_connections: u64,
}

/// The decoder of all connections.
#[derive(Debug, Default)]
pub struct Decoder {
    connections: BTreeMap<u64, Connection>,
    counters: Counters,
}

impl Decoder {
    /// A decoder that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a record and returns the exchanges that it completes.
    pub fn feed(&mut self, record: &Record<'_>) -> Vec<Exchange> {
        let mut exchanges = Vec::new();
        if record.data.is_empty() {
            return exchanges;
        }
        let id = record.connection;
        if self.connections.get(&id).is_some_and(|known| known.is_restarted_by(record)) {
            exchanges = self.close(id, record.t_us);
        }
        if self.connections.len() >= MOST_CONNECTIONS && !self.connections.contains_key(&id) {
            self.forget_quietest();
        }
        let connection = self.connections.entry(id).or_insert_with(|| Connection::new(id));
        let mut out = Out { exchanges: &mut exchanges, counters: &mut self.counters };
        connection.feed(record, &mut out);
        exchanges
    }

    /// A connection is over: its pulls in flight get no answer.
    pub fn close(&mut self, connection: u64, t_us: u64) -> Vec<Exchange> {
        let mut exchanges = Vec::new();
        if let Some(known) = self.connections.remove(&connection) {
            let mut out = Out { exchanges: &mut exchanges, counters: &mut self.counters };
            known.close(t_us, &mut out);
        }
        exchanges
    }

    /// The pulls that go on.
    pub fn in_flight(&self) -> impl Iterator<Item = InFlight<'_>> {
        self.connections.values().flat_map(Connection::in_flight)
    }

    /// Whether a connection surely has no pulls, so that nobody needs to listen to it.
    pub fn rules_out_pulls(&self, connection: u64) -> bool {
        self.connections.get(&connection).is_some_and(Connection::rules_out_pulls)
    }

    /// Bytes held for all connections, about.
    pub fn held(&self) -> usize {
        self.connections.values().map(Connection::held).sum()
    }

    /// What went wrong so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn forget_quietest(&mut self) {
        let quietest = self.connections.iter().min_by_key(|(_, known)| known.last_us());
        if let Some((&id, _)) = quietest {
            self.connections.remove(&id);
            self.counters.forgotten_connections += 1;
        }
    }
}
