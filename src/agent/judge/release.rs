//! Ends a hold by hand, for an operator who knows more.
//!
//! What is released is only the hold: an outage, a cap, that a pod is only to be reported, or that
//! its verdict was given up. Limits, protected pods and a dry run hold as before, the evidence is
//! looked at anew before the write, and no pod that was ended is brought back.

use super::{Judge, tell};
use crate::{
    act::VerdictStage,
    events::Note,
    fuse::{Judgement, Released},
    journal::{Change, Kind},
    local::{Hold, NotReleased, v1},
    pods::{LONGEST_NAME, PodFacts},
    text::plain,
};

impl Judge {
    pub(super) async fn release(&mut self, hold: &Hold, uid: u32) -> Result<String, NotReleased> {
        match hold {
            Hold::Registry(registry) => self.release_registry(registry, uid).await,
            Hold::Pod(namespace, name) => {
                let missing =
                    || NotReleased::NoSuchPod(plain(&format!("{namespace}/{name}"), LONGEST_NAME));
                let pod = self.find_pod(namespace, name).ok_or_else(missing)?;
                self.release_pod(&pod, uid).await
            }
        }
    }

    async fn release_registry(&mut self, registry: &str, uid: u32) -> Result<String, NotReleased> {
        let settings = std::sync::Arc::clone(&self.settings);
        let step = self.fuse.release_registry(registry, uid, &settings, self.now());
        let Some(step) = step else {
            let troubled: Vec<_> = self.fuse.breaker().troubled().map(|(name, _)| name).collect();
            let held = match troubled[..] {
                [] => "no registry's are held".to_owned(),
                _ => format!("those of {} are", troubled.join(", ")),
            };
            let registry = plain(registry, LONGEST_NAME);
            let text = format!("no verdicts are held for registry {registry}; {held}");
            return Err(NotReleased::NotHeld(text));
        };
        // The Event and the log name the user.
        self.absorb(vec![step]).await;
        Ok(format!("the breaker of registry {registry} is closed: its pods are judged as always"))
    }

    async fn release_pod(&mut self, pod: &PodFacts, uid: u32) -> Result<String, NotReleased> {
        let now = self.now();
        let released = Released { uid, at: now };
        let name = pod.full_name();
        let given_up = self.verdicts.get(&pod.uid).is_some_and(|verdict| {
            verdict.stage == VerdictStage::GivenUp && !self.under_way.contains(&pod.uid)
        });
        let from = if given_up {
            "the verdict was given up".to_owned()
        } else {
            self.holds(pod).ok_or_else(|| {
                let outlook = self.pod_outlook(pod);
                NotReleased::NotHeld(format!(
                    "nothing that can be released holds pod {name}: {outlook}"
                ))
            })?
        };
        self.tell_released(pod, released, &from);
        self.fuse.release(&pod.uid, released);
        if given_up && let Some(record) = self.verdicts.get_mut(&pod.uid) {
            record.stage = VerdictStage::Decided;
            record.released = Some(released);
            record.writes = 0;
            let record = record.clone();
            self.store(record).await;
        } else {
            self.judge(pod).await;
        }
        Ok(format!("pod {name} is released: {}", self.pod_outlook(pod)))
    }

    /// What holds the verdict of a pod that has none under way.
    fn holds(&mut self, pod: &PodFacts) -> Option<String> {
        let meant = |stage| stage != VerdictStage::DryRun;
        if self.verdicts.get(&pod.uid).is_some_and(|verdict| meant(verdict.stage)) {
            return None;
        }
        let settings = std::sync::Arc::clone(&self.settings);
        let opinions = self.fuse.judge(pod, &settings, self.now());
        opinions.into_iter().filter(|opinion| !opinion.ruling.dry_run).find_map(|opinion| {
            match opinion.judgement {
                Judgement::Held(held) => Some(held.to_string()),
                Judgement::Report(because) => {
                    Some(format!("reported only: {}", because.sentence()))
                }
                Judgement::Fail | Judgement::Wait(_) | Judgement::Leave(_) => None,
            }
        })
    }

    fn pod_outlook(&mut self, pod: &PodFacts) -> String {
        let wanted = v1::GetPodRequest { namespace: pod.namespace.clone(), name: pod.name.clone() };
        self.pod(&wanted).map(|pod| pod.outlook).unwrap_or_default()
    }

    fn tell_released(&mut self, pod: &PodFacts, released: Released, from: &str) {
        let Released { uid, at } = released;
        let text = format!(
            "User {uid} of this node released the pod ({from}): it is ended unless something else \
             speaks for it."
        );
        tracing::warn!(pod = pod.full_name(), uid, from, "released by hand");
        self.note(Change::of_pod(at, Kind::Released, pod, &text));
        self.tell(Note {
            subject: tell::subject(pod),
            warning: false,
            reason: "Released",
            action: "JudgePod",
            text,
            key: format!("released-{}-{uid}", pod.uid),
            since: Some(at),
        });
    }
}
