//! The buffer between the kernel and the agent runs over.

use std::cell::Cell;

use anyhow::Context;
use libtest_mimic::Trial;
use pullfuse_rig::Signal;
use serde_json::json;

use crate::support::{AgentOptions, Node, Tried, missing_pod, pull, scenario, until};

const NAMESPACE: &str = "own-ring";
/// Bytes of an image name that nobody can pull.
const LONG_NAME: usize = 16 << 10;
/// As many of them are more than the buffer holds.
const CALLS: usize = 600;

pub fn trials() -> Vec<Trial> {
    vec![scenario("faults::ring::what_the_buffer_loses_the_status_tells", overflow)]
}

async fn overflow() -> anyhow::Result<()> {
    let _turn = super::LOUD.lock().await;
    let node = Node::core().await?;
    let config = "[limits]\nmax_attempts = 99\n[breaker]\nimages = 0\n";
    let agent = AgentOptions::own("ring", 9494, config).listening();
    // The common agent leaves the pod alone, but counts, and does not listen.
    let witness = AgentOptions::two_attempts();
    node.rig.namespace(NAMESPACE).await?;
    node.start_agent(&agent).await?;
    node.rig.apply(&missing_pod(NAMESPACE, "ring", json!({}))).await?;
    node.until_logged(&agent, &["attempt failed", "\"pod\":\"ring\"", "\"attempts\":1"]).await?;

    node.rig.kill(&agent.name, Signal::STOP).await?;
    let name = format!("127.0.0.1:1/{}", "x".repeat(LONG_NAME));
    for _ in 0..CALLS {
        let refused = pull(&node.rig, &name).await;
        anyhow::ensure!(refused.is_err(), "an image that cannot be was pulled");
    }
    let second = ["attempt failed", "\"pod\":\"ring\"", "\"attempts\":2"];
    node.until_logged(&witness, &second).await?;
    node.rig.kill(&agent.name, Signal::CONT).await?;

    let dropped = "pullfuse_capture_lost_total{what=\"ring_drops\"}";
    until(async || Ok((node.metric(&agent, dropped).await? > 0.0).then_some(())))
        .await
        .context("nothing was lost: the buffer did not run over")?;
    for agent in [&agent, &witness] {
        let third = ["attempt failed", "\"pod\":\"ring\"", "\"attempts\":3"];
        node.until_logged(agent, &third).await?;
    }
    let attempts = async |agent| -> anyhow::Result<u64> {
        let answer = node.failing(agent, "own-ring/ring").await?;
        answer["attempts"].as_u64().context("no attempts")
    };
    // One of them may be about to count the newest.
    let last = Cell::new((0, 0));
    let equal = async || {
        last.set((attempts(&agent).await?, attempts(&witness).await?));
        Ok((last.get().0 == last.get().1).then_some(()))
    };
    let _ = until(equal).await;
    let (ours, theirs) = last.get();
    Tried {
        fault: "agent: ring buffer overflowed".into(),
        rounds: 1,
        lost: theirs.saturating_sub(ours) as usize,
        wrong: ours.saturating_sub(theirs) as usize,
        ..Tried::default()
    }
    .note()
}
