use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use anyhow::ensure;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use pullfuse_rig::{
    fake_registry::{Answer, FakeRegistry, StatusCode},
    images::Image,
};
use serde_json::json;

use super::NAMESPACE;
use crate::support::{Node, missing_pod, phase, verdict};

/// The registry that works, whatever becomes of single images, and one that does not always.
const STEADY: u16 = 5031;
const FLAPPING: u16 = 5032;
/// What a kubelet allows by default.
pub const PODS: usize = 110;
/// Between two pods.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the one registry stays as it is, and a pull hangs.
const FLAPS: Duration = Duration::from_secs(60);
const HANGS: Duration = Duration::from_secs(20);

/// What becomes of a pod's pull, how many of ten pods are so, and whether it may be ended for it.
const KINDS: [(&str, usize, bool); 7] = [
    ("fine", 2, false),
    ("slow", 1, false),
    ("busy", 1, false),
    ("missing", 2, true),
    ("denied", 1, true),
    // It ends in a 404.
    ("hangs", 1, true),
    // It has lost everything for a while, which is an outage only if enough pods want something.
    ("flaps", 2, true),
];

/// Pods that come and go.
pub struct Churn {
    pods: Api<Pod>,
    alive: VecDeque<(String, bool)>,
    made: usize,
    next: Instant,
    steady: FakeRegistry,
    flapping: FakeRegistry,
    fine: Image,
    begin: Instant,
    /// Pods that were ended and should not have been.
    wrong: Vec<String>,
    ended: usize,
}

impl Churn {
    pub fn start(node: &Node) -> anyhow::Result<Self> {
        let fine = Image::program("fine", &node.rig.parts().join("bin/fine"))?;
        let steady = FakeRegistry::serve(node.rig.listen(STEADY)?)?;
        steady.set("fine", Answer::Image(fine.clone()));
        steady.set("slow", Answer::SlowBlob { image: fine.clone(), bytes_per_second: 50_000 });
        steady.set("busy", Answer::ServerError(StatusCode::SERVICE_UNAVAILABLE));
        steady.set("denied", Answer::Unauthorized);
        let now = Instant::now();
        Ok(Self {
            pods: node.pods(NAMESPACE),
            alive: VecDeque::new(),
            made: 0,
            next: now,
            steady,
            flapping: FakeRegistry::serve(node.rig.listen(FLAPPING)?)?,
            fine,
            begin: now,
            wrong: Vec::new(),
            ended: 0,
        })
    }

    pub fn pods(&self) -> usize {
        self.alive.len()
    }

    /// One pod more, and the oldest goes if the node is full.
    pub async fn turn(&mut self) -> anyhow::Result<()> {
        tokio::time::sleep_until(self.next.into()).await;
        self.next = Instant::now() + PAUSE;
        self.set_registries();
        if self.alive.len() >= PODS
            && let Some((name, may_end)) = self.alive.pop_front()
        {
            let pod = self.pods.get(&name).await?;
            if phase(&pod) == "Failed" && !verdict(&pod).is_null() {
                self.ended += 1;
                self.wrong.extend((!may_end).then(|| name.clone()));
            }
            self.pods.delete(&name, &DeleteParams::default()).await?;
        }
        self.make().await
    }

    async fn make(&mut self) -> anyhow::Result<()> {
        self.made += 1;
        let place = self.made % 10;
        let mut kinds = KINDS.into_iter().flat_map(|kind| std::iter::repeat_n(kind, kind.1));
        let (kind, _, may_end) = kinds.nth(place).unwrap_or(KINDS[0]);
        let name = format!("{kind}-{}", self.made);
        // A tag of its own: what is on the node is not pulled again.
        let registry = if kind == "flaps" { &self.flapping } else { &self.steady };
        let image = registry.image(&format!("{kind}:{}", self.made));
        let spec = json!({ "containers": [{ "name": "c", "image": image }],
                           "automountServiceAccountToken": false });
        let pod = serde_json::from_str(&missing_pod(NAMESPACE, &name, spec))?;
        self.pods.create(&PostParams::default(), &pod).await?;
        self.alive.push_back((name, may_end));
        Ok(())
    }

    fn set_registries(&self) {
        let phase = self.begin.elapsed().as_secs() / FLAPS.as_secs() % 4;
        self.flapping.set_default(match phase {
            1 => Answer::ServerError(StatusCode::SERVICE_UNAVAILABLE),
            3 => Answer::NotFound,
            _ => Answer::Image(self.fine.clone()),
        });
        let lets_go = self.begin.elapsed().as_secs().is_multiple_of(HANGS.as_secs());
        self.steady.set("hangs", if lets_go { Answer::NotFound } else { Answer::Hang });
    }

    /// No pull hangs any more.
    pub fn stop(&self) {
        self.steady.set("hangs", Answer::NotFound);
    }

    /// Pods whose image exists, or only waits for its registry, were not ended.
    pub fn is_right(&self) -> anyhow::Result<()> {
        println!("{} pods were made, {} were ended", self.made, self.ended);
        ensure!(self.wrong.is_empty(), "ended by mistake: {:?}", self.wrong);
        Ok(())
    }
}
