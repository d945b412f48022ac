//! The CRI socket as a source: what pullfuse hears is what the kubelet itself counts.

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use libtest_mimic::Trial;
use pullfuse_rig::{
    Containerd, FINE_IMAGE, Options, Signal,
    fake_registry::{Answer, FakeRegistry},
};
use serde_json::json;

use crate::support::{AgentOptions, LONG, Node, missing_pod, phase, scenario};

/// Pods whose image does not exist.
const MISSING: usize = 10;
const NAMESPACE: &str = "wire";
/// Port of the registry that asks for a password.
const LOCKED: u16 = 5001;

pub fn trials() -> Vec<Trial> {
    [("containerd_2_4", Containerd::V2_4), ("containerd_1_6", Containerd::V1_6)]
        .map(|(name, containerd)| {
            scenario(&format!("wire::calls_equal_the_kubelets_own_count::{name}"), move || {
                calls_equal_the_kubelets_own_count(containerd)
            })
        })
        .into_iter()
        .chain([scenario("wire::a_pull_that_holds_up_the_node_is_reported", a_pull_that_hangs)])
        .collect()
}

/// Calls that ended, and those of them that failed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Calls {
    pub all: f64,
    pub failed: f64,
}

/// What the kubelet counted since it started.
async fn kubelets(node: &Node) -> anyhow::Result<Calls> {
    let text = node.rig.kubelet_metrics().await?;
    let of = |name: &str| {
        let series = format!("kubelet_runtime_operations_{name}{{operation_type=\"pull_image\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap_or(0.0)
    };
    // What did not reach the runtime nobody can hear.
    let log = node.rig.log("kubelet")?;
    let since_start = log.rsplit("\"Kubelet version\"").next().unwrap_or_default();
    let unsent = |line: &&str| {
        line.contains("PullImage from image service failed") && line.contains("Error while dialing")
    };
    let unsent = since_start.lines().filter(unsent).count() as f64;
    Ok(Calls { all: of("total") - unsent, failed: of("errors_total") - unsent })
}

/// What the agent heard since it started.
pub async fn ours(node: &Node, agent: &AgentOptions) -> anyhow::Result<Calls> {
    let mut calls = Calls::default();
    for (result, failed) in [("succeeded", 0.0), ("failed", 1.0), ("transport", 1.0)] {
        let series = format!("pullfuse_pull_calls_total{{result=\"{result}\"}}");
        let heard = node.metric(agent, &series).await?;
        calls.all += heard;
        calls.failed += heard * failed;
    }
    Ok(calls)
}

/// Waits until both have counted `least` calls and agree; `before` is what earlier runs heard.
pub async fn until_equal(
    node: &Node,
    agent: &AgentOptions,
    before: Calls,
    least: f64,
) -> anyhow::Result<Calls> {
    let mut last = (Calls::default(), Calls::default());
    let agreeing = async {
        loop {
            let theirs = kubelets(node).await?;
            let now = ours(node, agent).await?;
            let heard = Calls { all: before.all + now.all, failed: before.failed + now.failed };
            last = (theirs, heard);
            if theirs == heard && theirs.all >= least {
                return anyhow::Ok(now);
            }
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
    };
    match tokio::time::timeout(LONG, agreeing).await {
        Ok(equal) => equal,
        Err(_) => anyhow::bail!("the kubelet counted {:?}, pullfuse heard {:?}", last.0, last.1),
    }
}

/// A Secret with a password that is wrong.
fn wrong_password(name: &str) -> String {
    let login = STANDARD.encode(format!("{name}:MARKER-SECRET-{name}"));
    let auths = json!({ "auths": { format!("127.0.0.1:{LOCKED}"): { "auth": login } } });
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": { "namespace": NAMESPACE, "name": name },
        "data": { ".dockerconfigjson": STANDARD.encode(auths.to_string()) },
    })
    .to_string()
}

