//! Somebody sets the node's clock by hours, forward and back.

use std::fs;

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{AgentOptions, Node, Tried, missing_pod, phase, scenario, verdict};

const NAMESPACE: &str = "own-clock";

pub fn trials() -> Vec<Trial> {
    vec![scenario("faults::clock::hours_forward_end_no_pod_and_hours_back_save_none", set_clock)]
}

/// An agent with a clock on the wall of its own. What it counts since the boot stays as it is.
fn with_own_clock(mut agent: AgentOptions, file: &str) -> anyhow::Result<AgentOptions> {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"];
    let library = folders.map(|folder| format!("{folder}/faketime/libfaketimeMT.so.1"));
    let library = library.into_iter().find(|path| fs::exists(path).unwrap_or_default());
    agent.env = [
        ("LD_PRELOAD", library.context("libfaketime is missing: tests/setup.sh installs it")?),
        ("FAKETIME_TIMESTAMP_FILE", file.to_owned()),
        ("FAKETIME_NO_CACHE", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ("DONT_FAKE_MONOTONIC", "1".into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    Ok(agent)
}

fn config(min_elapsed: &str) -> String {
    format!("[limits]\nmax_attempts = 1\nmin_elapsed = \"{min_elapsed}\"\n[breaker]\nimages = 0\n")
}

async fn set_clock() -> anyhow::Result<()> {
    let node = Node::core().await?;
    let file = node.rig.folder().join("config").join("clock.faketime");
    let set = |by: &str| fs::write(&file, format!("{by}\n"));
    set("+0")?;
    let patient = AgentOptions::own("clock", 9491, &config("3h"));
    let patient = with_own_clock(patient, file.to_str().context("an odd path")?)?;
    node.rig.namespace(NAMESPACE).await?;
    node.start_agent(&patient).await?;
    node.rig.apply(&missing_pod(NAMESPACE, "clock", json!({}))).await?;
    node.until_logged(&patient, &["attempt failed", "\"pod\":\"clock\"", "\"attempts\":1"]).await?;

    // Twice as long as the pod is to be left alone.
    set("+6h")?;
    node.until_logged(&patient, &["clock was set", "\"by_s\":21"]).await?;
    node.until_logged(&patient, &["attempt failed", "\"pod\":\"clock\"", "\"attempts\":2"]).await?;
    let answer = node.failing(&patient, "own-clock/clock").await?;
    let outlook = answer["outlook"].as_str().unwrap_or_default();
    assert!(outlook.contains("is ended at"), "{answer}");
    // The agent's clock follows the wall's.
    let last: Timestamp = answer["lastAttempt"].as_str().context("no time")?.parse()?;
    let ahead = last.duration_since(Timestamp::now());
    assert!(ahead > SignedDuration::from_hours(5), "{answer}");
    let log = node.log_of(&patient);
    let early = log.lines().find(|line| line.contains("\"verdict: "));
    let mut tried = Tried { fault: "agent: clock set by hours".into(), ..Tried::default() };
    tried.wrong += usize::from(early.is_some());

    // All that was seen lies hours ahead now, and still there is nothing to wait for.
    set("-6h")?;
    node.until_logged(&patient, &["clock was set", "\"by_s\":-43"]).await?;
    let AgentOptions { config, .. } = AgentOptions::own("clock", 9491, &config("1s"));
    node.configure(&AgentOptions { config, ..patient.clone() })?;
    let pod =
        node.wait_pod(NAMESPACE, "clock", "it is Failed", |pod| phase(pod) == "Failed").await?;
    let verdict = verdict(&pod);
    let time = |name: &str| -> anyhow::Result<Timestamp> {
        Ok(verdict[name].as_str().context("no time")?.parse()?)
    };
    let span = time("decided")?.duration_since(time("firstAttempt")?);
    assert!(span > SignedDuration::ZERO && span < SignedDuration::from_hours(1), "{verdict}");
    assert!(node.ended_once(NAMESPACE, "clock").await?);
    let attempts = answer["attempts"].as_u64().unwrap_or_default();
    tried.lost += 2_u64.saturating_sub(attempts) as usize;
    tried.rounds = 2;
    tried.note()
}
