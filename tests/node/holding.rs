//! Verdicts hold, at whatever moment of the kubelet's back-off they fall.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use libtest_mimic::Trial;
use pullfuse_rig::{Options, Signal};
use serde_json::{Value, json};

use crate::support::{AgentOptions, Node, Waiting, condition, missing_pod, phase, scenario, until};

const PODS: usize = 40;
/// The kubelet reverts within seconds; see the table in docs/how-it-decides.md.
const SETTLED: Duration = Duration::from_secs(20);

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("holding::forty_verdicts_at_random_moments_all_hold", || async {
            forty_verdicts_hold(&*Node::one_attempt().await?).await
        }),
        scenario("holding::a_plain_status_patch_is_lost_in_part", plain_patches_are_lost),
        scenario("holding::the_deadline_ends_pods_too", the_deadline_ends_pods_too),
        scenario("holding::a_reverted_verdict_falls_back_to_the_deadline", falls_back),
    ]
}

/// Pods whose first attempts are spread over 20 s.
async fn spread_pods(node: &Node, namespace: &str) -> anyhow::Result<()> {
    node.rig.namespace(namespace).await?;
    for number in 0..PODS {
        let pod = missing_pod(namespace, &format!("p{number}"), json!({}));
        node.rig.apply(&pod).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

fn names() -> impl Iterator<Item = String> {
    (0..PODS).map(|number| format!("p{number}"))
}

async fn phases(pods: &Api<Pod>) -> anyhow::Result<Vec<String>> {
    let all = pods.list(&ListParams::default()).await?.items;
    Ok(all.iter().map(|pod| phase(pod).to_owned()).collect())
}

async fn forty_verdicts_hold(node: &Node) -> anyhow::Result<()> {
    let namespace = "forty";
    spread_pods(node, namespace).await?;
    let failed = |name: String| async move {
        node.wait_pod(namespace, &name, "it is Failed", |pod| phase(pod) == "Failed").await
    };
    stream::iter(names()).map(failed).buffer_unordered(PODS).try_collect::<Vec<_>>().await?;
    tokio::time::sleep(SETTLED).await;
    let pods = node.pods(namespace);
    // What the kubelet took back for a while has none of this for a while.
    let all = async || {
        let all = pods.list(&ListParams::default()).await?.items;
        let reason = |pod: &Pod| pod.status.as_ref()?.reason.clone();
        let ended =
            |pod: &Pod| phase(pod) == "Failed" && reason(pod).as_deref() == Some("ImagePullFailed");
        Ok((all.len() == PODS && all.iter().all(ended)).then_some(all))
    };
    for pod in until(all).await.context("not all are Failed for our reason")? {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let status = pod.status.as_ref().context("a pod without a status")?;
        assert!(status.message.as_deref().is_some_and(|m| m.contains("failed attempt")), "{name}");
        assert!(condition(&pod, "pullfuse.io/ImagePullFailed").is_some(), "{name}");
    }
    // The audit log knows of reverts that were mended later, mostly by the kubelet itself two seconds
    // after. There are none but on a machine so busy that a sync takes seconds.
    let reverted = node.reverted(namespace)?;
    println!("annotated verdicts that the kubelet took back for a while: {}", reverted.len());
    assert!(reverted.len() <= PODS / 4, "the kubelet took these back for a while: {reverted:?}");
    for name in names() {
        assert!(node.ended_once(namespace, &name).await?, "{name}");
    }
    Ok(())
}

/// The comparison: the same pods, the phase written without an annotation. If this ever loses no
/// pod, kubelets have changed and the annotation may have become unnecessary.
async fn plain_patches_are_lost() -> anyhow::Result<()> {
    let node = Node::start(Options::default(), None).await?;
    let namespace = "plain";
    spread_pods(&node, namespace).await?;
    let pods = node.pods(namespace);
    let written = AtomicUsize::new(0);
    let plain = |name: String| {
        let (pods, written) = (&pods, &written);
        async move {
            let body = json!({ "status": { "phase": "Failed" } });
            let patch = Patch::Strategic(body);
            pods.patch_status(&name, &PatchParams::default(), &patch).await?;
            written.fetch_add(1, Ordering::Relaxed);
            anyhow::Ok(())
        }
    };
    let stuck = |pod: &Pod| pod.waits_for("ErrImagePull") || pod.waits_for("ImagePullBackOff");
    node.wait_pod(namespace, "p39", "it is stuck", stuck).await?;
    stream::iter(names()).map(plain).buffer_unordered(8).try_collect::<Vec<_>>().await?;
    assert_eq!(written.into_inner(), PODS);
    tokio::time::sleep(SETTLED).await;
    let lost = phases(&pods).await?.iter().filter(|phase| *phase != "Failed").count();
    println!("a plain status patch: {lost} of {PODS} pods went back to Pending");
    assert!(lost > 0, "every plain patch held");
    Ok(())
}

async fn the_deadline_ends_pods_too() -> anyhow::Result<()> {
    let agent = AgentOptions::new(
        "[limits]\nmax_attempts = 2\nmin_elapsed = \"5s\"\n[act]\nmethod = \"deadline\"\n",
    );
    let node = Node::start(Options::default(), Some(agent.clone())).await?;
    node.rig.namespace("deadline").await?;

    // Without the right nothing is ended, and the agent says what is missing.
    node.rig.apply(&missing_pod("deadline", "early", json!({}))).await?;
    node.until_logged(&agent, &["held back", "forbidden", "RBAC"]).await?;
    assert_eq!(phase(&node.pods("deadline").get("early").await?), "Pending");

    node.install_deadline_right().await?;
    let pod = node.wait_pod("deadline", "early", "it is Failed", |p| phase(p) == "Failed").await?;
    let status = pod.status.as_ref().unwrap();
    assert_eq!(status.reason.as_deref(), Some("DeadlineExceeded"));
    assert!(condition(&pod, "pullfuse.io/ImagePullFailed").is_some());
    let spec = serde_json::to_value(&pod.spec)?;
    assert_eq!(spec["activeDeadlineSeconds"], Value::from(1));
    node.until_logged(&agent, &["verdict ended", "held"]).await
}

/// The kubelet is stopped, so that its revert can be played: nothing then mends the phase but the
/// agent.
async fn falls_back() -> anyhow::Result<()> {
    let agent = AgentOptions::two_attempts();
    let node = Node::start(Options::default(), Some(agent.clone())).await?;
    node.install_deadline_right().await?;
    node.rig.namespace("reverted").await?;
    node.rig.apply(&missing_pod("reverted", "p", json!({}))).await?;
    node.wait_pod("reverted", "p", "it is Failed", |pod| phase(pod) == "Failed").await?;
    node.rig.kill("kubelet", Signal::KILL).await?;
    node.rig.wait_exit("kubelet").await?;
    let back = Patch::Strategic(json!({ "status": { "phase": "Pending" } }));
    node.pods("reverted").patch_status("p", &PatchParams::default(), &back).await?;

    let set = |pod: &Pod| pod.spec.as_ref().is_some_and(|s| s.active_deadline_seconds == Some(1));
    node.wait_pod("reverted", "p", "it has a deadline", set).await?;
    node.rig.restart("kubelet").await?;
    node.wait_pod("reverted", "p", "it is Failed", |pod| phase(pod) == "Failed").await?;
    node.until_logged(&agent, &["verdict ended", "held"]).await?;
    // It was ended twice, and one Event says so.
    node.until_told_times("reverted", "p", "ImagePullFailed", 2).await?;
    assert!(node.metric(&agent, "pullfuse_verdicts_reverted_total").await? >= 1.0);
    Ok(())
}
