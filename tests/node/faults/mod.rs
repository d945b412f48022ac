//! Faults: whatever breaks, no attempt is lost and no pod is ended by mistake.
//!
//! `make test` tries each a few times, `make chaos` often. What was tried is shown as a table after
//! the last scenario.

mod api;
mod clock;
mod disk;
mod kills;
mod ledger;
mod ring;
mod runtime;
mod stall;
mod twins;

use libtest_mimic::Trial;
use tokio::sync::Mutex;

/// Who stops an agent that listens, and who says more than one can take while it is stopped.
static LOUD: Mutex<()> = Mutex::const_new(());

pub fn trials() -> Vec<Trial> {
    [
        api::trials(),
        runtime::trials(),
        kills::trials(),
        clock::trials(),
        disk::trials(),
        ledger::trials(),
        ring::trials(),
        stall::trials(),
        twins::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
