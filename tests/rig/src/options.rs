//! What a rig is made of.

use std::path::{Path, PathBuf};

/// How to start a rig. The default is the newest of everything.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The rig's id, which must be free; made up when absent.
    pub name: Option<String>,
    /// Which kubelet runs.
    pub kubelet: Kubelet,
    /// Which containerd runs.
    pub containerd: Containerd,
    /// Merged over the rig's own `KubeletConfiguration`, for example
    /// `json!({"serializeImagePulls": false})`.
    pub kubelet_config: serde_json::Value,
}

/// A version of the kubelet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Kubelet {
    /// The API server's own version.
    #[default]
    #[value(name = "1.36")]
    V1_36,
    /// The oldest one that is supported with that API server.
    #[value(name = "1.33")]
    V1_33,
}

impl Kubelet {
    pub(crate) fn program(self, parts: &Path) -> PathBuf {
        parts.join(match self {
            Self::V1_36 => "bin/kubelet",
            Self::V1_33 => "bin/kubelet-1.33",
        })
    }
}

/// A version of containerd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Containerd {
    /// The current one.
    #[default]
    #[value(name = "2.4")]
    V2_4,
    /// Debian's; other error texts and other wire habits.
    #[value(name = "1.6")]
    V1_6,
}

impl Containerd {
    /// The folder of containerd, its shim and `ctr`.
    pub(crate) fn programs(self, parts: &Path) -> PathBuf {
        parts.join(match self {
            Self::V2_4 => "bin",
            Self::V1_6 => "containerd-1.6",
        })
    }
}
