//! The ledger of an agent that was killed is damaged.

use std::{fs, os::unix::fs::FileExt, path::Path};

use libtest_mimic::Trial;
use pullfuse_rig::Signal;
use serde_json::json;

use crate::support::{AgentOptions, Node, Tried, missing_pod, phase, rounds, scenario, verdict};

const NAMESPACE: &str = "own-damaged";

pub fn trials() -> Vec<Trial> {
    vec![scenario("faults::ledger::a_damaged_one_is_set_aside_and_counting_goes_on", damaged)]
}

/// Overwrites all but the header, by which the file seems sound, or cuts the file.
fn damage(path: &Path, round: usize) -> anyhow::Result<()> {
    let file = fs::File::options().write(true).open(path)?;
    let length = file.metadata()?.len();
    if !round.is_multiple_of(2) {
        return Ok(file.set_len(length / (round as u64 + 2))?);
    }
    let garbage: Vec<u8> =
        (0..length - 4096).map(|n| ((n * 7919) >> 3) as u8 ^ round as u8).collect();
    Ok(file.write_all_at(&garbage, 4096)?)
}

async fn damaged() -> anyhow::Result<()> {
    let node = Node::core().await?;
    let config = "[limits]\nmax_attempts = 3\nmin_elapsed = \"1s\"\n[breaker]\nimages = 0\n";
    let agent = AgentOptions::own("damaged", 9493, config);
    let path = node.rig.host_path("/var/lib/damaged/ledger.redb");
    node.rig.namespace(NAMESPACE).await?;
    node.start_agent(&agent).await?;

    let mut tried = Tried { fault: "agent: ledger damaged".into(), ..Tried::default() };
    let rounds = rounds(2);
    let mut last = String::new();
    for round in 0..rounds {
        if round > 0 {
            tried.wrong += usize::from(phase(&node.pods(NAMESPACE).get(&last).await?) != "Pending");
            node.pods(NAMESPACE).delete(&last, &Default::default()).await?;
        }
        // A pod that is there for long waits ever longer for its next attempt.
        last = format!("damaged{round}");
        node.rig.apply(&missing_pod(NAMESPACE, &last, json!({}))).await?;
        let name = format!("\"pod\":\"{last}\"");
        node.until_logged(&agent, &["attempt failed", &name, "\"attempts\":1"]).await?;
        node.rig.kill(&agent.name, Signal::KILL).await?;
        node.rig.wait_exit(&agent.name).await?;
        damage(&path, round)?;
        node.start_agent(&agent).await?;
        let said = |_, report: &str| report.contains("the old ledger was damaged and is now");
        node.until_readyz(&agent, said).await?;
        tried.rounds += 1;
    }
    let kept = fs::read_dir(node.rig.host_path("/var/lib/damaged"))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("ledger.redb.bad-"));
    assert_eq!(kept.count(), rounds, "all are kept for who wants to know");

    // It may end later than it would have, and never earlier.
    let pod = node.wait_pod(NAMESPACE, &last, "it is Failed", |pod| phase(pod) == "Failed").await?;
    tried.wrong += usize::from(verdict(&pod)["attempts"] != 3);
    tried.wrong += usize::from(!node.ended_once(NAMESPACE, &last).await?);
    tried.note()
}
