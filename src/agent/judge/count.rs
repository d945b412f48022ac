//! Counts, and keeps what was counted.

use std::sync::Arc;

use jiff::Timestamp;

use super::{CLOCK, Done, Judge};
use crate::{
    act::VerdictStage,
    attempts::{Call, PullKey, Source, Tally},
    classify::Cause,
    fuse::Step,
    history::{End, Episode},
    journal::{Change, Kind},
    ledger::{Batch, LedgerError},
    pods::PodUid,
    serve::Condition,
};

impl Judge {
    pub(super) async fn count_call(&mut self, call: Call) {
        let steps = self.fuse.observe_call(call, &self.settings, self.now());
        self.absorb(steps).await;
    }

    /// Stores, logs and counts. It is stored before anything is done about it.
    pub(super) async fn absorb(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Counted(key, cause) => self.counted(key, &cause),
                Step::Moved(key) => {
                    self.keep(&key);
                    self.note_cause(&key);
                }
                Step::Reset(key, tally) => {
                    self.parts.metrics.reset();
                    self.parts.metrics.fails_no_more(&key);
                    tracing::info!(
                        namespace = tally.namespace,
                        pod = tally.pod,
                        image = key.image,
                        after_attempts = tally.attempts,
                        "image pulled: the count starts again"
                    );
                    // The call itself was noted, and tells how long it took.
                    if tally.source == Source::PodStatus {
                        self.sources.came(&key.image, None, self.now());
                        self.sources_saved.0 = false;
                    }
                    self.end_episode(&key, &tally, Some(End::Recovered));
                }
                Step::Forgotten(key, tally) => {
                    self.parts.metrics.fails_no_more(&key);
                    self.end_episode(&key, &tally, None);
                }
                Step::Breaker(transition) => self.breaker_changed(&transition),
            }
        }
        self.keep_remembered();
        self.save().await;
    }

    fn counted(&mut self, key: PullKey, cause: &Cause) {
        self.keep(&key);
        let Some(tally) = self.fuse.attempts().get(&key).cloned() else { return };
        self.note_attempt(&key, cause, &tally);
        self.parts.metrics.attempt(&key, &tally, cause, self.now());
        if tally.source == Source::PodStatus
            && let Some(told) = self.parts.clock.instant(tally.last_attempt)
        {
            self.parts.pulls.told(&key, told);
        }
        tracing::info!(
            namespace = tally.namespace,
            pod = tally.pod,
            image = key.image,
            attempts = tally.attempts,
            class = cause.class.as_str(),
            disposition = cause.disposition.as_str(),
            host = cause.host,
            reason = tally.trouble.reason,
            source = tally.source.as_str(),
            error = tally.trouble.message,
            "attempt failed"
        );
        if tally.attempts == 1 && self.settings.config.act.check_image {
            self.ask_for_image(key);
        }
    }

    fn keep(&mut self, key: &PullKey) {
        let tally = self.fuse.attempts().get(key).cloned();
        self.unsaved.tallies.insert(key.clone(), tally);
    }

    /// An image came, or its pod went: what became of it is remembered.
    fn end_episode(&mut self, key: &PullKey, tally: &Tally, end: Option<End>) {
        self.keep(key);
        self.waiting.remove(key);
        self.held.remove(key);
        self.reported.remove(key);
        self.told_causes.remove(key);
        let now = self.now();
        let verdict = self.verdicts.get(&key.pod_uid);
        let dry_run = verdict.filter(|v| v.key == *key && v.stage == VerdictStage::DryRun);
        // For whichever of its images.
        let ended_by_us = verdict.is_some_and(|verdict| {
            matches!(verdict.stage, VerdictStage::Written | VerdictStage::Held)
        });
        let end = end.unwrap_or(if ended_by_us { End::Failed } else { End::Deleted });
        let dry_run = dry_run.map(|verdict| verdict.decided_at);
        let (kind, text) = match end {
            End::Recovered => (Kind::Pulled, "the image came"),
            End::Deleted => (Kind::Gone, "the pod is gone"),
            End::Failed => (Kind::Gone, "the pod that was ended is gone"),
        };
        self.note(Change::of_image(now, kind, key, tally, text));
        let episode = Episode { dry_run, ended: Some((now, end)), ..Episode::of(key, tally) };
        if dry_run.is_some() {
            self.parts.metrics.dry_run_ended(end);
            tracing::info!(
                namespace = tally.namespace,
                pod = tally.pod,
                image = key.image,
                end = end.as_str(),
                "what became of a pod that a dry run would have ended"
            );
            self.verdicts.remove(&key.pod_uid);
            self.unsaved.verdicts.insert(key.pod_uid.clone(), None);
        }
        let number = self.history.push(episode);
        self.unsaved.episodes.insert(number, self.history.get(number).cloned());
    }

    pub(super) fn trim_history(&mut self, now: Timestamp) {
        let settings = &self.settings.config.history;
        for number in self.history.trim(settings.most(), settings.keep, now) {
            self.unsaved.episodes.insert(number, None);
        }
        for number in self.journal.trim(now) {
            self.unsaved.changes.insert(number, None);
        }
    }

    pub(super) async fn save(&mut self) {
        if self.parts.ledger.began_anew() {
            tracing::warn!("the ledger was damaged or is gone: everything is stored anew");
            self.keep_all();
        }
        if self.unsaved.is_empty() {
            return;
        }
        let read = self.unsaved.set_state(CLOCK, &self.parts.clock.reading());
        self.note_save(read);
        let batch = self.unsaved.clone();
        let saved = Arc::clone(&self.parts.ledger).commit_off_thread(batch).await;
        if saved.is_ok() {
            self.unsaved = Batch::default();
            if std::mem::take(&mut self.save_failed) {
                self.parts.health.set("ledger", Condition::Good("open".into()));
                // Verdicts wait for this.
                self.judge_all = true;
            }
        }
        self.note_save(saved);
    }

    /// Nothing of what is known is stored any more, or all of it is dated anew.
    pub(super) fn keep_all(&mut self) {
        let tallies = self.fuse.attempts().iter();
        self.unsaved.tallies.extend(tallies.map(|(key, tally)| (key.clone(), Some(tally.clone()))));
        let verdicts = self.verdicts.iter();
        self.unsaved.verdicts.extend(verdicts.map(|(uid, v)| (uid.clone(), Some(v.clone()))));
        let episodes = self.history.numbered();
        self.unsaved.episodes.extend(episodes.map(|(number, e)| (number, Some(e.clone()))));
        let changes = self.journal.since(Timestamp::MIN);
        self.unsaved.changes.extend(changes.map(|(number, c)| (number, Some(c.clone()))));
        self.sources_saved.0 = false;
        self.keep_all_remembered();
    }

    pub(super) fn note_save(&mut self, saved: Result<(), LedgerError>) {
        if let Err(error) = saved {
            self.save_failed = true;
            self.parts.metrics.ledger_error();
            let text = format!(
                "counts are kept in memory and stored later, and no verdict is carried out before \
                 that: {error}"
            );
            self.parts.health.set("ledger", Condition::Degraded(text));
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

    /// Drops all that is known of the pods for which `keep` is false.
    pub(super) async fn forget(&mut self, keep: impl Fn(&PodUid) -> bool) {
        let steps = self.fuse.retain(&keep);
        self.absorb(steps).await;
        self.told_annotations.retain(|uid, _| keep(uid));
        self.parts.events.retain(&keep);
        // Also of images that came in the end, whose tallies are gone already.
        self.parts.pulls.retain(&keep);
        let gone: Vec<_> = self
            .verdicts
            .extract_if(.., |uid, _| !keep(uid) && !self.under_way.contains(uid))
            .collect();
        self.unsaved.verdicts.extend(gone.into_iter().map(|(uid, _)| (uid, None)));
        self.save().await;
    }
}
