//! Takes in what the watch of pods tells.

use std::{collections::HashSet, time::Instant};

use super::Judge;
use crate::{
    api::ApiError,
    pods::{PodEvent, PodFacts, PodUid},
    serve::Condition,
};

impl Judge {
    pub(super) async fn on_event(&mut self, event: PodEvent) {
        match event {
            PodEvent::All(pods) => self.on_all(pods).await,
            PodEvent::Changed(pod) => {
                self.watch_works();
                self.parts.pods.insert(PodFacts::clone(&pod));
                self.take_early(&pod.uid).await;
                let steps = self.fuse.observe(&pod, &self.settings, self.now());
                self.absorb(steps).await;
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

    pub(super) fn watch_works(&mut self) {
        self.troubled_at = None;
        self.parts.health.set("pods", Condition::Good("watching the pods of this node".into()));
    }

    async fn on_all(&mut self, pods: Vec<PodFacts>) {
        self.watch_works();
        self.parts.pods.replace(pods.clone());
        let present: HashSet<&PodUid> = pods.iter().map(|pod| &pod.uid).collect();
        self.forget(|uid| present.contains(uid)).await;
        let now = self.now();
        for pod in &pods {
            self.take_early(&pod.uid).await;
            let steps = self.fuse.observe(pod, &self.settings, now);
            self.absorb(steps).await;
            self.judge(pod).await;
        }
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
