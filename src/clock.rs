//! The agent's clock: it shows the time of the wall, but does not jump with it.
//!
//! In: the clock on the wall, which may be set at any moment, and one that only counts since the
//! boot. Out: the time, and how far the wall's clock was set ([`Clock::follow`]): whoever keeps times
//! moves them by as much, so that no time seems to have passed. Touches both clocks and the boot's id.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Smaller steps are those of a clock that is kept right; they are followed without a word.
const STEP: SignedDuration = SignedDuration::from_secs(2);

/// A clock; clones are the same one.
#[derive(Debug, Clone)]
pub struct Clock {
    /// By how many microseconds it is ahead of the one that counts since the boot.
    ahead: Arc<AtomicI64>,
    /// Names the boot; empty if that is not known.
    boot: Arc<str>,
}

/// How the clock stood, to be kept with the times that were taken from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    boot: String,
    /// By how many microseconds the wall's clock was ahead of the one that counts since the boot.
    ahead_us: i64,
    at: Timestamp,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock that shows what the wall's does now.
    pub fn new() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self { ahead: Arc::new(AtomicI64::new(wall_ahead())), boot: boot.trim().into() }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.after_boot(since_boot())
    }

    /// What this clock showed, or would have shown, at that instant.
    pub fn at(&self, instant: Instant) -> Timestamp {
        self.after_boot(since_boot() - micros(instant.elapsed()))
    }

    /// When that was, by a clock that never jumps.
    pub fn instant(&self, at: Timestamp) -> Option<Instant> {
        let age = Duration::try_from(self.now().duration_since(at)).unwrap_or_default();
        Instant::now().checked_sub(age)
    }

    /// How far the wall's clock was set since this was last asked. From now on this clock shows the
    /// same again, and times taken from it before are to be moved ([`moved`]).
    pub fn follow(&self) -> Option<SignedDuration> {
        let ahead = wall_ahead();
        let before = self.ahead.swap(ahead, Ordering::Relaxed);
        step(before, ahead)
    }

    /// How it stands.
    pub fn reading(&self) -> Reading {
        let ahead_us = self.ahead.load(Ordering::Relaxed);
        Reading { boot: self.boot.to_string(), ahead_us, at: self.now() }
    }

    /// How far times that were kept with a reading are to be moved. Over a boot it is not known how
    /// much time has passed, or whether the clock was right: then none has.
    pub fn moved_since(&self, kept: &Reading) -> Option<SignedDuration> {
        let now = self.reading();
        if kept.boot == now.boot && !now.boot.is_empty() {
            return step(kept.ahead_us, now.ahead_us);
        }
        Some(now.at.duration_since(kept.at)).filter(|by| by.abs() >= STEP)
    }

    fn after_boot(&self, micros: i64) -> Timestamp {
        let micros = self.ahead.load(Ordering::Relaxed).saturating_add(micros);
        Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
    }
}

/// A time as it would have been taken from a clock that was set before.
pub fn moved(at: Timestamp, by: SignedDuration) -> Timestamp {
    let end = if by.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
    at.checked_add(by).unwrap_or(end)
}

fn step(before: i64, ahead: i64) -> Option<SignedDuration> {
    let by = SignedDuration::from_micros(ahead.saturating_sub(before));
    (by.abs() >= STEP).then_some(by)
}

fn wall_ahead() -> i64 {
    // Somebody may set the clock, or this process wait, between the two; a second look tells.
    let look = || {
        let (before, wall, after) = (since_boot(), Timestamp::now(), since_boot());
        (after - before, wall.as_microsecond().saturating_sub(after))
    };
    let (first, second) = (look(), look());
    first.min(second).1
}

/// Microseconds since the boot, those asleep included.
fn since_boot() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1000)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(hours: i64) -> SignedDuration {
        SignedDuration::from_hours(hours)
    }

    /// A clock that follows the wall's as if that had been set by so much.
    fn set(clock: &Clock, by: SignedDuration) {
        let micros = i64::try_from(by.as_micros()).unwrap();
        clock.ahead.fetch_sub(micros, Ordering::Relaxed);
    }

    #[test]
    fn it_shows_the_walls_time_and_no_step_of_it_before_it_follows() {
        let clock = Clock::new();
        let near = |at: Timestamp| Timestamp::now().duration_since(at).abs() < STEP;
        assert!(near(clock.now()) && near(clock.at(Instant::now())));
        assert_eq!(clock.follow(), None);
        for by in [hours(5), hours(-5)] {
            set(&clock, by);
            let before = clock.now();
            assert!(!near(before));
            let told = clock.follow().unwrap();
            assert!((told - by).abs() < STEP, "{told:?}");
            assert!(near(clock.now()) && near(moved(before, told)));
            assert_eq!(clock.follow(), None, "it was told");
        }
    }

    #[test]
    fn an_instant_and_its_time_are_the_same_moment() {
        let clock = Clock::new();
        let ago = clock.now() - SignedDuration::from_secs(60);
        let again = clock.at(clock.instant(ago).unwrap());
        assert!(again.duration_since(ago).abs() < STEP, "{again} is not {ago}");
    }

    #[test]
    fn kept_times_move_with_a_clock_that_was_set_and_over_a_boot() {
        let clock = Clock::new();
        let kept = clock.reading();
        assert_eq!(clock.moved_since(&kept), None, "time that passed is no step");
        let before = Reading { ahead_us: kept.ahead_us - 7_200_000_000, ..kept.clone() };
        assert_eq!(clock.moved_since(&before), Some(hours(2)));
        for by in [hours(30), hours(-30)] {
            let other = Reading { boot: "another".into(), at: kept.at - by, ..kept.clone() };
            let told = clock.moved_since(&other).unwrap();
            assert!((told - by).abs() < STEP, "{told:?}");
            let unknown = Reading { boot: String::new(), ..other };
            assert!(clock.moved_since(&unknown).is_some());
        }
    }

    #[test]
    fn no_time_moves_beyond_the_end_of_time() {
        let now = Timestamp::now();
        assert_eq!(moved(now, SignedDuration::MAX), Timestamp::MAX);
        assert_eq!(moved(now, SignedDuration::MIN), Timestamp::MIN);
    }
}
