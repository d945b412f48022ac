//! Faults: whatever breaks, no attempt is lost and no pod is ended by mistake.
//!
//! `make test` tries each a few times, `make chaos` often. What was tried is shown as a table after
//! the last scenario.

mod api;
mod runtime;

use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    [api::trials(), runtime::trials()].into_iter().flatten().collect()
}
