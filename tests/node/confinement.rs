//! What the shipped container may do while it works, and the components that let it do less.

use std::fs;

use libtest_mimic::Trial;
use pullfuse_rig::{Options, Program};
use serde_json::json;

use crate::{
    daemonset::{logs, until_ready},
    deploy::{manifests_with, push_image, shipped},
    support::{Node, missing_pod, phase, scenario},
};

pub fn trials() -> Vec<Trial> {
    vec![scenario("confinement::the_shipped_container_works_without_rights", without_rights)]
}

async fn without_rights() -> anyhow::Result<()> {
    let node = Node::start_bare(Options::default()).await?;
    push_image(&node.rig).await?;
    node.rig.namespace("batch").await?;

    // As it ships, but with its own seccomp profile from the first instruction on.
    let profiles = node.rig.host_path("/var/lib/kubelet/seccomp");
    fs::create_dir_all(&profiles)?;
    fs::copy(shipped("components/seccomp/profile.json"), profiles.join("pullfuse.json"))?;
    node.rig.apply(&manifests_with(&node.rig, 2, "5s", Some("seccomp"))?).await?;
    node.agents().ship("limits = { max_attempts = 2, min_elapsed = \"5s\" }");
    until_ready(&node).await?;
    node.until_policies_hold().await?;
    let said = "capabilities dropped, seccomp on, Landlock ";
    assert!(logs(&node)?.contains(said), "{}", logs(&node)?);
    let status = status_of_the_agent(&node, "first").await?;
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(values(&status, set), ["0000000000000000"], "{set}");
    }
    // The container runtime's filter, and two of the agent's own.
    assert_eq!(values(&status, "Seccomp_filters"), ["3"], "{status}");
    assert_eq!(values(&status, "NoNewPrivs"), ["1"], "{status}");
    is_ended(&node, "heard", "wire").await?;

    // A new runtime has a new socket, which is to be heard as well.
    node.rig.restart("containerd").await?;
    is_ended(&node, "anew", "wire").await?;

    // Without anything of the node.
    node.rig.apply(&manifests_with(&node.rig, 2, "5s", Some("status-only"))?).await?;
    until_ready(&node).await?;
    let status = status_of_the_agent(&node, "second").await?;
    assert_eq!(values(&status, "Uid"), ["65532\t65532\t65532\t65532"], "{status}");
    assert_eq!(values(&status, "CapBnd"), ["0000000000000000"], "{status}");
    is_ended(&node, "status", "pod-status").await
}

/// A pod whose image is missing is ended by what the agent saw there.
async fn is_ended(node: &Node, pod: &str, source: &str) -> anyhow::Result<()> {
    node.rig.apply(&missing_pod("batch", pod, json!({}))).await?;
    node.wait_pod("batch", pod, "it is Failed", |pod| phase(pod) == "Failed").await?;
    let log = logs(node)?;
    let counted = |line: &str| {
        line.contains("attempt failed")
            && line.contains(&format!("\"pod\":\"{pod}\""))
            && line.contains(&format!("\"source\":\"{source}\""))
    };
    anyhow::ensure!(log.lines().any(counted), "no attempt of {pod} from {source}:\n{log}");
    Ok(())
}

/// `/proc/PID/status` of the agent's threads. Only inside the rig no other agent is seen.
async fn status_of_the_agent(node: &Node, name: &str) -> anyhow::Result<String> {
    let script = "for process in /proc/[0-9]*; do \
                      case $(tr '\\0' ' ' < $process/cmdline 2>/dev/null) in \
                      '/pullfuse run '*) cat $process/task/*/status ;; \
                      esac; \
                  done";
    let name = format!("status-{name}");
    node.rig.spawn(Program::new(name.as_str(), ["sh", "-c", script])).await?;
    node.rig.wait_exit(&name).await?;
    let status = node.rig.log(&name)?;
    anyhow::ensure!(!status.is_empty(), "no agent runs");
    Ok(status)
}

/// The different values of a field.
fn values<'a>(status: &'a str, field: &str) -> Vec<&'a str> {
    let value = |line: &'a str| line.strip_prefix(field)?.strip_prefix(':');
    let mut values: Vec<_> = status.lines().filter_map(value).map(str::trim).collect();
    values.sort_unstable();
    values.dedup();
    values
}
