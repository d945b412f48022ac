//! The runtime and the kubelet in trouble, in the middle of pulls and verdicts.

use std::fs;

use anyhow::Context;
use libtest_mimic::Trial;
use pullfuse_rig::{
    CONTAINERD_SOCKET, FINE_IMAGE, Options, Signal,
    fake_registry::{Answer, FakeRegistry},
};
use serde_json::{Value, json};

use crate::{
    support::{AgentOptions, LONG, Node, Tried, missing_pod, phase, rounds, scenario, until},
    wire::{Calls, ours, until_equal},
};

const NAMESPACE: &str = "runtime";
/// Calls that ended without an answer.
const CUT: &str = "pullfuse_pull_calls_total{result=\"transport\"}";
/// Port of the registry that never answers, and a repository there.
const HANGS: u16 = 5001;
const HANGING: &str = "team/app";
/// A round of this is worth several of another fault: it waits for the kubelet's back-off.
const MOST_ROUNDS: usize = 5;

pub(super) fn trials() -> Vec<Trial> {
    vec![scenario("faults::runtime_and_kubelet", runtime_and_kubelet)]
}

/// Who is away for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Away {
    Containerd,
    Socket,
    Kubelet,
    Both,
}

impl Away {
    /// Whether there is time for it in `make test`; the others hold no surprise beside it.
    fn in_make_test(self) -> bool {
        matches!(self, Self::Containerd | Self::Both)
    }
}

const ALL: [(Away, &str); 4] = [
    (Away::Containerd, "containerd killed during pulls"),
    (Away::Socket, "CRI socket removed, and made anew"),
    (Away::Kubelet, "kubelet killed during pulls"),
    (Away::Both, "containerd and kubelet killed during pulls"),
];

async fn runtime_and_kubelet() -> anyhow::Result<()> {
    // A pull that hangs must not keep the others waiting.
    let kubelet_config = json!({ "registryPullQPS": 0, "serializeImagePulls": false });
    let node = Node::start(Options { kubelet_config, ..Options::default() }, None).await?;
    // The verdict falls well after the second attempt, and before the kubelet says that it cannot even
    // look for the image.
    let mut agent = AgentOptions::attempts(2, "25s").listening();
    agent.config.push_str("[act]\nverify_for = \"5s\"\n");
    node.start_agent(&agent).await?;
    let registry = FakeRegistry::serve(node.rig.listen(HANGS)?)?;
    registry.set_default(Answer::Hang);
    node.rig.namespace(NAMESPACE).await?;
    node.rig.apply(&missing_pod(NAMESPACE, "fine", image(FINE_IMAGE))).await?;
    node.wait_pod(NAMESPACE, "fine", "it runs", |pod| phase(pod) == "Running").await?;

    let hangs = registry.image(&format!("{HANGING}:1"));
    let mut node = Shaken { node, agent, registry, hangs, before: Calls::default() };
    let rounds = rounds(1).min(MOST_ROUNDS);
    let everything = rounds > 1;
    for (away, text) in ALL.into_iter().filter(|(away, _)| everything || away.in_make_test()) {
        let mut tried = Tried { fault: text.into(), rounds, ..Tried::default() };
        for round in 0..rounds {
            tried.wrong +=
                node.round(away, &format!("due-{away:?}-{round}").to_lowercase()).await?;
        }
        tried.note()?;
    }
    Ok(())
}

fn image(image: &str) -> Value {
    json!({ "containers": [{ "name": "c", "image": image }] })
}

struct Shaken {
    node: Node,
    agent: AgentOptions,
    registry: FakeRegistry,
    /// An image whose pull goes on until the runtime has waited for half a minute.
    hangs: String,
    /// What the agent heard of kubelets that are no more, to be taken away.
    before: Calls,
}

