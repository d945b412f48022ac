//! How fast requests of one kind may follow each other.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

/// After a failure only one request at a time goes, with growing pauses between.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Jitter may double it.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The one request that finds out whether the trouble is over may be dropped without a word; then
/// the next goes after this time.
const SILENCE: Duration = Duration::from_secs(60);

/// Many requests at once up to a burst, then evenly spaced; after a failure one at a time.
#[derive(Debug)]
pub(super) struct Pace {
    every: Duration,
    burst: u32,
    /// When all that went before is paid for, one `every` each (the generic cell rate algorithm).
    paid: Instant,
    trouble: Option<Trouble>,
}

#[derive(Debug)]
struct Trouble {
    pauses: ExponentialBackoff,
    failed: Instant,
    next: Instant,
}

impl Pace {
    pub(super) fn new(every: Duration, burst: u32, now: Instant) -> Self {
        Self { every, burst, paid: now, trouble: None }
    }

    /// Takes the place of one request, or says when to ask again.
    pub(super) fn ask(&mut self, now: Instant) -> Result<(), Instant> {
        if let Some(trouble) = &mut self.trouble {
            if now < trouble.next {
                return Err(trouble.next);
            }
            trouble.next = now + SILENCE;
            return Ok(());
        }
        let paid = self.paid.max(now) + self.every;
        let ahead = self.every * self.burst;
        if paid > now + ahead {
            return Err(paid - ahead);
        }
        self.paid = paid;
        Ok(())
    }

    /// A request went well.
    pub(super) fn worked(&mut self) {
        self.trouble = None;
    }

    /// A request that was begun then has failed.
    pub(super) fn failed(&mut self, began: Instant, now: Instant) {
        let pauses = || {
            let pauses = ExponentialBuilder::default()
                .with_min_delay(FIRST_PAUSE)
                .with_max_delay(LONGEST_PAUSE)
                .without_max_times()
                .with_jitter();
            pauses.build()
        };
        let trouble = self.trouble.get_or_insert_with(|| Trouble {
            pauses: pauses(),
            failed: began,
            next: now,
        });
        // Those that were under way together fail for one cause.
        if began >= trouble.failed {
            let pause = trouble.pauses.next().unwrap_or(LONGEST_PAUSE);
            (trouble.failed, trouble.next) = (now, now + pause);
        }
    }

    /// A request ended without showing whether the trouble is over.
    pub(super) fn undecided(&mut self, now: Instant) {
        if let Some(trouble) = &mut self.trouble {
            trouble.next = trouble.next.min(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How many of `wanting` requests go within this time, if each fails at once.
    fn go(pace: &mut Pace, mut now: Instant, within: Duration, fail: bool) -> u32 {
        let (end, mut gone) = (now + within, 0);
        while now < end {
            match pace.ask(now) {
                Ok(()) => {
                    gone += 1;
                    if fail {
                        pace.failed(now, now);
                    }
                }
                Err(next) => {
                    assert!(next > now, "a wait that ends at once is a hot loop");
                    now = next;
                }
            }
        }
        gone
    }

    #[test]
    fn a_burst_and_then_an_even_pace() {
        let now = Instant::now();
        let mut pace = Pace::new(SECOND, 5, now);
        assert_eq!(go(&mut pace, now, Duration::from_millis(500), false), 5);
        assert_eq!(go(&mut pace, now + SECOND, SECOND * 60, false), 60);
        let rested = now + SECOND * 600;
        assert_eq!(go(&mut pace, rested, Duration::from_millis(500), false), 5);
    }

    #[test]
    fn failures_leave_few_requests_however_many_want_to_go() {
        let now = Instant::now();
        let mut pace = Pace::new(SECOND / 5, 10, now);
        let first_minute = go(&mut pace, now, SECOND * 60, true);
        assert!((3..=7).contains(&first_minute), "{first_minute}");
        let ten_minutes = go(&mut pace, now + SECOND * 120, SECOND * 600, true);
        assert!((8..=20).contains(&ten_minutes), "{ten_minutes}");
        pace.worked();
        assert!(pace.ask(now + SECOND * 720).is_ok());
    }

    #[test]
    fn failures_of_requests_that_were_under_way_together_are_one() {
        let now = Instant::now();
        let mut pace = Pace::new(SECOND / 5, 10, now);
        for _ in 0..4 {
            pace.failed(now, now + SECOND);
        }
        assert!(pace.ask(now + SECOND * 4).is_ok(), "the first pause, with its jitter");
        pace.undecided(now + SECOND * 4);
        assert!(pace.ask(now + SECOND * 4).is_ok(), "it showed nothing, so another may");
        assert!(pace.ask(now + SECOND * 4).is_err(), "one at a time");
        assert!(pace.ask(now + SECOND * 4 + SILENCE).is_ok(), "it was never heard of again");
    }
}
