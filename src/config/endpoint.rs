use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, de::Error};

/// Where runtimes listen by default: containerd, CRI-O, and containerd as k3s runs it.
const USUAL_SOCKETS: [&str; 3] = [
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/k3s/containerd/containerd.sock",
];

/// The CRI endpoint as the kubelet's `containerRuntimeEndpoint` spells it, or `auto`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Endpoint {
    /// The first of the usual sockets on which a runtime answers.
    #[default]
    Auto,
    /// This unix socket.
    Unix(PathBuf),
}

impl Endpoint {
    /// The sockets to try, in order.
    pub fn candidates(&self) -> Vec<&Path> {
        match self {
            Self::Auto => USUAL_SOCKETS.iter().map(Path::new).collect(),
            Self::Unix(path) => vec![path],
        }
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        match text.strip_prefix("unix://") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(PathBuf::from(path))),
            _ => Err(format!(
                "`{text}` is not a CRI endpoint: expected `auto` or `unix:///path/to/socket`"
            )),
        }
    }
}