impl Shaken {
    /// One absence, while a verdict on this pod is due; returns verdicts that were wrong. It fails
    /// when agent and kubelet do not count the same calls.
    async fn round(&mut self, away: Away, due: &str) -> anyhow::Result<usize> {
        let (lasting, hangs) = (format!("lasting-{due}"), format!("hangs-{due}"));
        let mut pod: Value = serde_json::from_str(&missing_pod(NAMESPACE, &lasting, json!({})))?;
        pod["metadata"]["annotations"] = json!({ "pullfuse.io/max-attempts": "100" });
        let Self { node, agent, .. } = &*self;
        let before = self.registry.requests(HANGING).total;
        node.rig.apply(&pod.to_string()).await?;
        node.rig.apply(&missing_pod(NAMESPACE, due, json!({}))).await?;
        let name = format!("\"pod\":\"{due}\"");
        node.until_logged(agent, &["attempt failed", &name, "\"attempts\":1"]).await?;
        node.rig.apply(&missing_pod(NAMESPACE, &hangs, image(&self.hangs))).await?;
        let asked = self.registry.wait_for(HANGING, |counts| counts.total > before);
        tokio::time::timeout(LONG, asked).await.context("the pull that hangs never began")?;
        node.until_logged(agent, &["attempt failed", &name, "\"attempts\":2"]).await?;
        let broken = node.metric(agent, CUT).await?;

        self.leave(away).await?;
        let mut wrong = 0;
        if matches!(away, Away::Containerd | Away::Both) {
            // The verdict falls while the runtime cannot be asked whether the image has arrived. Without
            // its socket it can, over the connection that is there.
            let node = &self.node;
            node.until_logged(&self.agent, &["a verdict is held back", &name, "runtime"]).await?;
            wrong += usize::from(phase(&node.pods(NAMESPACE).get(due).await?) != "Pending");
            wrong += node.writes_to(NAMESPACE, due)?.len();
        }
        if away != Away::Socket {
            // The pull that was cut got no answer.
            let cut = async || {
                let cut = self.node.metric(&self.agent, CUT).await?;
                Ok((cut > broken).then_some(()))
            };
            until(cut).await.context("no pull was cut")?;
        }
        self.come_back(away).await?;

        let Self { node, agent, before, .. } = &*self;
        node.wait_pod(NAMESPACE, due, "it is Failed", |pod| phase(pod) == "Failed").await?;
        node.until_logged(agent, &["verdict ended", "held", &name]).await?;
        wrong += usize::from(!node.ended_once(NAMESPACE, due).await?);
        let told = node.told(NAMESPACE, due).await?;
        wrong += usize::from(told.len() != 1);
        for (pod, as_it_was) in [("fine", "Running"), (&hangs, "Pending"), (&lasting, "Pending")] {
            let phase = phase(&node.pods(NAMESPACE).get(pod).await?).to_owned();
            wrong += usize::from(phase != as_it_was);
        }
        // The new socket, or the new kubelet's connections, are heard.
        until_equal(node, agent, *before, 1.0).await?;
        for pod in [&hangs, &lasting] {
            node.pods(NAMESPACE).delete(pod, &Default::default()).await?;
        }
        Ok(wrong)
    }

    async fn leave(&mut self, away: Away) -> anyhow::Result<()> {
        let rig = &self.node.rig;
        match away {
            Away::Socket => fs::remove_file(rig.host_path(CONTAINERD_SOCKET))?,
            Away::Containerd => self.kill("containerd").await?,
            Away::Kubelet => self.kill("kubelet").await?,
            Away::Both => {
                self.kill("kubelet").await?;
                self.kill("containerd").await?;
            }
        }
        Ok(())
    }

    async fn kill(&self, program: &str) -> anyhow::Result<()> {
        self.node.rig.kill(program, Signal::KILL).await?;
        self.node.rig.wait_exit(program).await.map(drop)
    }

    async fn come_back(&mut self, away: Away) -> anyhow::Result<()> {
        if away != Away::Kubelet {
            self.node.rig.restart("containerd").await?;
        }
        if matches!(away, Away::Kubelet | Away::Both) {
            self.node.until_metric(&self.agent, "pullfuse_pulls_in_flight", 0.0).await?;
            // A new kubelet counts from nothing.
            let heard = ours(&self.node, &self.agent).await?;
            self.before = Calls { all: -heard.all, failed: -heard.failed };
            self.node.rig.restart("kubelet").await?;
        }
        self.node.rig.wait_ready().await
    }
}
