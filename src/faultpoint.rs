//! Instants at which a test may end the process, as SIGKILL would.
//!
//! In: `PULLFUSE_FAULT=NAME[:NTH]` from the environment, such as `after_write:2`. It is read only
//! where debug assertions are on; a release neither has the points nor the variable's name, which
//! `daemonset/binary.sh` makes sure of.

use strum::{EnumString, IntoStaticStr};

/// An instant between two steps of which one is lost if the process ends there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Point {
    /// Something is to be stored.
    BeforeCommit,
    /// It is stored.
    AfterCommit,
    /// A verdict was decided, and is not stored.
    Decided,
    /// The evidence was looked at, and the pod is to be written.
    BeforeWrite,
    /// The pod is written, and the ledger does not know.
    AfterWrite,
    /// The pod's owner was told, and the verdict may not hold yet.
    Verifying,
}

/// Ends the process if this is the instant that was asked for.
#[cfg(debug_assertions)]
pub(crate) fn reached(point: Point) {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    };

    /// The point, and how often it may still be passed.
    static ASKED: LazyLock<Option<(Point, AtomicU32)>> = LazyLock::new(|| {
        let asked = std::env::var("PULLFUSE_FAULT").ok()?;
        let (name, nth) = asked.split_once(':').unwrap_or((&asked, "1"));
        let parsed = name.parse().ok().zip(nth.parse().ok());
        if parsed.is_none() {
            tracing::error!(asked, "PULLFUSE_FAULT names no point; use NAME or NAME:NTH");
        }
        parsed.map(|(point, nth)| (point, AtomicU32::new(nth)))
    });
    if let Some((asked, left)) = &*ASKED
        && *asked == point
        && left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        // Nobody outlives this, so nothing that could go wrong with it matters.
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// A release has no such points.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(crate) fn reached(_: Point) {}
