//! The agent's loop: pods change, attempts are counted and stored, and verdicts begin.

mod answer;
mod count;
mod early;
mod holdup;
mod verdicts;

use std::{
    collections::{BTreeMap, HashSet},
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{Stream, StreamExt};
use jiff::Timestamp;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use self::early::Early;
use super::metrics::Metrics;
use crate::{
    act::{self, Actor, Outcome, VerdictRecord},
    api::ApiError,
    attempts::{
        Attempts, Call, PullKey,
        ledger::{Batch, Kept, Ledger},
    },
    config::Config,
    events::Events,
    local::Question,
    pods::{PodEvent, PodFacts, PodUid, Pods},
    policy::Policy,
    pulls::Pulls,
    runtime::Runtime,
    serve::{Condition, Health},
};

/// The loop turns at least this often, so that a stuck one can be told from an idle one.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);
/// A watch that fails is tried again at least this often (kube's default back-off ends at 30 s, with
/// jitter), so one that has been quiet for longer works.
const QUIET: Duration = Duration::from_secs(90);

/// What the judge works with.
pub(super) struct Parts {
    pub(super) config: Arc<Config>,
    pub(super) policy: Arc<Policy>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) kept: Kept,
    pub(super) pods: Pods,
    pub(super) actor: Arc<Actor>,
    pub(super) runtime: Runtime,
    pub(super) pulls: Pulls,
    pub(super) events: Events,
    pub(super) health: Health,
    pub(super) metrics: Metrics,
    pub(super) act_metrics: act::Metrics,
}

/// What the judge hears beside the watch of pods.
pub(super) struct Inputs {
    pub(super) calls: mpsc::Receiver<Call>,
    pub(super) questions: mpsc::Receiver<Question>,
}

/// The loop's state.
pub(super) struct Judge {
    parts: Parts,
    attempts: Attempts,
    verdicts: BTreeMap<PodUid, VerdictRecord>,
    /// Verdicts that an actor carries out now.
    under_way: HashSet<PodUid>,
    /// Tallies whose count is reached and whose time is not.
    waiting: BTreeMap<PullKey, Timestamp>,
    /// Changes that the ledger does not have yet.
    unsaved: Batch,
    /// Whether the last write to the ledger failed.
    save_failed: bool,
    /// When the watch failed last, unless it is known to work again.
    troubled_at: Option<Instant>,
    /// Calls for pods that the watch has not shown yet.
    early: Early,
    /// The pull that people were last told holds up the node, by pod and start.
    told_of: Option<(PodUid, u64)>,
    tasks: JoinSet<Done>,
}

/// What a task of the judge came to.
enum Done {
    Verdict(PodUid, Outcome),
    Presence(PullKey, Option<bool>),
    Told,
}

impl Judge {
    pub(super) fn new(mut parts: Parts) -> Self {
        let kept = std::mem::take(&mut parts.kept);
        Self {
            parts,
            attempts: Attempts::new(kept.tallies),
            verdicts: kept.verdicts,
            under_way: HashSet::new(),
            waiting: BTreeMap::new(),
            unsaved: Batch::default(),
            save_failed: false,
            troubled_at: None,
            early: Early::default(),
            told_of: None,
            tasks: JoinSet::new(),
        }
    }

    /// Runs until `stop`, then stores what is not stored yet.
    pub(super) async fn run(
        mut self,
        events: impl Stream<Item = PodEvent>,
        mut inputs: Inputs,
        stop: CancellationToken,
    ) {
        let mut events = pin!(events);
        loop {
            self.parts.health.turned();
            let sleep = self.until_next_turn(Timestamp::now());
            tokio::select! {
                Some(event) = events.next() => self.on_event(event).await,
                Some(call) = inputs.calls.recv() => self.on_call(call).await,
                Some(question) = inputs.questions.recv() => self.answer(question),
                Some(done) = self.tasks.join_next() => match done {
                    Ok(done) => self.on_done(done).await,
                    Err(error) => tracing::error!(%error, "a task of the agent broke: a bug"),
                },
                () = tokio::time::sleep(sleep) => self.on_time().await,
                () = stop.cancelled() => break,
            }
        }
        self.save().await;
    }

