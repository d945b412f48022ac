//! Counts, and keeps what was counted.

use std::sync::Arc;

use super::{Done, Judge};
use crate::{
    attempts::{Change, Judged, PullKey, ledger::Batch},
    classify::{Class, Disposition},
    pods::PodUid,
    serve::Condition,
};

/// Every cause, until errors are classified: as lasting as a missing image.
const UNCLASSIFIED: Judged = Judged { class: Class::Unknown, disposition: Disposition::Permanent };

impl Judge {
    /// Stores, logs and counts changes. They are stored before anything is done about them.
    pub(super) async fn absorb(&mut self, changes: Vec<Change>) {
        for change in changes {
            let key = change.key();
            if matches!(change, Change::Counted(_)) {
                self.attempts.set_cause(key, UNCLASSIFIED);
            }
            let tally = self.attempts.get(key);
            self.unsaved.tallies.insert(key.clone(), tally.cloned());
            match (&change, tally) {
                (Change::Counted(_), Some(tally)) => {
                    self.parts.metrics.attempt(&tally.trouble.reason, tally.source);
                    self.parts.pulls.ended(key, tally.last_attempt);
                    tracing::info!(
                        namespace = tally.namespace,
                        pod = tally.pod,
                        image = key.image,
                        attempts = tally.attempts,
                        reason = tally.trouble.reason,
                        source = tally.source.as_str(),
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
                    self.parts.pulls.forget(key);
                    self.waiting.remove(key);
                }
                (Change::Moved(_) | Change::Counted(_), _) => {}
            }
        }
        self.parts.metrics.failing_images(self.attempts.iter().count());
        self.save().await;
    }

    pub(super) async fn save(&mut self) {
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

    /// Drops all that is known of the pods for which `keep` is false.
    pub(super) async fn forget(&mut self, keep: impl Fn(&PodUid) -> bool) {
        let gone: Vec<_> = self
            .verdicts
            .extract_if(.., |uid, _| !keep(uid) && !self.under_way.contains(uid))
            .collect();
        self.unsaved.verdicts.extend(gone.into_iter().map(|(uid, _)| (uid, None)));
        let changes = self.attempts.retain(keep);
        self.absorb(changes).await;
    }
}
