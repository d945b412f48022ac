use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use tokio::sync::watch;

use crate::{
    metrics::{Series, table},
    text,
};

/// The agent's loop turns at least every few seconds; after this long it is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(60);
/// Longest text of a part, in bytes.
const TEXT_LIMIT: usize = 2048;

/// How a part of the agent is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It has not worked yet; the agent is not ready until it has.
    Starting(String),
    /// It works.
    Good(String),
    /// It worked or is not needed for the rest; the text says what is lost.
    Degraded(String),
}

impl Condition {
    /// Whatever comes from elsewhere goes to people on one line.
    fn plain(self) -> Self {
        let plain = |text: String| text::plain(&text, TEXT_LIMIT);
        match self {
            Self::Starting(text) => Self::Starting(plain(text)),
            Self::Good(text) => Self::Good(plain(text)),
            Self::Degraded(text) => Self::Degraded(plain(text)),
        }
    }
}

/// The health of all parts; clones share one state.
#[derive(Debug, Clone)]
pub struct Health {
    state: Arc<Mutex<State>>,
    degraded: Series<Gauge>,
    ready: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    parts: BTreeMap<&'static str, Condition>,
    last_turn: Instant,
}

impl Health {
    /// Health of the given parts, none of which has worked yet.
    pub fn new(registry: &mut Registry, parts: &[&'static str]) -> Self {
        let degraded = table::DEGRADED.series(registry, Gauge::default);
        let parts =
            parts.iter().map(|part| (*part, Condition::Starting("has not begun".into()))).collect();
        let state = State { parts, last_turn: Instant::now() };
        let ready = watch::Sender::new(false);
        Self { state: Arc::new(Mutex::new(state)), degraded, ready }
    }

    /// Notes how a part is doing, and logs it when that is news.
    pub fn set(&self, part: &'static str, condition: Condition) {
        let condition = condition.plain();
        let mut state = self.state.lock();
        // A part that has worked before and fails now leaves the agent ready.
        let condition = match (state.parts.get(part), condition) {
            (Some(Condition::Good(_) | Condition::Degraded(_)), Condition::Starting(why)) => {
                Condition::Degraded(why)
            }
            (_, condition) => condition,
        };
        if state.parts.get(part) == Some(&condition) {
            return;
        }
        match &condition {
            Condition::Good(what) => tracing::info!(part, "{what}"),
            Condition::Starting(why) | Condition::Degraded(why) => tracing::warn!(part, "{why}"),
        }
        let bad = !matches!(condition, Condition::Good(_));
        self.degraded.with([part]).set(bad.into());
        state.parts.insert(part, condition);
        let ready = is_ready(&state);
        self.ready.send_if_modified(|before| std::mem::replace(before, ready) != ready);
    }

    /// Notes that the agent's loop turned.
    pub fn turned(&self) {
        self.state.lock().last_turn = Instant::now();
    }

    /// Whether the agent's loop turns.
    pub fn alive(&self) -> bool {
        self.state.lock().last_turn.elapsed() < STUCK_AFTER
    }

    /// Whether every part has worked.
    pub fn ready(&self) -> bool {
        is_ready(&self.state.lock())
    }

    /// Tells when [`Health::ready`] changes.
    pub fn readiness(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Each part and how it is doing.
    pub fn parts(&self) -> Vec<(&'static str, Condition)> {
        let state = self.state.lock();
        state.parts.iter().map(|(part, condition)| (*part, condition.clone())).collect()
    }

    /// A line per part.
    pub fn report(&self) -> String {
        let mut report = String::new();
        for (part, condition) in &self.state.lock().parts {
            let (word, text) = match condition {
                Condition::Starting(text) => ("not ready", text),
                Condition::Good(text) => ("ok", text),
                Condition::Degraded(text) => ("degraded", text),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(report, "{part}: {word}: {text}");
        }
        report
    }
}

fn is_ready(state: &State) -> bool {
    !state.parts.values().any(|c| matches!(c, Condition::Starting(_)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixtures::{hostile, is_fit};

    proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_part_is_one_line_whatever_it_says(text in hostile()) {
            let health = health();
            health.set("pods", Condition::Degraded(text.clone()));
            health.set("runtime", Condition::Starting(text));
            let report = health.report();
            prop_assert_eq!(report.lines().count(), 2);
            prop_assert!(report.lines().all(|line| is_fit(line) && line.len() < 2100), "{}", report);
        }
    }

    fn health() -> Health {
        Health::new(&mut Registry::default(), &["pods", "runtime"])
    }

    #[test]
    fn ready_once_every_part_has_worked_and_still_when_one_fails_later() {
        let health = health();
        let readiness = health.readiness();
        assert!(!health.ready());
        health.set("pods", Condition::Good("5 pods".into()));
        health.set("runtime", Condition::Starting("no socket".into()));
        assert!(!health.ready());
        assert_eq!(health.report(), "pods: ok: 5 pods\nruntime: not ready: no socket\n");
        health.set("runtime", Condition::Good("containerd".into()));
        assert!(health.ready());
        assert!(readiness.has_changed().unwrap() && *readiness.borrow());
        health.set("pods", Condition::Starting("API server away".into()));
        assert!(health.ready());
        assert!(health.report().contains("pods: degraded: API server away"));
    }
}
