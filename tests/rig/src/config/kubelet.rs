//! The kubelet.

use std::path::Path;

use serde_json::json;

use super::{merge, write_json};
use crate::folder::Folder;
use crate::options::Options;
use crate::protocol::Program;
use crate::{CONTAINERD_SOCKET, NODE, NODE_ADDRESS, port};

pub(super) fn write(folder: &Folder, options: &Options) -> anyhow::Result<()> {
    let mut config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
        "staticPodPath": folder.path("config/manifests"),
        "resolvConf": "/etc/resolv.conf",
        // The rig's own name server; without one every pod gets a warning Event.
        "clusterDNS": [NODE_ADDRESS],
        "clusterDomain": "cluster.local",
        "port": port::KUBELET,
        // Plain HTTP for /metrics, and exec and logs without a client certificate: the rig's network
        // is its own.
        "readOnlyPort": port::KUBELET_METRICS,
        "authentication": { "anonymous": { "enabled": true }, "webhook": { "enabled": false } },
        "authorization": { "mode": "AlwaysAllow" },
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": [],
        "failCgroupV1": false,
        "failSwapOn": false,
        "oomScoreAdj": 0,
        // A full disk of the host must not evict the pods of a test.
        "evictionHard": {
            "memory.available": "1Mi",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "registerWithTaints": [],
    });
    merge(&mut config, &options.kubelet_config);
    write_json(&folder.path("config/kubelet.json"), &config)
}

/// The kubelet.
pub(crate) fn program(folder: &Folder, parts: &Path, options: &Options) -> Program {
    let config = folder.path("config");
    let config = config.display();
    let program = options.kubelet.program(parts).to_string_lossy().into_owned();
    Program::new("kubelet", [program])
        .arg(format!("--config={config}/kubelet.json"))
        .arg(format!("--kubeconfig={config}/node.kubeconfig"))
        .arg(format!("--hostname-override={NODE}"))
        .arg(format!("--node-ip={NODE_ADDRESS}"))
}
