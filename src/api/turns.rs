//! Bounds what the agent asks of an API server, however much there is to do: a few turns at the same
//! time, an even pace, and while turns fail one at a time with growing pauses.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit},
    time::{Instant, sleep_until},
};

use super::pace::Pace;

/// A burst of pods is worked off soon, and no API server sees a storm from its nodes.
const AT_ONCE: usize = 4;
const EVERY: Duration = Duration::from_millis(200);
const BURST: u32 = 10;

/// Turns to make a few calls.
#[derive(Debug)]
pub struct Turns {
    at_once: Semaphore,
    pace: Mutex<Pace>,
    /// The pace may allow more than before.
    changed: Notify,
}

/// A turn; dropped without a word it has shown nothing of the API server.
#[must_use = "a turn that is dropped lets the next one go"]
pub struct Turn<'a> {
    turns: &'a Turns,
    began: Instant,
    said: bool,
    _permit: Option<SemaphorePermit<'a>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            at_once: Semaphore::new(AT_ONCE),
            pace: Mutex::new(Pace::new(EVERY, BURST, Instant::now())),
            changed: Notify::new(),
        }
    }
}

impl Turns {
    /// Waits for a turn.
    pub async fn take(&self) -> Turn<'_> {
        // Closed never: it lives as long as this.
        let permit = self.at_once.acquire().await.ok();
        loop {
            let changed = self.changed.notified();
            let now = Instant::now();
            // Not in the match: the lock would be held while waiting.
            let asked = self.pace.lock().ask(now);
            match asked {
                Ok(()) => {
                    return Turn { turns: self, began: now, said: false, _permit: permit };
                }
                Err(next) => tokio::select! {
                    () = sleep_until(next) => {}
                    () = changed => {}
                },
            }
        }
    }

    /// Nothing is left to do, so nothing is known of the next time.
    pub fn idle(&self) {
        self.pace.lock().worked();
    }
}

impl Turn<'_> {
    /// Its calls went well.
    pub fn worked(mut self) {
        self.turns.pace.lock().worked();
        self.said = true;
        self.turns.changed.notify_waiters();
    }

    /// A call failed.
    pub fn failed(mut self) {
        self.turns.pace.lock().failed(self.began, Instant::now());
        self.said = true;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.said {
            self.turns.pace.lock().undecided(Instant::now());
            self.turns.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    /// Thirty who try until it works; each try counts, and works once `well` is not 0.
    async fn thirty(turns: &Arc<Turns>, tries: &Arc<AtomicUsize>, well: &Arc<AtomicUsize>) {
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..30 {
            let (turns, tries, well) = (Arc::clone(turns), Arc::clone(tries), Arc::clone(well));
            all.spawn(async move {
                loop {
                    let turn = turns.take().await;
                    tries.fetch_add(1, Ordering::Relaxed);
                    if well.load(Ordering::Relaxed) != 0 {
                        return turn.worked();
                    }
                    turn.failed();
                }
            });
        }
        all.join_all().await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_in_trouble_is_asked_seldom_and_then_by_all() {
        let (turns, tries, well) = <(Arc<Turns>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let outage = Duration::from_secs(600);
        let working = tokio::time::timeout(outage, thirty(&turns, &tries, &well)).await;
        assert!(working.is_err(), "nothing works");
        let in_ten_minutes = tries.swap(0, Ordering::Relaxed);
        assert!((10..40).contains(&in_ten_minutes), "{in_ten_minutes}");
        well.store(1, Ordering::Relaxed);
        let minutes = tokio::time::timeout(Duration::from_secs(120), thirty(&turns, &tries, &well));
        minutes.await.expect("all of them soon after the trouble");
        assert_eq!(tries.load(Ordering::Relaxed), 30);
    }
}
