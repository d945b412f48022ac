//! Two agents on one node that know nothing of each other.

use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{AgentOptions, Node, Tried, missing_pod, phase, scenario, verdict};

const NAMESPACE: &str = "own-twins";
const PODS: usize = 5;

pub fn trials() -> Vec<Trial> {
    vec![scenario("faults::twins::two_agents_with_ledgers_of_their_own_act_once", twins)]
}

async fn twins() -> anyhow::Result<()> {
    let node = Node::core().await?;
    let config = "[limits]\nmax_attempts = 2\nmin_elapsed = \"1s\"\n[breaker]\nimages = 0\n";
    let one = AgentOptions::own("twins", 9495, config);
    let two = one.clone().beside("twins-2", 9496);
    node.rig.namespace(NAMESPACE).await?;
    node.start_agent(&one).await?;
    node.start_agent(&two).await?;
    let names: Vec<String> = (0..PODS).map(|number| format!("twins{number}")).collect();
    for name in &names {
        node.rig.apply(&missing_pod(NAMESPACE, name, json!({}))).await?;
    }
    let fault = "agent: two on one node".into();
    let mut tried = Tried { fault, rounds: 1, ..Tried::default() };
    for name in &names {
        for agent in [&one, &two] {
            let pod = format!("\"pod\":\"{name}\"");
            node.until_logged(agent, &["verdict ended", &pod, "held"]).await?;
        }
        let pod = node.pods(NAMESPACE).get(name).await?;
        tried.wrong += usize::from(phase(&pod) != "Failed");
        tried.lost += usize::from(verdict(&pod)["attempts"] != 2);
        tried.wrong += usize::from(!node.ended_once(NAMESPACE, name).await?);
        tried.wrong += usize::from(node.told(NAMESPACE, name).await?.len() != 1);
    }
    tried.note()
}
