//! A node so busy that the agent gets no turn for a while.

use anyhow::Context;
use jiff::Timestamp;
use libtest_mimic::Trial;
use pullfuse_rig::Signal;
use serde_json::json;

use crate::support::{AgentOptions, Node, Tried, missing_pod, phase, scenario, verdict};

const NAMESPACE: &str = "own-stall";

pub fn trials() -> Vec<Trial> {
    vec![scenario("faults::stall::attempts_that_are_heard_late_are_not_taken_for_one", stalled)]
}

async fn stalled() -> anyhow::Result<()> {
    let _turn = super::LOUD.lock().await;
    let node = Node::core().await?;
    let config = "[limits]\nmax_attempts = 3\nmin_elapsed = \"20s\"\n[breaker]\nimages = 0\n";
    let agent = AgentOptions::own("stall", 9497, config).listening();
    node.rig.namespace(NAMESPACE).await?;
    node.start_agent(&agent).await?;
    node.rig.apply(&missing_pod(NAMESPACE, "stall", json!({}))).await?;
    let counted = |attempts| ["attempt failed", "\"pod\":\"stall\"", attempts];
    node.until_logged(&agent, &counted("\"attempts\":1,")).await?;

    node.rig.kill(&agent.name, Signal::STOP).await?;
    // The common agent leaves the pod alone, but counts.
    node.until_logged(&AgentOptions::two_attempts(), &counted("\"attempts\":3,")).await?;
    let resumed = Timestamp::now();
    node.rig.kill(&agent.name, Signal::CONT).await?;

    let ended = |pod: &_| phase(pod) == "Failed";
    let pod = node.wait_pod(NAMESPACE, "stall", "it is Failed", ended).await?;
    let verdict = verdict(&pod);
    let last: Timestamp = verdict["lastAttempt"].as_str().context("no time")?.parse()?;
    let fault = "agent: no turn for half a minute".into();
    let lost = usize::from(verdict["attempts"] != 3);
    // Dated by when it happened, not by when the agent heard of it.
    let wrong = usize::from(last > resumed);
    Tried { fault, rounds: 1, lost, wrong, ..Tried::default() }.note()
}
