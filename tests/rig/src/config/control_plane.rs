//! etcd, the registry, the API server, the controller manager and the scheduler.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::write_json;
use crate::folder::Folder;
use crate::protocol::Program;
use crate::{NODE_ADDRESS, port};

/// Every request of the rig's people and parts that changes a pod, its status or an event is kept
/// whole, and of an agent's other requests that they were made; reading is not.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  verbs: [get, list, watch]
- level: RequestResponse
  resources:
  - group: ''
    resources: [pods, pods/status, pods/eviction, events]
  - group: events.k8s.io
    resources: [events]
- level: Metadata
  userGroups: ['system:serviceaccounts:pullfuse']
- level: None
";

pub(super) fn write(folder: &Folder) -> anyhow::Result<()> {
    fs::write(folder.path("config/audit.yaml"), AUDIT_POLICY)?;
    let registry = json!({
        "version": 0.1,
        "log": { "level": "warn" },
        "storage": {
            "filesystem": { "rootdirectory": "/var/lib/registry" },
            "delete": { "enabled": true },
        },
        "http": { "addr": format!("127.0.0.1:{}", port::REGISTRY) },
    });
    write_json(&folder.path("config/registry.yaml"), &registry)
}

/// The store of the API server.
pub(crate) fn etcd(parts: &Path) -> Program {
    let bin = parts.join("bin/etcd");
    Program::new("etcd", [bin.to_string_lossy(), "--data-dir=/var/lib/etcd".into()])
        // Nothing here outlives the machine, so nothing has to reach the disk.
        .arg("--unsafe-no-fsync")
        .arg("--log-level=warn")
}

/// A real registry, for images that exist.
pub(crate) fn registry(folder: &Folder, parts: &Path) -> Program {
    Program::new("registry", [parts.join("bin/registry").to_string_lossy()])
        .arg("serve")
        .arg(folder.path("config/registry.yaml").to_string_lossy())
        .env("OTEL_TRACES_EXPORTER", "none")
}

/// The API server.
pub(crate) fn api_server(folder: &Folder, parts: &Path) -> Program {
    let config = folder.path("config");
    let config = config.display();
    let audit_log = folder.path("log/audit.log");
    let flags = [
        "--etcd-servers=http://127.0.0.1:2379".to_owned(),
        format!("--secure-port={}", port::API_SERVER),
        format!("--advertise-address={NODE_ADDRESS}"),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        // The only endpoint would be the node itself, and nothing here follows endpoints.
        "--endpoint-reconciler-type=none".to_owned(),
        format!("--tls-cert-file={config}/api-server.pem"),
        format!("--tls-private-key-file={config}/api-server.key"),
        format!("--token-auth-file={config}/tokens.csv"),
        // For logs and exec: nothing resolves the node's name.
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={config}/accounts.pub"),
        format!("--service-account-signing-key-file={config}/accounts.key"),
        format!("--audit-policy-file={config}/audit.yaml"),
        format!("--audit-log-path={}", audit_log.display()),
        "--audit-log-mode=blocking".to_owned(),
        "--profiling=false".to_owned(),
    ];
    command("kube-apiserver", parts, flags)
}

/// The controller manager.
pub(crate) fn controller_manager(folder: &Folder, parts: &Path) -> Program {
    let config = folder.path("config");
    let config = config.display();
    let without = "*,-node-ipam-controller,-node-route-controller,-service-lb-controller,-cloud-node-lifecycle-controller";
    let flags = [
        // With plain RBAC its own user would lack rights that come with bootstrapping tools.
        format!("--kubeconfig={config}/inner.kubeconfig"),
        format!("--root-ca-file={config}/ca.pem"),
        format!("--service-account-private-key-file={config}/accounts.key"),
        format!("--controllers={without}"),
        "--leader-elect=false".to_owned(),
    ];
    command("kube-controller-manager", parts, flags)
}

/// The scheduler; a DaemonSet needs it.
pub(crate) fn scheduler(folder: &Folder, parts: &Path) -> Program {
    let kubeconfig = folder.path("config/inner.kubeconfig");
    let flags =
        [format!("--kubeconfig={}", kubeconfig.display()), "--leader-elect=false".to_owned()];
    command("kube-scheduler", parts, flags)
}

fn command<const N: usize>(name: &str, parts: &Path, flags: [String; N]) -> Program {
    let program = parts.join("bin").join(name).to_string_lossy().into_owned();
    Program::new(name, std::iter::once(program).chain(flags))
}