    fn until_next_turn(&self, now: Timestamp) -> Duration {
        let due = self.attempts.next_tick().into_iter().chain(self.waiting.values().copied()).min();
        let until =
            |due: Timestamp| Duration::try_from(due.duration_since(now)).unwrap_or_default();
        due.map_or(LONGEST_SLEEP, until).min(LONGEST_SLEEP)
    }

    async fn on_event(&mut self, event: PodEvent) {
        match event {
            PodEvent::All(pods) => self.on_all(pods).await,
            PodEvent::Changed(pod) => {
                self.watch_works();
                self.parts.pods.insert(PodFacts::clone(&pod));
                let changes = self.attempts.observe(&pod, Timestamp::now());
                self.absorb(changes).await;
                self.take_early(&pod.uid).await;
                self.judge(&pod).await;
            }
            PodEvent::Gone(uid) => {
                self.parts.pods.remove(&uid);
                self.forget(|known| *known != uid).await;
            }
            PodEvent::Trouble(error) => {
                self.troubled_at = Some(Instant::now());
                self.parts.pods.trouble();
                self.parts.metrics.watch_error();
                self.parts.health.set("pods", Condition::Starting(watch_trouble(error)));
            }
        }
    }

    fn watch_works(&mut self) {
        self.troubled_at = None;
        self.parts.health.set("pods", Condition::Good("watching the pods of this node".into()));
    }

    async fn on_all(&mut self, pods: Vec<PodFacts>) {
        self.watch_works();
        self.parts.pods.replace(pods.clone());
        let present: HashSet<&PodUid> = pods.iter().map(|pod| &pod.uid).collect();
        self.forget(|uid| present.contains(uid)).await;
        let now = Timestamp::now();
        let changes = pods.iter().flat_map(|pod| self.attempts.observe(pod, now)).collect();
        self.absorb(changes).await;
        for pod in &pods {
            self.take_early(&pod.uid).await;
            self.judge(pod).await;
        }
    }

    /// A call on the CRI socket ended.
    async fn on_call(&mut self, call: Call) {
        let Some(pod) = self.parts.pods.get(&call.key.pod_uid) else {
            return self.early.keep(call);
        };
        let changes = self.attempts.observe_call(call);
        self.absorb(changes.into_iter().collect()).await;
        self.judge(&pod).await;
    }

    /// Counts what was heard of a pod before it was seen.
    async fn take_early(&mut self, uid: &PodUid) {
        for call in self.early.take(uid) {
            let changes = self.attempts.observe_call(call);
            self.absorb(changes.into_iter().collect()).await;
        }
    }

    async fn on_time(&mut self) {
        // A watch that goes on after a failure says nothing until a pod changes.
        if self.troubled_at.is_some_and(|at| at.elapsed() > QUIET) && self.parts.health.ready() {
            self.watch_works();
        }
        let now = Timestamp::now();
        let counted = self.attempts.tick(now);
        let due = self.waiting.extract_if(.., |_, until| *until <= now).map(|(key, _)| key);
        let due: Vec<_> = due.chain(counted.iter().map(|change| change.key().clone())).collect();
        self.absorb(counted).await;
        for key in due {
            if let Some(pod) = self.parts.pods.get(&key.pod_uid) {
                self.judge(&pod).await;
            }
        }
        self.look_for_holdup();
        self.save().await;
    }
}

fn watch_trouble(error: kube::runtime::watcher::Error) -> String {
    use kube::runtime::watcher::Error;
    let why = match error {
        Error::InitialListFailed(error)
        | Error::WatchStartFailed(error)
        | Error::WatchFailed(error) => ApiError::from(error).to_string(),
        other => crate::say(&other),
    };
    format!("cannot watch the pods of this node: {why}")
}
