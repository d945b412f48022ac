//! Waiting for file descriptors that tokio has no type for.
#![allow(unsafe_code, reason = "tokio wants a promise that a descriptor stays what it is")]

use std::{io, os::fd::OwnedFd};

use aya::maps::{MapData, RingBuf};
use tokio::io::unix::AsyncFd;

/// Waits for records.
pub(super) fn ring(ring: RingBuf<MapData>) -> io::Result<AsyncFd<RingBuf<MapData>>> {
    // SAFETY: the ring buffer owns its map, whose descriptor stays open and the same until it is
    // dropped, and nothing here takes it out.
    Ok(unsafe { AsyncFd::register(ring) }?)
}

/// Waits for any descriptor of our own.
pub(super) fn owned(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open and the same until it is dropped.
    Ok(unsafe { AsyncFd::register(fd) }?)
}
