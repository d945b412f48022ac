//! The node's TOML configuration: what may be written, its defaults, and what is refused.
//!
//! In: a file's text. Out: a [`Config`] that is valid as a whole. Touches only that file.

mod checks;
mod endpoint;
mod guards;
mod history;
mod limits;
mod load;
mod pattern;
pub mod reference;
mod rules;
mod scopes;
mod selector;

use std::{net::SocketAddr, path::PathBuf};

use jiff::SignedDuration;
use serde::Deserialize;

pub use endpoint::Endpoint;
pub use guards::{Annotations, Bounds, Breaker, Caps};
pub use history::History;
pub use limits::{InForce, Limit, Limits, MIN_ELAPSED, MaxAttempts};
pub use load::{ConfigError, load, parse};
pub use pattern::Pattern;
pub use rules::{Expression, Registry, Rule};
pub use scopes::{Action, RestartPolicy, Scope};
pub use selector::LabelSelector;

/// Where the configuration is looked for unless the command line names another file.
pub const DEFAULT_PATH: &str = "/etc/pullfuse/config.toml";

/// The whole configuration. Every key has a default, so an empty file is valid.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether verdicts are carried out.
    pub mode: Mode,
    /// How the container runtime is found and watched.
    pub runtime: Runtime,
    /// How much a pod's image may fail before the pod is ended.
    pub limits: Limits,
    /// Pods that are treated differently; the first that fits is the pod's.
    #[serde(deserialize_with = "scopes::unique")]
    pub scopes: Vec<Scope>,
    /// What pods may ask for themselves.
    pub annotations: Annotations,
    /// How many pods may be ended in a short time.
    pub caps: Caps,
    /// What counts as an outage of a registry.
    pub breaker: Breaker,
    /// How a verdict is carried out.
    pub act: Act,
    /// Where metrics and health are served.
    pub serve: Serve,
    /// Which labels the metrics have.
    pub metrics: Metrics,
    /// Where state is kept.
    pub ledger: Ledger,
    /// How much is remembered of images that failed.
    pub history: History,
    /// What is logged.
    pub log: Log,
    /// How the process itself is run.
    pub process: Process,
    /// What errors mean, in the user's own words.
    pub rules: Vec<Rule>,
}

/// Whether verdicts are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Pods are failed.
    #[default]
    Enforce,
    /// Verdicts are logged and counted; no pod is touched.
    DryRun,
}

impl Mode {
    /// The name as the configuration spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::DryRun => "dry-run",
        }
    }
}

/// `[runtime]`: the container runtime of this node.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Runtime {
    /// The CRI socket; `auto` tries the usual places of containerd and CRI-O.
    pub endpoint: Endpoint,
    /// How pulls are observed on the CRI socket.
    pub capture: Capture,
    /// A pull that goes on for this long while other pods wait for theirs is reported.
    #[serde(deserialize_with = "checks::window")]
    pub holdup_after: SignedDuration,
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::default(),
            capture: Capture::default(),
            holdup_after: SignedDuration::from_mins(1),
        }
    }
}

/// How pulls are observed on the CRI socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Capture {
    /// The best mode that this build and this node offer.
    #[default]
    Auto,
    /// Only by a program behind the kernel's own unix-socket send; costs nothing elsewhere.
    Fentry,
    /// Only by a program behind every system call; a small cost for each call of the node.
    Tracepoint,
    /// Not at all: attempts come from pod status.
    Off,
}

/// `[act]`: how a verdict is carried out.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Act {
    /// How a pod is ended.
    pub method: Method,
    /// How long a pod is watched after the write before the verdict counts as held.
    #[serde(deserialize_with = "checks::window")]
    pub verify_for: SignedDuration,
    /// How often a verdict that the kubelet reverted is written again.
    pub max_rewrites: u32,
    /// Ask the runtime before each verdict whether the image has meanwhile arrived.
    pub check_image: bool,
}

impl Default for Act {
    fn default() -> Self {
        Self {
            method: Method::Status,
            verify_for: SignedDuration::from_secs(30),
            max_rewrites: 5,
            check_image: true,
        }
    }
}

/// How a pod is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Write `phase=Failed` together with an annotation; needs `patch pods/status`.
    #[default]
    Status,
    /// Write the condition, then `spec.activeDeadlineSeconds: 1`; also needs `patch pods`.
    Deadline,
}

impl Method {
    /// The name as the configuration and the metrics spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Deadline => "deadline",
        }
    }
}

/// `[serve]`: metrics and health.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Serve {
    /// Address of `/metrics`, `/healthz` and `/readyz`.
    pub address: SocketAddr,
    /// Unix socket where the command line asks the agent; its folder is created when missing.
    #[serde(deserialize_with = "checks::absolute")]
    pub socket: PathBuf,
}

impl Default for Serve {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([0, 0, 0, 0], 9460)),
            socket: PathBuf::from(crate::local::DEFAULT_SOCKET),
        }
    }
}

/// `[metrics]`: which labels the metrics have.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Registries with series of their own; the rest is `other`.
    #[serde(deserialize_with = "checks::registries")]
    pub registries: u32,
    /// Whether attempts, failing images and verdicts are told apart by the pod's namespace.
    pub namespaces: bool,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { registries: 20, namespaces: false }
    }
}

/// `[ledger]`: what survives a restart.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ledger {
    /// Folder of the ledger file; created when missing.
    #[serde(deserialize_with = "checks::absolute")]
    pub dir: PathBuf,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { dir: PathBuf::from("/var/lib/pullfuse") }
    }
}

/// `[log]`: what is written to standard error.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A filter such as `info` or `pullfuse=debug,kube=warn`.
    #[serde(deserialize_with = "checks::filter")]
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        // What kube_client says of failures is said by us as well, with what to do.
        Self { level: "info,kube_client=off".into(), format: LogFormat::Json }
    }
}

/// `[process]`: the agent's own process.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Process {
    /// Give up the rights, files and system calls that are not needed.
    pub confine: bool,
}

impl Default for Process {
    fn default() -> Self {
        Self { confine: true }
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// One JSON object per line.
    #[default]
    Json,
    /// For people.
    Text,
}
