//! The image and the manifests as they ship, run by the kubelet.

use anyhow::Context;
use k8s_openapi::api::{apps::v1::DaemonSet, core::v1::Pod};
use kube::api::{DeleteParams, ListParams};
use libtest_mimic::Trial;
use pullfuse_rig::{NODE, Options};
use serde_json::json;

use crate::{
    deploy,
    plugin::plugin,
    support::{LONG, Node, Waiting, condition, missing_pod, phase, scenario},
};

pub fn trials() -> Vec<Trial> {
    vec![scenario("daemonset::the_shipped_image_and_manifests_do_the_job", does_the_job)]
}

async fn does_the_job() -> anyhow::Result<()> {
    let node = Node::start_bare(Options::default()).await?;
    deploy::push_image(&node.rig).await?;
    node.rig.apply(&deploy::manifests(&node.rig, 2, "5s")?).await?;
    node.agents().ship("limits = { max_attempts = 2, min_elapsed = \"5s\" }");
    until_ready(&node).await?;
    node.until_policies_hold().await?;
    node.rig.namespace("ds").await?;
    node.rig.apply(&missing_pod("ds", "p", json!({}))).await?;
    node.wait_pod("ds", "p", "it failed once", |pod| pod.waits_for("ErrImagePull")).await?;

    // The kubelet replaces the agent; the new one goes on from the ledger on the node.
    let agents = node.pods("pullfuse");
    let old = agents.list(&ListParams::default()).await?.items;
    let [old] = &old[..] else { panic!("one agent, not {}", old.len()) };
    let name = old.metadata.name.as_deref().context("a pod without a name")?;
    agents.delete(name, &DeleteParams::default()).await?;
    node.rig.wait_for::<Pod>("pullfuse", name, LONG, "it is gone", |pod| pod.is_none()).await?;
    until_ready(&node).await?;

    let pod = node.wait_pod("ds", "p", "it is Failed", |pod| phase(pod) == "Failed").await?;
    assert!(condition(&pod, "pullfuse.io/ImagePullFailed").is_some());
    let message = pod.status.and_then(|s| s.message).unwrap_or_default();
    assert!(message.contains("2 failed attempts"), "{message}");

    // From inside the container, with two capabilities, it heard the calls themselves.
    let log = logs(&node)?;
    assert!(log.contains("attached as"), "{log}");
    assert!(log.contains("\"source\":\"wire\""), "{log}");

    // And whoever asks for the agents sees it.
    let (code, out, errors) = plugin(&node, &node.rig.kubeconfig(), &["agents"])?;
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("1 of 1 nodes have a ready agent") && out.contains(NODE), "{out}");
    Ok(())
}

/// What the agents wrote, as the kubelet keeps it.
pub fn logs(node: &Node) -> anyhow::Result<String> {
    let mut all = String::new();
    for pod in std::fs::read_dir(node.rig.host_path("/var/log/pods"))? {
        let folder = pod?.path().join("pullfuse");
        for file in std::fs::read_dir(folder).into_iter().flatten() {
            all.push_str(&std::fs::read_to_string(file?.path())?);
        }
    }
    Ok(all)
}

/// The DaemonSet's newest pod is ready, so `/readyz` answered 200 through the kubelet's probe.
pub async fn until_ready(node: &Node) -> anyhow::Result<()> {
    let ready = |set: Option<&DaemonSet>| {
        let is_ready = |set: &DaemonSet| {
            let status = set.status.as_ref()?;
            let is_new = status.observed_generation == set.metadata.generation
                && status.updated_number_scheduled == Some(1);
            Some(is_new && status.number_ready == 1 && status.desired_number_scheduled == 1)
        };
        set.and_then(is_ready).unwrap_or_default()
    };
    let what = format!("ready on {NODE}");
    node.rig.wait_for("pullfuse", "pullfuse", LONG, &what, ready).await.map(drop)
}
