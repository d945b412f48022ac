//! SIGKILL at the instants at which it would hurt most: what an agent says in the end is what one
//! that nobody killed says.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use libtest_mimic::Trial;
use pullfuse_rig::{Options, Signal};
use serde_json::json;

use crate::support::{
    AgentOptions, Node, Tried, Waiting, missing_pod, no_pull_limit, phase, rounds, scenario, until,
    verdict,
};

const NAMESPACE: &str = "killed-anywhere";
/// Attempts that end a pod.
const ATTEMPTS: u64 = 3;
/// Kills while one lot of pods fails, so few that all are over before the attempt after the last one;
/// and pods of a lot: some points are passed once by each.
const KILLS: usize = 3;
const PODS: usize = 6;
/// The points of `src/faultpoint.rs`, and how often a lot passes them at least.
const POINTS: [(&str, u64); 6] = [
    ("before_commit", 8),
    ("after_commit", 8),
    ("decided", 2),
    ("before_write", 2),
    ("after_write", 2),
    ("verifying", 2),
];

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("faults::kills::counts_and_verdicts_are_those_of_an_undisturbed_run", anywhere),
        scenario("faults::kills::what_nobody_saw_is_not_guessed", away),
    ]
}

/// Numbers that a seed repeats.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
        let seed = std::env::var("PULLFUSE_SEED").map(|seed| seed.parse().expect("a number"));
        let seed = seed.unwrap_or_else(|_| now() as u64 | 1);
        println!("PULLFUSE_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

async fn anywhere() -> anyhow::Result<()> {
    let options = Options { kubelet_config: no_pull_limit(), ..Options::default() };
    let node = Node::start(options, None).await?;
    let mut agent = AgentOptions::attempts(ATTEMPTS as u32, "5s").listening();
    let witness = AgentOptions::new("mode = \"dry-run\"\nbreaker.images = 0\n");
    let witness = witness.listening().beside("witness", 9461);
    node.start_agent(&witness).await?;
    node.rig.namespace(NAMESPACE).await?;

    let (wanted, mut random) = (rounds(6), Random::new());
    let mut tried =
        Tried { fault: "agent: SIGKILL at a random instant".into(), ..Tried::default() };
    for lot in 0.. {
        let names: Vec<String> = (0..PODS).map(|number| format!("lot{lot}-{number}")).collect();
        for name in &names {
            node.rig.apply(&missing_pod(NAMESPACE, name, json!({}))).await?;
        }
        for _ in 0..KILLS.min(wanted - tried.rounds) {
            let (point, often) = POINTS[random.below(POINTS.len() as u64) as usize];
            let fault = format!("{point}:{}", 1 + random.below(often));
            agent.env = vec![("PULLFUSE_FAULT".into(), fault.clone())];
            node.spawn_agent(&agent).await?;
            tokio::select! {
                exit = node.rig.wait_exit(&agent.name) => {
                    let exit = exit?;
                    anyhow::ensure!(exit.signal == Some(9), "{exit:?}: {}", node.log_of(&agent));
                    println!("killed at {fault}");
                    tried.rounds += 1;
                }
                // Too late for that point.
                _ = all_told(&node, &names) => {
                    // It may be there just now.
                    let _ = node.rig.kill(&agent.name, Signal::KILL).await;
                    node.rig.wait_exit(&agent.name).await?;
                    break;
                }
            }
            // Nobody is away for longer than the status shows an attempt.
            agent.env.clear();
            node.start_agent(&agent).await?;
            // It is ready before it has counted what it lists, and answers after that.
            node.ask(&agent, &["status"]).await?;
            stop(&node, &agent).await?;
        }
        agent.env.clear();
        node.start_agent(&agent).await?;
        for name in &names {
            let found = compare(&node, &agent, &witness, name).await?;
            tried.lost += found.0;
            tried.wrong += found.1;
        }
        stop(&node, &agent).await?;
        if tried.rounds >= wanted {
            return tried.note();
        }
    }
    Ok(())
}

async fn stop(node: &Node, agent: &AgentOptions) -> anyhow::Result<()> {
    node.rig.kill(&agent.name, Signal::KILL).await?;
    node.rig.wait_exit(&agent.name).await.map(drop)
}

/// Waits until every pod is ended, and its owner was told.
async fn all_told(node: &Node, names: &[String]) -> anyhow::Result<()> {
    for name in names {
        node.until_told(NAMESPACE, name, "ImagePullFailed").await?;
    }
    Ok(())
}

/// Attempts of a pod that the verdict lacks, and what is wrong about the verdict.
async fn compare(
    node: &Node,
    agent: &AgentOptions,
    witness: &AgentOptions,
    name: &str,
) -> anyhow::Result<(usize, usize)> {
    let about = format!("\"pod\":\"{name}\"");
    let log = || {
        let log = node.log_of(agent);
        let lines = log.lines().filter(|l| l.contains(&about) || l.contains("pullfuse starts"));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    let ended = node.wait_pod(NAMESPACE, name, "it is Failed", |pod| phase(pod) == "Failed").await;
    let pod = ended.with_context(log)?;
    node.until_told(NAMESPACE, name, "ImagePullFailed").await.with_context(log)?;
    let counted = verdict(&pod)["attempts"].as_u64().unwrap_or_default();
    let really = seen(node, witness, name);
    let once = node.ended_once(NAMESPACE, name).await?;
    let told = node.told(NAMESPACE, name).await?;
    let verdicts = told.iter().filter(|e| e.reason.as_deref() == Some("ImagePullFailed")).count();
    let right = counted == ATTEMPTS && really >= ATTEMPTS && once && verdicts == 1;
    if !right || really > counted {
        let writes = node.writes_to(NAMESPACE, name)?;
        let answers: Vec<_> = writes.iter().map(|write| &write["responseStatus"]).collect();
        println!(
            "{name}: {counted} counted of {really}, {answers:?}, {verdicts} Events\n{}",
            log()
        );
    }
    Ok((really.saturating_sub(counted) as usize, usize::from(!right)))
}

/// Attempts of a pod that an agent has seen.
fn seen(node: &Node, agent: &AgentOptions, name: &str) -> u64 {
    let pod = format!("\"pod\":\"{name}\"");
    let attempt = |line: &&str| line.contains("attempt failed") && line.contains(&pod);
    node.log_of(agent).lines().filter(attempt).count() as u64
}

/// Attempts while the agent is away do not count.
async fn away() -> anyhow::Result<()> {
    let node = Node::core().await?;
    let namespace = "own-away";
    let config = "[limits]\nmax_attempts = 2\nmin_elapsed = \"1s\"\n[breaker]\nimages = 0\n";
    let agent = AgentOptions::own("away", 9490, config);
    node.rig.namespace(namespace).await?;
    node.start_agent(&agent).await?;
    node.rig.apply(&missing_pod(namespace, "away", json!({}))).await?;
    node.until_logged(&agent, &["attempt failed", "\"pod\":\"away\"", "\"attempts\":1"]).await?;
    stop(&node, &agent).await?;
    // The common agent leaves the pod alone, but counts.
    let witness = AgentOptions::two_attempts();
    let second = ["attempt failed", "\"pod\":\"away\"", "\"attempts\":2"];
    node.until_logged(&witness, &second).await?;
    let waits = |pod: &k8s_openapi::api::core::v1::Pod| pod.waits_for("ImagePullBackOff");
    node.wait_pod(namespace, "away", "it backs off", waits).await?;
    node.start_agent(&agent).await?;
    let counted =
        until(async || Ok(node.failing(&agent, "own-away/away").await?["attempts"].as_u64()))
            .await?;
    if counted != 1 {
        // Slow to ask: the third has come by then, and the second was seen by nobody.
        let third = ["attempt failed", "\"pod\":\"away\"", "\"attempts\":3"];
        node.until_logged(&witness, &third).await?;
        assert_eq!(counted, 2);
    }
    let pod =
        node.wait_pod(namespace, "away", "it is Failed", |pod| phase(pod) == "Failed").await?;
    assert_eq!(verdict(&pod)["attempts"], 2, "the third is the second that was seen");
    assert!(node.ended_once(namespace, "away").await?);
    let fault = "agent: away during an attempt".into();
    Tried { fault, rounds: 1, ..Tried::default() }.note()
}
