//! Pods that must never be touched, however often their image fails.

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams};
use libtest_mimic::Trial;
use pullfuse_rig::{NODE, Options};
use serde_json::{Value, json};

use crate::support::{AgentOptions, Node, Waiting, missing_pod, phase, scenario};

pub fn trials() -> Vec<Trial> {
    vec![
        bystander("restart_policy_always", "always", || json!({ "restartPolicy": "Always" })),
        bystander("kube_system", "kube-system", || json!({})),
        bystander(
            "node_critical",
            "critical",
            || json!({ "priorityClassName": "system-node-critical" }),
        ),
        scenario("bystanders::a_deleted_pod", a_deleted_pod),
        scenario("bystanders::a_static_pod", a_static_pod),
        scenario("bystanders::dry_run_touches_nothing", dry_run_touches_nothing),
    ]
}

/// Waits until the kubelet has tried once more than the limit, then looks who wrote to the pod.
async fn is_left_alone(node: &Node, namespace: &str, pod: &str) -> anyhow::Result<()> {
    for attempt in 1..=3 {
        let what = format!("attempt {attempt} failed");
        node.wait_pod(namespace, pod, &what, |pod| pod.waits_for("ErrImagePull")).await?;
        node.wait_pod(namespace, pod, "it backs off", |p| p.waits_for("ImagePullBackOff")).await?;
    }
    assert_eq!(node.writes_to(namespace, pod)?.len(), 0, "{namespace}/{pod} was written to");
    assert_eq!(phase(&node.pods(namespace).get(pod).await?), "Pending");
    Ok(())
}

fn bystander(name: &'static str, namespace: &'static str, spec: fn() -> Value) -> Trial {
    scenario(&format!("bystanders::{name}"), move || async move {
        let node = Node::core().await?;
        node.rig.namespace(namespace).await?;
        node.rig.apply(&missing_pod(namespace, name.replace('_', "-").as_str(), spec())).await?;
        is_left_alone(&node, namespace, &name.replace('_', "-")).await
    })
}

/// A finalizer keeps the pod, and the kubelet has stopped trying.
async fn a_deleted_pod() -> anyhow::Result<()> {
    let node = Node::core().await?;
    node.rig.namespace("deleted").await?;
    let mut pod: Value = serde_json::from_str(&missing_pod("deleted", "p", json!({})))?;
    pod["metadata"]["finalizers"] = json!(["example.com/keep"]);
    node.rig.apply(&pod.to_string()).await?;
    node.wait_pod("deleted", "p", "it failed once", |pod| pod.waits_for("ErrImagePull")).await?;
    let pods = node.pods("deleted");
    pods.delete("p", &DeleteParams::default()).await?;
    // A pod made later has its verdict: by then this one's would have come as well.
    node.rig.apply(&missing_pod("deleted", "later", json!({}))).await?;
    node.wait_pod("deleted", "later", "it is Failed", |pod| phase(pod) == "Failed").await?;
    assert_eq!(node.writes_to("deleted", "p")?.len(), 0, "a deleted pod was written to");
    let free = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    pods.patch("p", &PatchParams::default(), &free).await?;
    Ok(())
}

async fn a_static_pod() -> anyhow::Result<()> {
    let manifests = "/var/lib/static-pods";
    let options = Options {
        kubelet_config: json!({ "staticPodPath": manifests, "fileCheckFrequency": "2s" }),
        ..Options::default()
    };
    let node = Node::start(options, Some(AgentOptions::two_attempts())).await?;
    let folder = node.rig.host_path(manifests);
    std::fs::create_dir_all(&folder)?;
    let pod = missing_pod("default", "static", json!({}));
    std::fs::write(folder.join("static.json"), pod)?;
    let mirror = format!("static-{NODE}");
    let exists = |pod: Option<&Pod>| pod.is_some();
    let pod = node.rig.wait_for("default", &mirror, crate::support::LONG, "it exists", exists);
    let pod = pod.await?.context("no mirror pod")?;
    let annotations = pod.metadata.annotations.context("no annotations")?;
    assert!(annotations.contains_key("kubernetes.io/config.mirror"));
    is_left_alone(&node, "default", &mirror).await
}

async fn dry_run_touches_nothing() -> anyhow::Result<()> {
    let node = Node::one_attempt().await?;
    let mut agent = AgentOptions::two_attempts().beside("dry-run", 9461);
    agent.config = format!("mode = \"dry-run\"\n{}", agent.config);
    agent.account = "dry-run".into();
    let mut rights = std::fs::read_to_string(crate::deploy::shipped("rbac.yaml"))?;
    rights = rights.replace("name: pullfuse\n", "name: dry-run\n");
    rights = rights.replace("  name: dry-run\n---", "  name: dry-run\n  namespace: pullfuse\n---");
    node.rig.apply(&rights).await?;
    node.start_agent(&agent).await?;
    node.rig.namespace("dry").await?;
    node.rig.apply(&missing_pod("dry", "p", json!({}))).await?;
    node.until_logged(&agent, &["verdict", "\"enforce\":false", "dry"]).await?;
    // Asking who one is and what one may do are requests to create, too.
    let asked = |entry: &Value| {
        let resource = entry["objectRef"]["resource"].as_str().unwrap_or_default();
        resource.starts_with("selfsubject")
    };
    let wrote = |entry: &Value| {
        entry["user"]["username"] == "system:serviceaccount:pullfuse:dry-run" && !asked(entry)
    };
    assert!(!node.rig.audit()?.iter().any(wrote), "a dry run wrote");
    assert!(node.metric(&agent, "pullfuse_verdicts_total{outcome=\"dry_run\"}").await? >= 1.0);
    node.rig.kill(&agent.name, pullfuse_rig::Signal::TERM).await
}
