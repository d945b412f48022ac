//! The disk under the ledger is full for a while, and then takes nothing at all.

use libtest_mimic::Trial;
use pullfuse_rig::{Program, Signal};
use serde_json::json;

use crate::support::{AgentOptions, Node, Tried, missing_pod, phase, scenario, verdict};

const NAMESPACE: &str = "own-disk";
const PODS: usize = 4;
/// Takes all room there is, and whatever becomes free.
const FILL: &str = "open F, '>>', '/var/lib/disk/fill' or die;
    while (1) { syswrite F, 'x' x 4096 or select undef, undef, undef, 0.001 }";

pub fn trials() -> Vec<Trial> {
    vec![scenario("faults::disk::a_full_disk_holds_verdicts_and_loses_no_count", full)]
}

/// Runs a line of shell on the node.
async fn shell(node: &Node, name: &str, line: &str) -> anyhow::Result<()> {
    node.rig.spawn(Program::new(name, ["sh", "-c", line])).await?;
    let exit = node.rig.wait_exit(name).await?;
    anyhow::ensure!(exit.code == Some(0), "{line}: {exit:?} {}", node.rig.log(name)?);
    Ok(())
}

async fn full() -> anyhow::Result<()> {
    let node = Node::core().await?;
    let config = "[limits]\nmax_attempts = 2\nmin_elapsed = \"1s\"\n[breaker]\nimages = 0\n";
    let agent = AgentOptions::own("disk", 9492, config);
    let mount = "mkdir -p /var/lib/disk && mount -t tmpfs -o size=2m ledger /var/lib/disk";
    shell(&node, "disk-mount", mount).await?;
    node.rig.namespace(NAMESPACE).await?;
    node.start_agent(&agent).await?;
    node.rig.spawn(Program::new("disk-fill", ["perl", "-e", FILL])).await?;
    let missing = async |name: &str| node.rig.apply(&missing_pod(NAMESPACE, name, json!({}))).await;
    missing("first").await?;
    node.until_logged(&agent, &["counts are kept in memory", "No space left"]).await?;

    // A database that was closed and opened again finds some room for a while. From its next failure
    // on it finds none: nothing can be written where its folder was.
    shell(&node, "disk-hide", "mount -t tmpfs -o ro hidden /var/lib/disk").await?;
    let hidden = |_, report: &str| report.contains("Read-only file system");
    let report = node.until_readyz(&agent, hidden).await?;
    assert!(report.contains("ledger: degraded: counts are kept in memory"), "{report}");
    let names: Vec<String> = (0..PODS).map(|number| format!("disk{number}")).collect();
    for name in &names {
        missing(name).await?;
    }
    for name in &names {
        let pod = format!("{NAMESPACE}/{name}");
        node.until_logged(&agent, &["\"verdict: ", &pod]).await?;
    }
    let mut tried = Tried { fault: "agent: disk full".into(), rounds: 1, ..Tried::default() };
    for name in &names {
        tried.wrong += usize::from(phase(&node.pods(NAMESPACE).get(name).await?) != "Pending");
        let early = node.writes_to(NAMESPACE, name)?;
        early.iter().for_each(|write| println!("{name}: {}", write["responseStatus"]));
        tried.wrong += early.len();
    }

    node.rig.kill("disk-fill", Signal::KILL).await?;
    node.rig.wait_exit("disk-fill").await?;
    shell(&node, "disk-free", "umount /var/lib/disk && rm /var/lib/disk/fill").await?;
    for name in &names {
        let failed = |pod: &_| phase(pod) == "Failed";
        let pod = node.wait_pod(NAMESPACE, name, "it is Failed", failed).await?;
        tried.lost += usize::from(verdict(&pod)["attempts"] != 2);
        tried.wrong += usize::from(!node.ended_once(NAMESPACE, name).await?);
    }
    node.until_readyz(&agent, |_, report| report.contains("ledger: ok")).await?;
    tried.note()
}
