//! The agent's loop: pods change, attempts are counted and stored, and verdicts begin.

mod answer;
mod clock;
mod count;
mod early;
mod failing;
mod holdup;
mod note;
mod origins;
mod pods;
mod release;
mod remembered;
mod tell;
mod verdicts;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{Stream, StreamExt};
use jiff::Timestamp;
use tokio::{
    sync::{broadcast, mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use self::early::Early;
use super::{listen::Ended, metrics::Metrics};
use crate::{
    act::{Actor, Outcome, VerdictRecord},
    attempts::{Call, Came, PullKey, Tally},
    classify::Class,
    clock::{Clock, Reading},
    events::Events,
    fuse::{Fuse, Held, Step},
    history::History,
    journal::{Change, Journal, Kind},
    ledger::{Batch, Kept, Ledger},
    local::{Numbered, Question},
    pods::{PodEvent, PodFacts, PodUid, Pods},
    policy::breaker::Breaker,
    pulls::Pulls,
    runtime::Runtime,
    serve::Health,
    settings::Settings,
    sources::Sources,
};

/// The loop turns at least this often, so that a stuck one can be told from an idle one.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);
/// A watch that fails is tried again at least this often (kube's default back-off ends at 30 s, with
/// jitter), so one that has been quiet for longer works.
const QUIET: Duration = Duration::from_secs(90);

/// They change with every pull, and nothing depends on them.
const KEEP_SOURCES_EVERY: Duration = Duration::from_secs(60);

/// The name under which the ledger keeps what is only told to whoever asks.
const SOURCES: &str = "sources";
/// How the clock stood by which all of it is dated.
const CLOCK: &str = "clock";

/// What the judge works with.
pub(super) struct Parts {
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    /// Where the actor looks for outages.
    pub(super) breaker: watch::Sender<Breaker>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) kept: Kept,
    pub(super) pods: Pods,
    pub(super) actor: Arc<Actor>,
    pub(super) runtime: Runtime,
    pub(super) pulls: Pulls,
    pub(super) clock: Clock,
    pub(super) events: Events,
    pub(super) health: Health,
    pub(super) metrics: Metrics,
    /// Whoever watches hears of every change.
    pub(super) watchers: broadcast::Sender<Numbered>,
}

/// What the judge hears beside the watch of pods.
pub(super) struct Inputs {
    pub(super) calls: mpsc::Receiver<Ended>,
    pub(super) questions: mpsc::Receiver<Question>,
}

/// The loop's state.
pub(super) struct Judge {
    parts: Parts,
    /// The configuration in effect.
    settings: Arc<Settings>,
    fuse: Fuse,
    history: History,
    journal: Journal,
    sources: Sources,
    /// Whether the ledger has the sources as they are, and when it got them.
    sources_saved: (bool, Instant),
    /// Which images came, as it was last handed over to the ledger.
    came_handed: Came,
    /// The cause that people were last told of.
    told_causes: BTreeMap<PullKey, Class>,
    verdicts: BTreeMap<PodUid, VerdictRecord>,
    /// Verdicts that an actor carries out now.
    under_way: HashSet<PodUid>,
    /// Tallies whose count is reached and whose time is not.
    waiting: BTreeMap<PullKey, Timestamp>,
    /// Verdicts that wait for an outage to end, or for room under a cap.
    held: BTreeMap<PullKey, Held>,
    /// Images of which it was told that their limits are reached, and nothing more.
    reported: HashSet<PullKey>,
    /// Bad annotations that were told, by pod; empty of a pod that has none.
    told_annotations: BTreeMap<PodUid, String>,
    /// Whether every pod must be judged again: an outage began or ended, or the configuration
    /// changed.
    judge_all: bool,
    /// Changes that the ledger does not have yet.
    unsaved: Batch,
    /// Whether the last write to the ledger failed.
    save_failed: bool,
    /// Calls for pods that the watch has not shown yet.
    early: Early,
    /// The pull that people were last told holds up the node, by pod and start.
    told_of: Option<(PodUid, u64)>,
    /// A sentence about the pull that holds up the node now.
    holdup: Option<String>,
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
        let mut kept = std::mem::take(&mut parts.kept);
        let fuse = remembered::fuse(&mut kept);
        let reading: Option<Reading> = kept.state(CLOCK);
        parts.breaker.send_replace(fuse.breaker().clone());
        let settings = Arc::clone(&parts.settings.borrow_and_update());
        let moved = reading.and_then(|reading| parts.clock.moved_since(&reading));
        for (key, tally) in fuse.attempts().iter() {
            parts.metrics.fails(key, tally);
        }
        let told = |(key, tally): (&PullKey, &Tally)| (key.clone(), tally.cause().class);
        let mut judge = Self {
            journal: Journal::new(std::mem::take(&mut kept.changes)),
            sources: kept.state(SOURCES),
            sources_saved: (true, Instant::now()),
            came_handed: fuse.attempts().came().clone(),
            told_causes: fuse.attempts().iter().map(told).collect(),
            holdup: None,
            parts,
            settings,
            fuse,
            history: History::new(kept.episodes),
            verdicts: kept.verdicts,
            under_way: HashSet::new(),
            waiting: BTreeMap::new(),
            held: BTreeMap::new(),
            reported: HashSet::new(),
            told_annotations: BTreeMap::new(),
            judge_all: false,
            unsaved: Batch::default(),
            save_failed: false,
            early: Early::default(),
            told_of: None,
            tasks: JoinSet::new(),
        };
        if let Some(by) = moved {
            judge.clock_was_set(by);
        }
        let now = judge.now();
        judge.sources.begin(now);
        let text = format!("pullfuse {} starts", env!("CARGO_PKG_VERSION"));
        judge.note(Change::of_node(now, Kind::Started, &text));
        judge
    }

    /// Runs until `stop`, then stores what is not stored yet.
    pub(super) async fn run(
        mut self,
        events: impl Stream<Item = PodEvent>,
        mut inputs: Inputs,
        stop: CancellationToken,
    ) {
        let mut events = pin!(events);
        let mut settings = self.parts.settings.clone();
        let mut looked = Instant::now();
        loop {
            self.parts.health.turned();
            // Also when pods change all the time.
            let rest = LONGEST_SLEEP.saturating_sub(looked.elapsed());
            let sleep = self.until_due(self.now()).min(rest);
            tokio::select! {
                Some(event) = events.next() => self.on_event(event).await,
                Some(ended) = inputs.calls.recv() => self.on_ended(ended).await,
                Some(question) = inputs.questions.recv() => self.answer(question).await,
                Ok(()) = settings.changed() => {
                    let new = Arc::clone(&settings.borrow_and_update());
                    self.on_settings(new).await;
                }
                Some(done) = self.tasks.join_next() => match done {
                    Ok(done) => self.on_done(done).await,
                    Err(error) => tracing::error!(%error, "a task of the agent broke: a bug"),
                },
                () = tokio::time::sleep(sleep) => {
                    looked = Instant::now();
                    self.on_time().await;
                }
                () = stop.cancelled() => break,
            }
            self.follow_clock();
            self.judge_all_if_due().await;
            self.count_what_waits();
        }
        self.keep_sources(Duration::ZERO);
        self.save().await;
    }

    fn until_due(&self, now: Timestamp) -> Duration {
        let tick = self.fuse.next_tick(&self.settings);
        let due = tick.into_iter().chain(self.waiting.values().copied()).min();
        let until =
            |due: Timestamp| Duration::try_from(due.duration_since(now)).unwrap_or_default();
        due.map_or(Duration::MAX, until)
    }

    /// A call on the CRI socket ended.
    async fn on_ended(&mut self, (exchange, heard): Ended) {
        let Some(call) = Call::of(exchange, self.parts.clock.at(heard)) else { return };
        self.note_success(&call);
        let Some(pod) = self.parts.pods.get(&call.key.pod_uid) else {
            return self.early.keep(call);
        };
        self.count_call(call).await;
        self.judge(&pod).await;
    }

    /// Counts what was heard of a pod before it was seen. Before what its status shows, which is later.
    pub(super) async fn take_early(&mut self, uid: &PodUid) {
        for call in self.early.take(uid) {
            self.count_call(call).await;
        }
    }

    async fn on_time(&mut self) {
        // A watch that goes on after a failure says nothing until a pod changes.
        if self.parts.pods.quiet_for(QUIET) && self.parts.health.ready() {
            self.watch_works();
        }
        let now = self.now();
        let steps = self.fuse.tick(&self.settings, now);
        let due = self.waiting.extract_if(.., |_, until| *until <= now).map(|(key, _)| key.pod_uid);
        let counted = steps.iter().filter_map(|step| match step {
            Step::Counted(key, _) => Some(key.pod_uid.clone()),
            _ => None,
        });
        let due: BTreeSet<PodUid> = due.chain(counted).collect();
        self.absorb(steps).await;
        let due = due.iter().filter_map(|uid| self.parts.pods.get(uid)).collect();
        self.judge_in_order(due).await;
        self.look_for_holdup();
        self.tell_rest();
        self.trim_history(now);
        self.parts.metrics.sweep(now);
        self.keep_sources(KEEP_SOURCES_EVERY);
        self.save().await;
    }

    /// Another configuration is in effect.
    async fn on_settings(&mut self, settings: Arc<Settings>) {
        self.settings = settings;
        self.parts.metrics.configure(&self.settings.config.metrics, self.now());
        // Its rules may see other causes.
        let steps = self.fuse.look_again(&self.settings, self.now());
        self.absorb(steps).await;
        self.reported.clear();
        self.judge_all = true;
        let text = "a new configuration is in effect";
        self.note(Change::of_node(self.now(), Kind::Config, text));
    }

    async fn judge_all_if_due(&mut self) {
        if std::mem::take(&mut self.judge_all) {
            self.judge_in_order(self.parts.pods.all()).await;
        }
    }

    async fn judge_in_order(&mut self, mut pods: Vec<PodFacts>) {
        pods.sort_by_cached_key(|pod| self.fuse.failing_since(&pod.uid));
        for pod in pods {
            self.judge(&pod).await;
        }
    }
}
