//! The decoder on what real peers wrote: recordings, whole streams of another implementation, and
//! both of them damaged.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]
#![allow(missing_docs, unreachable_pub, reason = "nobody links to a test")]

mod damage;
#[path = "../support/dice.rs"]
mod dice;
mod differential;
mod edges;
mod recordings;
mod support;
