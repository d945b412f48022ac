//! Counts and verdicts survive the death of the agent and the absence of the API server.

use std::time::Duration;

use libtest_mimic::Trial;
use pullfuse_rig::{Options, Signal};
use serde_json::json;

use crate::support::{AgentOptions, Node, Waiting, missing_pod, phase, scenario};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("outages::the_agent_is_killed_between_attempts_and_while_verifying", killed),
        scenario("outages::the_api_server_is_away_at_the_moment_of_a_verdict", api_server_away),
        scenario("outages::the_agent_stops_gracefully", stops_gracefully),
    ]
}

/// SIGKILL, and a new agent on the same ledger.
async fn kill_and_restart(node: &Node, agent: &AgentOptions) -> anyhow::Result<()> {
    node.rig.kill(&agent.name, Signal::KILL).await?;
    assert_eq!(node.rig.wait_exit(&agent.name).await?.signal, Some(9));
    node.start_agent(agent).await
}

async fn killed() -> anyhow::Result<()> {
    let agent = AgentOptions::attempts(3, "5s");
    let node = Node::start(Options::default(), Some(agent.clone())).await?;
    node.rig.namespace("killed").await?;
    node.rig.apply(&missing_pod("killed", "p", json!({}))).await?;
    for attempt in 1..=2 {
        node.until_logged(&agent, &["attempt failed", &format!("\"attempts\":{attempt}")]).await?;
        kill_and_restart(&node, &agent).await?;
    }
    let pod = node.wait_pod("killed", "p", "it is Failed", |pod| phase(pod) == "Failed").await?;
    let message = pod.status.and_then(|s| s.message).unwrap_or_default();
    assert!(message.contains("3 failed attempts"), "{message}");

    // It has written and not verified yet.
    kill_and_restart(&node, &agent).await?;
    node.until_logged(&agent, &["verdict ended", "held"]).await?;
    assert!(node.ended_once("killed", "p").await?, "one write and no more");
    assert_eq!(ours(&node, "killed").await?, 1, "one Event and no more");
    Ok(())
}

async fn ours(node: &Node, namespace: &str) -> anyhow::Result<usize> {
    let events = node.rig.events(namespace, "p").await?;
    Ok(events.iter().filter(|e| e.reason.as_deref() == Some("ImagePullFailed")).count())
}

async fn api_server_away() -> anyhow::Result<()> {
    let agent = AgentOptions::one_attempt("20s");
    let node = Node::start(Options::default(), Some(agent.clone())).await?;
    node.rig.namespace("away").await?;
    node.rig.apply(&missing_pod("away", "p", json!({}))).await?;
    node.wait_pod("away", "p", "it failed once", |pod| pod.waits_for("ErrImagePull")).await?;
    node.until_logged(&agent, &["attempt failed", "\"attempts\":1"]).await?;
    node.rig.kill("kube-apiserver", Signal::KILL).await?;
    node.rig.wait_exit("kube-apiserver").await?;

    // The verdict falls while nobody can be told.
    node.until_logged(&agent, &["a verdict is held back"]).await?;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (live, _) = node.rig.http_get(agent.port, "/healthz").await?;
    assert_eq!(live, 200, "an absent API server is no reason to restart the agent");
    let retries = node.log_of(&agent).matches("a verdict is held back").count();
    assert!(retries < 20, "{retries} tries within about a minute");

    node.rig.restart("kube-apiserver").await?;
    node.wait_pod("away", "p", "it is Failed", |pod| phase(pod) == "Failed").await?;
    node.until_logged(&agent, &["verdict ended", "held"]).await?;
    // Kubelets need a while to see anything again, and the agent knows.
    assert!(node.ended_once("away", "p").await?, "one write and no more");
    assert_eq!(ours(&node, "away").await?, 1, "one Event and no more");
    Ok(())
}

async fn stops_gracefully() -> anyhow::Result<()> {
    let node = Node::one_attempt().await?;
    let agent = AgentOptions::attempts(99, "1m").beside("stops", 9462);
    node.start_agent(&agent).await?;
    node.rig.kill(&agent.name, Signal::TERM).await?;
    assert_eq!(node.rig.wait_exit(&agent.name).await?.code, Some(0));
    // The ledger is free again.
    node.start_agent(&agent).await?;
    node.rig.kill(&agent.name, Signal::INT).await?;
    assert_eq!(node.rig.wait_exit(&agent.name).await?.code, Some(0));
    Ok(())
}
