//! `pullfuse replay` as people and scripts call it.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]
#![allow(missing_docs, unreachable_pub, reason = "nobody links to a test")]

mod calls;
mod support;
mod verdicts;
