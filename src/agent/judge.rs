//! The agent's loop: pods change, attempts are counted and stored, and verdicts begin.

use std::{
    collections::{BTreeMap, HashSet},
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{Stream, StreamExt};
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use crate::{
    act::{self, Actor, Outcome, VerdictRecord, VerdictStage},
    api::ApiError,
    attempts::{
        Attempts, Change, PullKey,
        ledger::{Batch, Kept, Ledger},
    },
    config::{Config, Mode},
    pods::{PodEvent, PodFacts, PodUid, Pods},
    policy::{self, Decision},
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
    pub(super) ledger: Arc<Ledger>,
    pub(super) kept: Kept,
    pub(super) pods: Pods,
    pub(super) actor: Arc<Actor>,
    pub(super) runtime: Runtime,
    pub(super) health: Health,
    pub(super) metrics: Metrics,
    pub(super) act_metrics: act::Metrics,
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
    tasks: JoinSet<Done>,
}

/// What a task of the judge came to.
enum Done {
    Verdict(PodUid, Outcome),
    Presence(PullKey, Option<bool>),
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
            tasks: JoinSet::new(),
        }
    }

    /// Runs until `stop`, then stores what is not stored yet.
    pub(super) async fn run(
        mut self,
        events: impl Stream<Item = PodEvent>,
        stop: CancellationToken,
    ) {
        let mut events = pin!(events);
        loop {
            self.parts.health.turned();
            let sleep = self.until_next_turn(Timestamp::now());
            tokio::select! {
                Some(event) = events.next() => self.on_event(event).await,
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
                self.parts.pods.insert(pod.clone());
                let changes = self.attempts.observe(&pod, Timestamp::now());
                self.absorb(changes).await;
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
            self.judge(pod).await;
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
        self.save().await;
    }

    async fn on_done(&mut self, done: Done) {
        match done {
            Done::Presence(key, present) => {
                let change = present.and_then(|p| self.attempts.set_image_was_present(&key, p));
                self.absorb(change.into_iter().collect()).await;
            }
            Done::Verdict(uid, outcome) => {
                self.under_way.remove(&uid);
                let stage = match outcome {
                    Outcome::Held => VerdictStage::Held,
                    Outcome::GivenUp => VerdictStage::GivenUp,
                    Outcome::Gone | Outcome::Withdrawn(_) | Outcome::ImageArrived => {
                        self.verdicts.remove(&uid);
                        self.unsaved.verdicts.insert(uid, None);
                        return self.save().await;
                    }
                };
                self.set_stage(&uid, stage);
                self.save().await;
            }
        }
    }

    fn set_stage(&mut self, uid: &PodUid, stage: VerdictStage) {
        if let Some(record) = self.verdicts.get_mut(uid) {
            record.stage = stage;
            self.unsaved.verdicts.insert(uid.clone(), Some(record.clone()));
        }
    }

    /// Drops all that is known of the pods for which `keep` is false.
    async fn forget(&mut self, keep: impl Fn(&PodUid) -> bool) {
        let gone: Vec<_> = self
            .verdicts
            .extract_if(.., |uid, _| !keep(uid) && !self.under_way.contains(uid))
            .collect();
        self.unsaved.verdicts.extend(gone.into_iter().map(|(uid, _)| (uid, None)));
        let changes = self.attempts.retain(keep);
        self.absorb(changes).await;
    }

    /// Stores, logs and counts changes. They are stored before anything is done about them.
    async fn absorb(&mut self, changes: Vec<Change>) {
        for change in changes {
            let key = change.key();
            let tally = self.attempts.get(key);
            self.unsaved.tallies.insert(key.clone(), tally.cloned());
            match (&change, tally) {
                (Change::Counted(_), Some(tally)) => {
                    self.parts.metrics.attempt(&tally.trouble.reason);
                    tracing::info!(
                        namespace = tally.namespace,
                        pod = tally.pod,
                        image = key.image,
                        attempts = tally.attempts,
                        reason = tally.trouble.reason,
                        source = "pod-status",
                        error = tally.trouble.message,
                        "attempt failed"
                    );
                    if tally.attempts == 1 && self.parts.config.act.check_image {
                        self.ask_for_image(key.clone());
                    }
                }
                (Change::Reset(_, attempts), _) => {
                    self.parts.metrics.reset();
                    self.waiting.remove(key);
                    tracing::info!(
                        pod_uid = key.pod_uid,
                        image = key.image,
                        after_attempts = attempts,
                        "image pulled: the count starts again"
                    );
                }
                (Change::Forgotten(_), _) => {
                    self.waiting.remove(key);
                }
                (Change::Moved(_) | Change::Counted(_), _) => {}
            }
        }
        self.parts.metrics.failing_images(self.attempts.iter().count());
        self.save().await;
    }

    async fn save(&mut self) {
        if self.unsaved.is_empty() {
            return;
        }
        let batch = self.unsaved.clone();
        match Arc::clone(&self.parts.ledger).commit_off_thread(batch).await {
            Ok(()) => {
                self.unsaved = Batch::default();
                if std::mem::take(&mut self.save_failed) {
                    self.parts.health.set("ledger", Condition::Good("open".into()));
                }
            }
            Err(error) => {
                self.save_failed = true;
                self.parts.metrics.ledger_error();
                let text = format!("counts are kept in memory only and stored later: {error}");
                self.parts.health.set("ledger", Condition::Degraded(text));
            }
        }
    }

    /// Whether the node already had an image tells later whether it has arrived.
    fn ask_for_image(&mut self, key: PullKey) {
        let runtime = self.parts.runtime.clone();
        self.tasks.spawn(async move {
            let present = runtime.has_image(&key.image).await.ok();
            Done::Presence(key, present)
        });
    }

    /// Begins, or takes up again, what is due for one pod.
    async fn judge(&mut self, pod: &PodFacts) {
        if self.under_way.contains(&pod.uid) {
            return;
        }
        if let Some(record) = self.verdicts.get(&pod.uid) {
            let take_up = match record.stage {
                VerdictStage::Decided | VerdictStage::Written => true,
                VerdictStage::Held => pod.phase != "Failed",
                VerdictStage::DryRun | VerdictStage::GivenUp => false,
            };
            if take_up {
                let mut record = record.clone();
                if record.stage == VerdictStage::Held {
                    record.stage = VerdictStage::Written;
                }
                self.carry_out(record);
            }
            return;
        }
        let now = Timestamp::now();
        let config = Arc::clone(&self.parts.config);
        for image in pod.images.keys() {
            let key = PullKey { pod_uid: pod.uid.clone(), image: image.clone() };
            let Some(tally) = self.attempts.get(&key) else { continue };
            match policy::decide(pod, image, tally, &config.limits, now) {
                Decision::Fail => {
                    let record = VerdictRecord::new(key, tally.clone(), now, config.act.method);
                    return self.begin(record, pod).await;
                }
                Decision::Wait(until) => {
                    self.waiting.insert(key, until);
                }
                Decision::Leave(because) => {
                    tracing::debug!(
                        pod = pod.full_name(),
                        image,
                        attempts = tally.attempts,
                        because = because.as_str(),
                        "left alone"
                    );
                    self.waiting.remove(&key);
                }
            }
        }
    }

    async fn begin(&mut self, mut record: VerdictRecord, pod: &PodFacts) {
        let enforce = self.parts.config.mode == Mode::Enforce;
        if !enforce {
            record.stage = VerdictStage::DryRun;
            self.parts.act_metrics.verdict("dry_run");
        }
        tracing::info!(
            pod = pod.full_name(),
            uid = pod.uid,
            image = record.key.image,
            attempts = record.tally.attempts,
            enforce,
            "verdict: {}",
            record.text()
        );
        self.verdicts.insert(pod.uid.clone(), record.clone());
        self.unsaved.verdicts.insert(pod.uid.clone(), Some(record.clone()));
        self.save().await;
        if enforce {
            self.carry_out(record);
        }
    }

    fn carry_out(&mut self, record: VerdictRecord) {
        let uid = record.key.pod_uid.clone();
        self.under_way.insert(uid.clone());
        let actor = Arc::clone(&self.parts.actor);
        self.tasks.spawn(async move { Done::Verdict(uid, actor.carry_out(record).await) });
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