async fn calls_equal_the_kubelets_own_count(containerd: Containerd) -> anyhow::Result<()> {
    let agent = AgentOptions::attempts(99, "1h").listening();
    let node = Node::start(Options { containerd, ..Options::default() }, None).await?;
    node.start_agent(&agent).await?;
    let locked = FakeRegistry::serve(node.rig.listen(LOCKED)?)?;
    locked.set_default(Answer::basic("user", "right", Answer::NotFound));
    node.rig.namespace(NAMESPACE).await?;
    for secret in ["one", "two"] {
        node.rig.apply(&wrong_password(secret)).await?;
    }
    for number in 0..MISSING {
        node.rig.apply(&missing_pod(NAMESPACE, &format!("p{number}"), json!({}))).await?;
    }
    let image = |image: &str| json!([{ "name": "c", "image": image }]);
    let private = json!({ "containers": image(&locked.image("team/app:1")),
                          "imagePullSecrets": [{ "name": "one" }, { "name": "two" }] });
    node.rig.apply(&missing_pod(NAMESPACE, "private", private)).await?;
    let fine = json!({ "containers": image(FINE_IMAGE) });
    node.rig.apply(&missing_pod(NAMESPACE, "fine", fine)).await?;
    node.wait_pod(NAMESPACE, "fine", "it runs", |pod| phase(pod) == "Running").await?;

    // The first wave: one call per pod, two for the one with two passwords.
    until_equal(&node, &agent, Calls::default(), MISSING as f64 + 3.0).await?;
    // Nobody asks for anything while nobody listens. What was asked just before is heard by then.
    node.rig.kill("kubelet", Signal::STOP).await?;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    node.until_metric(&agent, "pullfuse_pulls_in_flight", 0.0).await?;
    let first = ours(&node, &agent).await?;
    assert!(first.all > first.failed, "a call that succeeded");

    // A new agent joins connections that it knows nothing of.
    node.rig.kill(&agent.name, Signal::KILL).await?;
    node.rig.wait_exit(&agent.name).await?;
    node.start_agent(&agent).await?;
    node.rig.kill("kubelet", Signal::CONT).await?;
    let least = 2.0 * (MISSING as f64 + 2.0);
    until_equal(&node, &agent, first, least).await?;

    // A new runtime means a new socket and new connections, and the agent has no rights any more.
    node.until_readyz(&agent, |_, report| report.contains("capabilities dropped")).await?;
    node.rig.restart("containerd").await?;
    until_equal(&node, &agent, first, least + MISSING as f64).await?;

    // Two calls with two passwords are one attempt.
    let count = |log: &str, pod: &str| {
        let attempt = |line: &&str| line.contains("attempt failed") && line.contains(pod);
        log.lines().filter(attempt).count()
    };
    let log = node.log_of(&agent);
    let (one, two) = (count(&log, "\"pod\":\"p0\""), count(&log, "\"pod\":\"private\""));
    assert!(one >= 2 && one.abs_diff(two) <= 1, "attempts of p0: {one}, of private: {two}");
    // On a busy machine the status may be seen first; then the call is the same attempt.
    let from = |source: &str| log.matches(&format!("\"source\":\"{source}\"")).count();
    let (wire, status) = (from("wire"), from("pod-status"));
    assert!(wire > 4 * status, "{wire} attempts from the wire, {status} from the status");
    let ledger = std::fs::read(node.rig.host_path("/var/lib/pullfuse/ledger.redb"))?;
    for text in [log.as_bytes(), &ledger, node.rig.metrics(agent.port).await?.as_bytes()] {
        assert!(!text.windows(13).any(|window| window == b"MARKER-SECRET"), "a password leaked");
    }
    Ok(())
}

async fn a_pull_that_hangs() -> anyhow::Result<()> {
    let mut agent = AgentOptions::attempts(99, "1h").listening();
    agent.runtime.push_str("\nholdup_after = \"3s\"");
    let node = Node::start(Options::default(), Some(agent.clone())).await?;
    let slow = FakeRegistry::serve(node.rig.listen(LOCKED)?)?;
    slow.set_default(Answer::Hang);
    node.rig.namespace(NAMESPACE).await?;
    let image = |image: &str| json!({ "containers": [{ "name": "c", "image": image }] });
    let hangs = image(&slow.image("team/app:1"));
    node.rig.apply(&missing_pod(NAMESPACE, "hangs", hangs)).await?;
    node.until_metric(&agent, "pullfuse_pulls_in_flight", 1.0).await?;
    assert!(node.metric(&agent, "pullfuse_held_up_pods").await? == 0.0, "nobody waits for it");
    node.rig.apply(&missing_pod(NAMESPACE, "waits", image(FINE_IMAGE))).await?;

    let held_up = |_, report: &str| report.contains("pulls: degraded");
    let report = node.until_readyz(&agent, held_up).await?;
    assert!(report.contains("wire/hangs") && report.contains("holds up 1 other pod"), "{report}");
    node.until_metric(&agent, "pullfuse_held_up_pods", 1.0).await?;
    assert!(node.metric(&agent, "pullfuse_oldest_pull_age_seconds").await? >= 3.0);
    node.until_told(NAMESPACE, "hangs", "PullHoldsUpNode").await?;
    let status = node.ask(&agent, &["status"]).await?;
    assert!(status.contains("holds up 1 other pod"), "{status}");
    let going_on = status.lines().any(|line| line.contains("team/app:1") && line.contains("wire/"));
    assert!(going_on, "{status}");

    slow.set_default(Answer::NotFound);
    node.wait_pod(NAMESPACE, "waits", "it runs", |pod| phase(pod) == "Running").await?;
    node.until_readyz(&agent, |_, report| report.contains("pulls: ok")).await?;

    // A runtime that dies takes its pulls with it.
    let before = slow.requests("team/app").total;
    slow.set_default(Answer::Hang);
    let asked = slow.wait_for("team/app", |counts| counts.total > before);
    tokio::time::timeout(LONG, asked).await.context("no pull hangs again")?;
    node.until_metric(&agent, "pullfuse_pulls_in_flight", 1.0).await?;
    node.rig.restart("containerd").await?;
    node.until_metric(&agent, "pullfuse_pull_calls_total{result=\"transport\"}", 1.0).await?;
    let told = node.told(NAMESPACE, "hangs").await?;
    assert!(told.len() <= 2, "once for each pull that hung: {told:?}");
    Ok(())
}
