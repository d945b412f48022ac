//! The rig's network: loopback with the node's and the API server's addresses on it.

use std::fs;
use std::process::Command;

use anyhow::{Context, bail};

use crate::{NODE_ADDRESS, SERVICE_ADDRESS};

/// Brings the fresh network namespace up.
pub(crate) fn set_up() -> anyhow::Result<()> {
    ip(&["link", "set", "lo", "up"])?;
    // Loopback carries both: kernels built for small machines have no dummy interfaces. With the
    // service address on the node, pods reach the API server without kube-proxy.
    for address in [NODE_ADDRESS, SERVICE_ADDRESS] {
        ip(&["address", "add", &format!("{address}/32"), "dev", "lo"])?;
    }
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("cannot turn on IP forwarding")
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output =
        Command::new("ip").args(arguments).output().context("cannot run `ip`: install iproute2")?;
    if !output.status.success() {
        bail!(
            "`ip {}` failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
