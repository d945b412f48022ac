//! The image and the manifests as they ship, run by the kubelet.

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::{apps::v1::DaemonSet, core::v1::Pod};
use kube::{ResourceExt, api::ListParams};
use libtest_mimic::Trial;
use pullfuse_rig::NODE;
use serde_json::json;

use crate::{
    deploy,
    leftovers::Before,
    plugin::plugin,
    support::{LONG, Node, Waiting, condition, missing_pod, phase, scenario, until, verdict},
    tools::kubectl,
};

/// Pods that fail while the agent is replaced; so few that their registry does not seem to be out of order.
const PODS: [&str; 3] = ["a", "b", "c"];

pub fn trials() -> Vec<Trial> {
    vec![scenario("daemonset::the_shipped_image_and_manifests_do_the_job", does_the_job)]
}

async fn does_the_job() -> anyhow::Result<()> {
    let (node, _turn) = Node::bare().await?;
    node.rig.apply(&missing_pod("default", "probe", json!({}))).await?;
    let before = Before::now(&node.rig)?;
    let manifests = deploy::manifests(&node.rig, 2, "5s")?;
    node.rig.apply(&manifests).await?;
    node.agents().ship("limits = { max_attempts = 2, min_elapsed = \"5s\" }");
    until_ready(&node).await?;
    node.until_policies_hold().await?;
    node.rig.namespace("ds").await?;
    for pod in PODS {
        node.rig.apply(&missing_pod("ds", pod, json!({}))).await?;
    }
    for pod in PODS {
        node.wait_pod("ds", pod, "it failed once", |pod| pod.waits_for("ErrImagePull")).await?;
    }

    // From inside the container, with two capabilities, it hears the calls themselves. Its log goes
    // when it does.
    let heard = ["attached as", "\"source\":\"wire\""];
    let hears = async || {
        let log = logs(&node)?;
        Ok(heard.iter().all(|words| log.contains(words)).then_some(()))
    };
    until(hears).await.with_context(|| logs(&node).unwrap_or_default())?;

    // An update while they fail: the new agent goes on from the ledger on the node.
    let old = agent(&node).await?;
    let next = manifests.replace("pullfuse:test", "pullfuse:next");
    assert!(next != manifests, "the image is the same");
    node.rig.apply(&next).await?;
    let gone = |pod: Option<&Pod>| pod.is_none();
    node.rig.wait_for::<Pod>("pullfuse", &old.name_any(), LONG, "it is gone", gone).await?;
    until_ready(&node).await?;
    let new = agent(&node).await?;
    let statuses = new.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let started = statuses
        .filter_map(|status| status.state.as_ref()?.running.as_ref()?.started_at.clone())
        .next()
        .context("an agent that never started")?;

    for pod in PODS {
        let ended = node.wait_pod("ds", pod, "it is Failed", |pod| phase(pod) == "Failed").await?;
        assert!(condition(&ended, "pullfuse.io/ImagePullFailed").is_some());
        let verdict = verdict(&ended);
        // One that may have been made between the two agents is waited for.
        assert!(matches!(verdict["attempts"].as_u64(), Some(2 | 3)), "{verdict}");
        let first: Timestamp = serde_json::from_value(verdict["firstAttempt"].clone())?;
        assert!(first < started.0, "the count began anew: {verdict}");
    }
    for pod in PODS {
        let told = node.until_told("ds", pod, "ImagePullFailed").await?;
        let verdict = verdict(&node.pods("ds").get(pod).await?);
        let attempts = format!("{} failed attempts", verdict["attempts"]);
        assert!(told.note.unwrap_or_default().contains(&attempts), "not {attempts}");
        assert_eq!(node.told("ds", pod).await?.len(), 1, "told more than once");
        assert!(node.ended_once("ds", pod).await?, "one verdict, written once");
    }

    // And whoever asks for the agents sees it.
    let (code, out, errors) = plugin(&node, &node.rig.kubeconfig(), &["agents"])?;
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("1 of 1 nodes have a ready agent") && out.contains(NODE), "{out}");

    // Removed, it leaves the pods that it ended and its folder on the node.
    kubectl(&node.rig, &["delete", "-f", "-"], &next)?;
    before.until_left(&node.rig, "ds", &[]).await?;
    for pod in PODS {
        assert_eq!(phase(&node.pods("ds").get(pod).await?), "Failed", "{pod}");
    }
    assert!(node.rig.host_path("/var/lib/pullfuse/ledger.redb").exists(), "the docs say it stays");
    Ok(())
}

/// What the agents wrote, as the kubelet keeps it.
pub fn logs(node: &Node) -> anyhow::Result<String> {
    let mut all = String::new();
    for pod in std::fs::read_dir(node.rig.host_path("/var/log/pods"))? {
        let folder = pod?.path().join("pullfuse");
        for file in std::fs::read_dir(folder).into_iter().flatten() {
            // The kubelet may remove one just now.
            all.push_str(&std::fs::read_to_string(file?.path()).unwrap_or_default());
        }
    }
    Ok(all)
}

/// The agent's pod.
pub async fn agent(node: &Node) -> anyhow::Result<Pod> {
    let labelled = ListParams::default().labels("app.kubernetes.io/name=pullfuse");
    let mut agents = node.pods("pullfuse").list(&labelled).await?.items;
    let agent = agents.pop().context("no agent")?;
    assert!(agents.is_empty(), "more than one agent");
    Ok(agent)
}

/// The DaemonSet's newest pod is ready, so `/readyz` answered 200 through the kubelet's probe.
pub async fn until_ready(node: &Node) -> anyhow::Result<()> {
    let ready = |set: Option<&DaemonSet>| {
        let Some((set, status)) = set.and_then(|set| Some((set, set.status.as_ref()?))) else {
            return false;
        };
        status.observed_generation == set.metadata.generation
            && status.updated_number_scheduled == Some(1)
            && (status.number_ready, status.desired_number_scheduled) == (1, 1)
    };
    let what = format!("ready on {NODE}");
    node.rig.wait_for("pullfuse", "pullfuse", LONG, &what, ready).await.map(drop)
}
