//! Carries a verdict out: looks at the evidence once more, writes, verifies that it held, and
//! tells the pod's owner.
//!
//! In: [`VerdictRecord`]s. Out: an [`Outcome`] each. Touches the pod at the API server, the ledger
//! and, to ask for an image, the runtime.

mod api;
mod event;
mod evidence;
mod metrics;
mod outcome;
mod patch;
mod verdict;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::future::{Either, select};
use kube::Client;
use tokio::sync::watch;

use self::api::PodApi;
pub use self::{
    metrics::Metrics,
    outcome::Outcome,
    verdict::{VerdictRecord, VerdictStage, advice_and_error},
};
use crate::{
    api::{ApiError, Turns},
    clock::Clock,
    config::Method,
    events::Events,
    faultpoint::{Point, reached},
    ledger::{Batch, Ledger},
    pods::{PodFacts, Pods},
    policy::breaker::Breaker,
    pulls::Pulls,
    runtime::Runtime,
    serve::{Condition, Health},
    settings::Settings,
};

/// Type of the pod condition of a verdict, for a Job's `podFailurePolicy`.
pub const CONDITION: &str = "pullfuse.io/ImagePullFailed";
/// Annotation that holds the verdict for programs.
pub const VERDICT_ANNOTATION: &str = "pullfuse.io/verdict";
/// `status.reason` of a pod ended by pullfuse, and the reason of condition and Event.
pub const REASON: &str = "ImagePullFailed";

/// Between two looks at a verdict that is held back; jitter may double it.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Before a verdict that was taken back is written again; doubled each time.
const REWRITE_PAUSE: Duration = Duration::from_secs(10);

/// What an actor works with.
pub struct Parts {
    /// To the API server.
    pub client: Client,
    /// Tells the pods' owners.
    pub events: Events,
    /// How to act, and the policy, which is asked again before each write.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// The outages, looked at again before each write.
    pub breaker: watch::Receiver<Breaker>,
    /// Where a verdict's progress is kept.
    pub ledger: Arc<Ledger>,
    /// Asked for images.
    pub runtime: Runtime,
    /// The pods as last seen.
    pub pods: Pods,
    /// The pulls that go on now.
    pub pulls: Pulls,
    /// Told when the API server does not take verdicts.
    pub health: Health,
    /// Says how old the evidence is.
    pub clock: Clock,
    /// What verdicts came to.
    pub metrics: Metrics,
}

/// Carries verdicts out; shared by all that are under way.
pub struct Actor {
    parts: Parts,
    turns: Turns,
    /// Verdicts that are being carried out.
    under_way: AtomicUsize,
}

/// What one round of a verdict came to.
enum Round {
    Done(Outcome),
    /// It is written: watch it.
    Written,
    /// Look again at once: the pod is not as it was written.
    Again,
    /// Look again after a back-off.
    Later(String),
    /// The same, since a call to the API server failed.
    Failed(ApiError),
    /// Look again after this time.
    After(Duration, &'static str),
}

impl Actor {
    /// An actor.
    pub fn new(parts: Parts) -> Self {
        let actor = Self { parts, turns: Turns::default(), under_way: AtomicUsize::new(0) };
        actor.set_health(None);
        actor
    }

