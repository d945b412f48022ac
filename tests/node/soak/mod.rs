//! Twenty minutes of churn: a full node whose pods come and go, and an agent that stays as small as
//! it was (`make soak`; `PULLFUSE_SOAK` is another time in seconds).

mod churn;
mod size;

use std::time::{Duration, Instant};

use anyhow::ensure;
use kube::api::{DeleteParams, ListParams};
use libtest_mimic::Trial;
use pullfuse::ledger::Ledger;
use pullfuse_rig::{Options, Signal};
use serde_json::json;

use self::{
    churn::Churn,
    size::{Size, print},
};
use crate::{
    support::{AgentOptions, Node, scenario, until},
    wire::{Calls, until_equal},
};

/// As the namespace is called.
const NAMESPACE: &str = "soak";
const SAMPLES: Duration = Duration::from_secs(10);
/// Episodes that ended and are remembered: few, so that all of them are there after the warm-up.
const EPISODES: usize = 100;

pub fn trials() -> Vec<Trial> {
    let trial = scenario("soak::a_node_that_is_always_busy_leaves_the_agent_as_it_was", soak);
    vec![trial.with_ignored_flag(true)]
}

fn agent() -> AgentOptions {
    AgentOptions::new(&format!(
        "limits = {{ max_attempts = 3, min_elapsed = \"10s\", ambiguous.max_attempts = 3 }}\n\
         caps = {{ per_node = 1000, per_namespace = 1000 }}\n\
         breaker = {{ images = 8, window = \"1m\", hold = \"1m\" }}\n\
         history.max_episodes = {EPISODES}\n"
    ))
    .listening()
}

fn length() -> anyhow::Result<Duration> {
    let seconds = std::env::var("PULLFUSE_SOAK").map_or(Ok(1200), |seconds| seconds.parse())?;
    Ok(Duration::from_secs(seconds))
}

async fn soak() -> anyhow::Result<()> {
    let agent = agent();
    // Some pulls hang, and the others must go on.
    let kubelet_config = json!({ "registryPullQPS": 0, "serializeImagePulls": false,
        "maxParallelImagePulls": 20, "maxPods": 150 });
    let options = Options { kubelet_config, ..Options::default() };
    let node = Node::start(options, Some(agent.clone())).await?;
    node.rig.namespace(NAMESPACE).await?;
    let mut churn = Churn::start(&node)?;
    let (begin, length) = (Instant::now(), length()?);
    let mut sizes: Vec<Size> = Vec::new();
    while begin.elapsed() < length {
        churn.turn().await?;
        if begin.elapsed() >= SAMPLES * u32::try_from(sizes.len() + 1)? {
            let size = Size::take(&node, &agent, begin.elapsed(), churn.pods()).await?;
            if sizes.len().is_multiple_of(6) {
                eprintln!("soak: {size:?}");
            }
            sizes.push(size);
        }
    }
    print(&sizes);
    let equal = until_equal(&node, &agent, Calls::default(), 1.0).await?;
    println!("pulls heard, as many as the kubelet counted: {equal:?}");

    // Nothing is left of pods that are gone.
    churn.stop();
    let pods = node.pods(NAMESPACE);
    pods.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
    node.until_metric(&agent, "pullfuse_failing_images", 0.0).await?;
    until(async || {
        let left = pods.list(&ListParams::default()).await?.items.len();
        // A verdict that is being verified goes on for a while.
        let status = node.ask(&agent, &["status", "-o", "json"]).await?;
        let status: serde_json::Value = serde_json::from_str(&status)?;
        let under_way = status["counts"]["verdictsUnderWay"].as_u64().unwrap_or_default();
        Ok((left == 0 && under_way == 0).then_some(()))
    })
    .await?;
    let after = Size::take(&node, &agent, begin.elapsed(), 0).await?;
    println!("without pods: {after:?}");
    node.rig.kill(&agent.name, Signal::TERM).await?;
    node.rig.wait_exit(&agent.name).await?;
    let (_, kept) = Ledger::open(&node.rig.host_path(&agent.ledger))?;
    ensure!(kept.tallies.is_empty(), "tallies of pods that are gone: {:?}", kept.tallies);
    ensure!(kept.verdicts.is_empty(), "verdicts about pods that are gone: {:?}", kept.verdicts);
    // What is too much goes every ten seconds.
    let most = EPISODES + churn::PODS;
    ensure!(kept.episodes.len() <= most, "{} episodes", kept.episodes.len());

    churn.is_right()?;
    size::is_flat(&sizes)
}
