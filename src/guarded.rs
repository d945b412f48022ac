//! Lets a library that may panic on damaged data do so, and no other code.
//!
//! In: what is to be run. Out: its result, or that it panicked. A panic anywhere else is a bug, after
//! which nobody knows what still works: it ends the process at once, the kubelet starts another, and
//! that one goes on from the ledger.

use std::{
    any::Any,
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    process,
};

use thiserror::Error;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// What was run panicked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("it broke: {0}")]
pub struct Panicked(String);

/// Runs what may panic. What it owns is dropped then; what it only borrows must be sound without it.
///
/// # Errors
/// When it panicked.
pub fn catch<T>(run: impl FnOnce() -> T) -> Result<T, Panicked> {
    let before = GUARDED.replace(true);
    let caught = panic::catch_unwind(AssertUnwindSafe(run));
    GUARDED.set(before);
    caught.map_err(|payload| Panicked(text(payload.as_ref())))
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no reason given").into()
}

/// From now on every panic that nobody catches here ends the process.
pub fn abort_on_panic() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if GUARDED.get() {
            return;
        }
        print(info);
        process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_and_does_not_spread() {
        assert_eq!(catch(|| 7), Ok(7));
        let broke = catch(|| -> u8 { panic!("page {} is bad", 3) });
        assert_eq!(broke.unwrap_err().to_string(), "it broke: page 3 is bad");
        assert!(!GUARDED.get(), "the next one is a bug again");
    }

    /// Without it a release agent would be killed by the first damaged ledger, again and again.
    #[test]
    fn a_release_unwinds() {
        let manifest: toml::Table = include_str!("../Cargo.toml").parse().unwrap();
        assert_eq!(manifest["profile"]["release"]["panic"].as_str(), Some("unwind"));
    }
}
