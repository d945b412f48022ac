//! A real Kubernetes node for tests: etcd, API server, controller manager, scheduler, kubelet,
//! containerd and a registry, in seconds, on a machine with nothing but root.
//!
//! Each rig lives in process, mount, network, host-name and control-group namespaces of its own.
//! Several run side by side with identical paths, ports and addresses, and when the rig's first
//! process ends, for whatever reason, the kernel ends all of it: processes, mounts, interfaces.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! let rig = pullfuse_rig::Rig::start(Default::default()).await?;
//! let client = rig.client();
//! rig.stop().await?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

use std::net::Ipv4Addr;

mod boot;
mod cgroups;
mod config;
mod control;
pub mod fake_registry;
mod folder;
pub mod images;
pub mod init;
mod kubernetes;
mod manage;
mod network;
mod observe;
mod options;
mod parts;
mod programs;
mod protocol;
mod rig;
mod seed;
mod summary;

pub use manage::{RunningRig, find, list};
pub use options::{Containerd, Kubelet, Options};
pub use parts::build;
pub use protocol::{Exit, Program, ProgramStatus};
pub use rig::Rig;
pub use rustix::process::Signal;

/// The name of the node and of its host.
pub const NODE: &str = "node-a";

/// The node's address, for example to reach the kubelet from a pod.
pub const NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 89, 0, 1);

/// Where pods reach the API server.
pub const SERVICE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

/// The CRI socket's path inside a rig.
pub const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";

/// The image of which every pod's sandbox is made.
pub const PAUSE_IMAGE: &str = "127.0.0.1:5000/pause:1";

/// A small image that can be pulled and runs for ever.
pub const FINE_IMAGE: &str = "127.0.0.1:5000/fine:1";

/// Ports inside a rig.
pub mod port {
    /// The API server.
    pub const API_SERVER: u16 = 443;
    /// The registry, on loopback.
    pub const REGISTRY: u16 = 5000;
    /// The kubelet, with TLS.
    pub const KUBELET: u16 = 10250;
    /// The kubelet's metrics, plain HTTP.
    pub const KUBELET_METRICS: u16 = 10255;
}
