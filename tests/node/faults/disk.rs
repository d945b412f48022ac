//! The disk under the ledger is full for a while.

use libtest_mimic::Trial;
use pullfuse_rig::Program;
use serde_json::json;

use crate::support::{AgentOptions, Node, Tried, missing_pod, phase, scenario, verdict};

const NAMESPACE: &str = "own-disk";
const PODS: usize = 4;

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
    let names: Vec<String> = (0..PODS).map(|number| format!("disk{number}")).collect();
    for name in &names {
        node.rig.apply(&missing_pod(NAMESPACE, name, json!({}))).await?;
    }
    for name in &names {
        let pod = format!("\"pod\":\"{name}\"");
        node.until_logged(&agent, &["attempt failed", &pod, "\"attempts\":1"]).await?;
    }
    // What has been written may be written again on a full disk, what is new may not.
    let fill = "rm -f /var/lib/disk/fill; dd if=/dev/zero of=/var/lib/disk/fill bs=4096 || true";
    shell(&node, "disk-fill", fill).await?;
    let degraded = |_, report: &str| report.contains("ledger: degraded: counts are kept in memory");
    let report = node.until_readyz(&agent, degraded).await?;
    assert!(report.contains("No space left"), "{report}");

    let mut tried = Tried { fault: "agent: disk full".into(), rounds: 1, ..Tried::default() };
    for name in &names {
        let pod = format!("{NAMESPACE}/{name}");
        node.until_logged(&agent, &["\"verdict: ", &pod]).await?;
    }
    let pods = node.pods(NAMESPACE);
    for name in &names {
        let ended = phase(&pods.get(name).await?) != "Pending";
        tried.wrong += usize::from(ended || !node.writes_to(NAMESPACE, name)?.is_empty());
    }

    shell(&node, "disk-free", "rm /var/lib/disk/fill").await?;
    for name in &names {
        let failed = |pod: &_| phase(pod) == "Failed";
        let pod = node.wait_pod(NAMESPACE, name, "it is Failed", failed).await?;
        tried.lost += usize::from(verdict(&pod)["attempts"] != 2);
        tried.wrong += usize::from(node.good_writes_to(NAMESPACE, name)? != 1);
    }
    node.until_readyz(&agent, |_, report| report.contains("ledger: ok")).await?;
    tried.note()
}
