//! The image and the manifests as they ship, run by the kubelet.

use std::process::Command;

use anyhow::{Context, ensure};
use k8s_openapi::api::{apps::v1::DaemonSet, core::v1::Pod};
use kube::api::{DeleteParams, ListParams};
use libtest_mimic::Trial;
use pullfuse_rig::{NODE, Options, port};
use serde_json::json;

use crate::support::{LONG, Node, Waiting, condition, missing_pod, phase, scenario, shipped};

pub fn trials() -> Vec<Trial> {
    vec![scenario("daemonset::the_shipped_image_and_manifests_do_the_job", does_the_job)]
}

fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}

/// `kubectl kustomize` of the shipped base with the rig's image and a small limit.
fn manifests(node: &Node) -> anyhow::Result<String> {
    let overlay = tempfile::tempdir()?;
    let base = overlay.path().join("daemonset");
    run(Command::new("cp").arg("-r").arg(shipped("")).arg(&base))?;
    let config = std::fs::read_to_string(base.join("config.toml"))?;
    let config = config.replace("max_attempts = 5", "max_attempts = 2");
    std::fs::write(base.join("config.toml"), config.replace("\"1m\"", "\"5s\""))?;
    let kustomization = "resources: [daemonset]\nimages:\n  - name: pullfuse\n    \
                         newName: 127.0.0.1:5000/pullfuse\n    newTag: test\n";
    std::fs::write(overlay.path().join("kustomization.yaml"), kustomization)?;
    let kubectl = node.rig.parts().join("bin/kubectl");
    run(Command::new(kubectl).arg("kustomize").arg(overlay.path()))
}

async fn does_the_job() -> anyhow::Result<()> {
    let node = Node::start_bare(Options::default()).await?;
    let registry = node.rig.host_address(port::REGISTRY).await?;
    let destination = format!("docker://{registry}/pullfuse:test");
    let script = shipped("image.sh");
    let built = tokio::task::spawn_blocking(move || {
        run(Command::new(script).arg(destination).current_dir(env!("CARGO_MANIFEST_DIR")))
    });
    built.await??;
    node.rig.apply(&manifests(&node)?).await?;
    until_ready(&node).await?;
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
    Ok(())
}

/// The DaemonSet's pod is ready, so `/readyz` answered 200 through the kubelet's probe.
async fn until_ready(node: &Node) -> anyhow::Result<()> {
    let ready = |set: Option<&DaemonSet>| {
        let status = set.and_then(|set| set.status.as_ref());
        status.is_some_and(|s| s.number_ready == 1 && s.desired_number_scheduled == 1)
    };
    let what = format!("ready on {NODE}");
    node.rig.wait_for("pullfuse", "pullfuse", LONG, &what, ready).await.map(drop)
}
