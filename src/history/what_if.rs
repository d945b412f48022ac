use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Attempt, End, Episode, History};
use crate::classify::{Class, Disposition};

/// Other limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// Counted attempts before a pod is ended.
    pub max_attempts: u32,
    /// Least time since the first of them.
    pub min_elapsed: SignedDuration,
    /// Only attempts of this cause count; otherwise those of permanent and ambiguous causes.
    pub class: Option<Class>,
}

/// What other limits would have done to the episodes that are known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// Episodes with at least one attempt that counts.
    pub episodes: u32,
    /// Of these, pods that would have been ended.
    pub would_fail: u32,
    /// Of these, images that were pulled later: each would have been a pod ended by mistake.
    pub recovered: u32,
    /// Of those that would have been ended, pods that were deleted later.
    pub deleted: u32,
    /// Of those that would have been ended, pods that pullfuse did end.
    pub failed: u32,
    /// Of those that would have been ended, pods that still wait.
    pub still_stuck: u32,
    /// From when they would have been ended until they were deleted, ended, or now; without those
    /// that recovered.
    pub waiting_saved: SignedDuration,
    /// By cause of the last attempt before the verdict: would have been ended, and recovered later.
    pub by_class: BTreeMap<Class, (u32, u32)>,
    /// The pods that would have been ended by mistake, and when: `namespace/name` and image.
    pub regrets: Vec<(String, String, Timestamp)>,
}

impl Question {
    fn counts(&self, class: Class) -> bool {
        match self.class {
            Some(only) => class == only,
            None => {
                matches!(class.disposition(), Disposition::Permanent | Disposition::Ambiguous)
            }
        }
    }

    /// When the limits would have been reached, and by which cause.
    fn verdict(&self, episode: &Episode, now: Timestamp) -> Option<Attempt> {
        let counted = || episode.attempts.iter().filter(|attempt| self.counts(attempt.class));
        let nth = usize::try_from(self.max_attempts).ok()?.checked_sub(1)?;
        let reached = *counted().nth(nth)?;
        let elapsed = counted().next()?.at.checked_add(self.min_elapsed).ok()?;
        let at = reached.at.max(elapsed);
        let until = episode.ended.map_or(now, |(ended, _)| ended);
        (at <= until).then_some(Attempt { at, class: reached.class })
    }
}

impl History {
    /// What other limits would have done to the episodes that ended and those that go on.
    pub fn what_if<'a>(
        &'a self,
        going_on: impl Iterator<Item = &'a Episode>,
        question: &Question,
        now: Timestamp,
    ) -> Answer {
        let mut answer = Answer::default();
        for episode in self.iter().chain(going_on) {
            if !episode.attempts.iter().any(|attempt| question.counts(attempt.class)) {
                continue;
            }
            answer.episodes += 1;
            let Some(verdict) = question.verdict(episode, now) else { continue };
            answer.would_fail += 1;
            let by_class = answer.by_class.entry(verdict.class).or_default();
            by_class.0 += 1;
            let until = match episode.ended {
                Some((_, End::Recovered)) => {
                    answer.recovered += 1;
                    by_class.1 += 1;
                    let pod = format!("{}/{}", episode.namespace, episode.pod);
                    answer.regrets.push((pod, episode.key.image.clone(), verdict.at));
                    continue;
                }
                Some((at, End::Deleted)) => {
                    answer.deleted += 1;
                    at
                }
                Some((at, End::Failed)) => {
                    answer.failed += 1;
                    at
                }
                None => {
                    answer.still_stuck += 1;
                    now
                }
            };
            let waited = until.duration_since(verdict.at);
            answer.waiting_saved = answer.waiting_saved.saturating_add(waited);
        }
        answer
    }
}
