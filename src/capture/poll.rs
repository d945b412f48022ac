//! Waiting for a file descriptor that tokio has no type for. The only unsafe code of pullfuse.
#![allow(unsafe_code, reason = "tokio wants a promise that a descriptor stays what it is")]

use std::io;

use aya::maps::{MapData, RingBuf};
use tokio::io::unix::AsyncFd;

/// Waits for records.
pub(super) fn ring(ring: RingBuf<MapData>) -> io::Result<AsyncFd<RingBuf<MapData>>> {
    // SAFETY: the ring buffer owns its map, whose descriptor stays open and the same until it is
    // dropped, and nothing here takes it out.
    Ok(unsafe { AsyncFd::register(ring) }?)
}
