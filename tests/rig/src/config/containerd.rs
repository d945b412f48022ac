//! containerd and the pods' network.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::write_json;
use crate::PAUSE_IMAGE;
use crate::folder::Folder;
use crate::options::{Containerd, Options};
use crate::protocol::Program;

pub(super) fn write(folder: &Folder, parts: &Path, options: &Options) -> anyhow::Result<()> {
    let text = match options.containerd {
        Containerd::V2_4 => version_3(folder, parts),
        Containerd::V1_6 => version_2(folder, parts),
    };
    fs::write(folder.path("config/containerd.toml"), text)?;
    let network = json!({
        "cniVersion": "0.4.0",
        "name": "rig",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "pods0",
                "isGateway": true,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{ "subnet": "10.244.0.0/16" }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            },
        ],
    });
    write_json(&folder.path("config/cni/10-rig.conflist"), &network)
}

/// containerd, at its default addresses.
pub(crate) fn program(folder: &Folder, parts: &Path, options: &Options) -> Program {
    let programs = options.containerd.programs(parts);
    let path = format!(
        "{}:{}:{}",
        programs.display(),
        parts.join("bin").display(),
        std::env::var("PATH").unwrap_or_default(),
    );
    let config = folder.path("config/containerd.toml");
    let argv = [programs.join("containerd"), "--config".into(), config];
    Program::new("containerd", argv.map(|part| part.to_string_lossy().into_owned()))
        .env("PATH", path)
}

/// For containerd 2. The machine may lack CAP_SYS_RESOURCE, hence `restrict_oom_score_adj`.
fn version_3(folder: &Folder, parts: &Path) -> String {
    let (config, parts) = (folder.path("config"), parts.display());
    let config = config.display();
    format!(
        "version = 3
disabled_plugins = ['io.containerd.nri.v1.nri', 'io.containerd.internal.v1.tracing']
[plugins.'io.containerd.internal.v1.opt']
path = '/var/lib/containerd/opt'
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = '{PAUSE_IMAGE}'
[plugins.'io.containerd.cri.v1.images'.registry]
config_path = '{config}/certs.d'
[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ['{parts}/cni']
conf_dir = '{config}/cni'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = '{parts}/bin/runc'
"
    )
}

/// For containerd 1.6.
fn version_2(folder: &Folder, parts: &Path) -> String {
    let (config, parts) = (folder.path("config"), parts.display());
    let config = config.display();
    format!(
        "version = 2
[plugins.'io.containerd.internal.v1.opt']
path = '/var/lib/containerd/opt'
[plugins.'io.containerd.grpc.v1.cri']
sandbox_image = '{PAUSE_IMAGE}'
restrict_oom_score_adj = true
[plugins.'io.containerd.grpc.v1.cri'.registry]
config_path = '{config}/certs.d'
[plugins.'io.containerd.grpc.v1.cri'.cni]
bin_dir = '{parts}/cni'
conf_dir = '{config}/cni'
[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc.options]
BinaryName = '{parts}/bin/runc'
"
    )
}