    /// Carries one verdict out, however long the API server is away. Dropping the future is safe
    /// at every point: the ledger knows how far the verdict has come.
    pub async fn carry_out(&self, mut record: VerdictRecord) -> Outcome {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let api = PodApi::new(self.parts.client.clone(), &record);
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_secs(1))
            .with_max_delay(LONGEST_PAUSE)
            .without_max_times()
            .with_jitter();
        let mut pause = pauses.build();
        let mut pause = || pause.next().unwrap_or(LONGEST_PAUSE);
        let outcome = loop {
            let round = match self.turn(&api, &mut record).await {
                Round::Written => self.verify(&api, &mut record).await,
                round => round,
            };
            let (delay, why) = match round {
                Round::Done(outcome) => break outcome,
                Round::Again | Round::Written => continue,
                Round::After(delay, why) => (delay, why.to_owned()),
                Round::Later(why) => (pause(), why),
                Round::Failed(error) => (pause(), error.to_string()),
            };
            tracing::warn!(
                pod = record.tally.pod,
                namespace = record.tally.namespace,
                retry_in_s = delay.as_secs(),
                reason = why,
                "a verdict is held back"
            );
            tokio::time::sleep(delay).await;
        };
        if self.under_way.fetch_sub(1, Ordering::Relaxed) == 1 {
            // Whatever was in the way is in nobody's way now.
            self.turns.idle();
            self.set_health(None);
        }
        tracing::info!(
            pod = record.tally.pod,
            namespace = record.tally.namespace,
            image = record.key.image,
            attempts = record.tally.attempts,
            outcome = outcome.as_str(),
            because = match outcome {
                Outcome::Withdrawn(b) => b.as_str(),
                _ => "",
            },
            "verdict ended"
        );
        outcome
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.parts.settings.borrow())
    }

    /// One round, when it is this verdict's turn.
    async fn turn(&self, api: &PodApi, record: &mut VerdictRecord) -> Round {
        let turn = self.turns.take().await;
        let writes = record.writes;
        let round = self.round(api, record).await;
        match &round {
            Round::Failed(error) => {
                self.note_failure(error);
                turn.failed();
            }
            // Reading alone shows nothing of the writes, which may still be refused.
            _ if record.writes > writes => {
                self.set_health(None);
                turn.worked();
            }
            _ => drop(turn),
        }
        round
    }

    fn note_failure(&self, error: &ApiError) {
        match error {
            // Only this pod's business.
            ApiError::Conflict => return,
            // The kubelet may have lost its connection too.
            ApiError::Unreachable(_) => self.parts.pods.trouble(),
            _ => {}
        }
        self.set_health(Some(error));
    }

    fn set_health(&self, failure: Option<&ApiError>) {
        let condition = match failure {
            None => Condition::Good("the API server takes what is due".into()),
            Some(error) => Condition::Degraded(format!("verdicts are held back: {error}")),
        };
        self.parts.health.set("verdicts", condition);
    }

    async fn round(&self, api: &PodApi, record: &mut VerdictRecord) -> Round {
        let pod = match api.read(&record.key.pod_uid).await {
            Ok(pod) => pod,
            Err(ApiError::Gone) => return Round::Done(Outcome::Gone),
            Err(error) => return Round::Failed(error),
        };
        // Also when the agent ended between the write and the ledger's commit.
        if pod.phase == "Failed" && pod.judged {
            return Round::Written;
        }
        if record.stage == VerdictStage::Written {
            tracing::warn!(pod = pod.full_name(), phase = pod.phase, "a verdict did not hold");
            self.parts.metrics.reverted();
            if !self.choose_next_way(api, record).await {
                return Round::Done(Outcome::GivenUp);
            }
            record.stage = VerdictStage::Decided;
            let pause =
                REWRITE_PAUSE * 2_u32.saturating_pow(record.writes.saturating_sub(1).min(6));
            return Round::After(pause, "the kubelet took it back");
        }
        match self.evidence(&pod, record).await {
            Some(round) => round,
            None => self.write(api, &pod, record).await,
        }
    }

    async fn write(&self, api: &PodApi, pod: &PodFacts, record: &mut VerdictRecord) -> Round {
        reached(Point::BeforeWrite);
        let written = match record.method {
            Method::Status => api.fail(record, pod).await,
            Method::Deadline => api.expire(record, pod).await,
        };
        match written {
            Ok(()) => {
                reached(Point::AfterWrite);
                record.stage = VerdictStage::Written;
                record.writes += 1;
                record.written_at = Some(self.parts.clock.now());
                self.remember(record).await;
                tracing::info!(
                    pod = pod.full_name(),
                    uid = pod.uid,
                    image = record.key.image,
                    attempts = record.tally.attempts,
                    method = record.method.as_str(),
                    error = record.tally.trouble.message,
                    "verdict written"
                );
                Round::Written
            }
            Err(ApiError::Gone) => Round::Done(Outcome::Gone),
            Err(error @ ApiError::Rejected(_)) => {
                tracing::error!(pod = pod.full_name(), %error, "a verdict is refused");
                Round::Done(Outcome::GivenUp)
            }
            // A pod that changes all the time is read no more often than an absent one.
            Err(error) => Round::Failed(error),
        }
    }

    /// Watches a written verdict.
    async fn verify(&self, api: &PodApi, record: &mut VerdictRecord) -> Round {
        record.stage = VerdictStage::Written;
        reached(Point::Verifying);
        let note = event::of(record);
        let uid = record.key.pod_uid.as_str();
        let verify_for = self.settings().config.act.verify_for.unsigned_abs();
        // An Event that cannot be written yet must not hide that the verdict did not hold.
        let telling = Box::pin(self.parts.events.tell(&note));
        let watching = Box::pin(self.parts.pods.stays_failed(uid, verify_for));
        let (held, untold) = match select(telling, watching).await {
            Either::Left(((), watching)) => (watching.await, None),
            Either::Right((held, telling)) => (held, Some(telling)),
        };
        if !held {
            return Round::Again;
        }
        // The watch may lag behind; the API server has the last word.
        let turn = self.turns.take().await;
        match api.read(uid).await {
            Ok(pod) if pod.phase == "Failed" => drop(turn),
            Ok(_) => return Round::Again,
            Err(ApiError::Gone) => return Round::Done(Outcome::Gone),
            Err(error) => {
                self.note_failure(&error);
                turn.failed();
                return Round::Failed(error);
            }
        }
        if let Some(telling) = untold {
            telling.await;
        }
        Round::Done(Outcome::Held)
    }

    /// After a write that did not hold: the deadline if the right is there, else the same again,
    /// a bounded number of times.
    async fn choose_next_way(&self, api: &PodApi, record: &mut VerdictRecord) -> bool {
        if record.writes > self.settings().config.act.max_rewrites {
            tracing::error!(
                pod = record.tally.pod,
                namespace = record.tally.namespace,
                writes = record.writes,
                "the kubelet reverts this verdict: giving up; set \
                act.method = \"deadline\" and apply its RBAC component"
            );
            return false;
        }
        if record.method == Method::Status && api.may_expire().await == Ok(true) {
            record.method = Method::Deadline;
        }
        true
    }

    async fn remember(&self, record: &VerdictRecord) {
        let mut batch = Batch::default();
        batch.verdicts.insert(record.key.pod_uid.clone(), Some(record.clone()));
        // The API server's copy, the annotation, tells as much after a restart.
        if let Err(error) = Arc::clone(&self.parts.ledger).commit_off_thread(batch).await {
            tracing::error!(%error, "a verdict could not be stored");
        }
    }
}

#[cfg(test)]
mod tests;
