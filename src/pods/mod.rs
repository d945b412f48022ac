//! The pods of this node, as the API server knows them.
//!
//! In: a watch of `spec.nodeName`. Out: [`PodFacts`], the few fields that counting and judging
//! need, and what each pod's status says about its images. Only [`watch`] does I/O.

mod asked;
mod images;
mod store;
mod watch;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;

pub use asked::{Asked, MAX_ATTEMPTS_ANNOTATION, MODE_ANNOTATION};
pub use images::{ImageState, MESSAGE_LIMIT, Trouble};
pub use store::Pods;
pub use watch::{PodEvent, watch};

/// A pod's UID; unlike its name never used again.
pub type PodUid = String;

/// Labels by key.
pub type Labels = BTreeMap<String, String>;

/// More labels than any pod has for a purpose. The API server bounds each of them but not their
/// number, and pods of strangers must not fill the memory.
const MOST_LABELS: usize = 128;
/// Longest name of an object in Kubernetes, in bytes.
pub const LONGEST_NAME: usize = 253;

/// What pullfuse keeps of a pod.
#[derive(Debug, Clone, PartialEq)]
pub struct PodFacts {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: PodUid,
    /// `metadata.resourceVersion` of the version these facts were read from.
    pub resource_version: String,
    /// `status.phase`; empty when not yet set.
    pub phase: String,
    /// `spec.restartPolicy`.
    pub restart_policy: String,
    /// `spec.priorityClassName`; empty when not set.
    pub priority_class: String,
    /// `metadata.labels`; `None` when there are too many to look at.
    pub labels: Option<Labels>,
    /// Kind of the controller that owns it; `None` for a bare pod.
    pub owner: Option<String>,
    /// What it asks for itself.
    pub asked: Asked,
    /// Whether the pod mirrors a static pod, which only a file on the node controls.
    pub mirror: bool,
    /// Whether `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// Whether the pod carries a verdict of pullfuse.
    pub judged: bool,
    /// Whether it waits to be started and the status names no failure: it may be waiting for its
    /// turn to pull.
    pub waits: bool,
    /// Each image that the status says something about.
    pub images: BTreeMap<String, ImageState>,
}

impl PodFacts {
    /// Reads the facts from an object; `None` when it lacks a name or UID, or has one that is none, as
    /// no real pod does.
    pub fn read(pod: &Pod) -> Option<Self> {
        let meta = &pod.metadata;
        let spec = pod.spec.as_ref()?;
        let name = |name: &Option<String>| name.clone().filter(|name| is_name(name));
        let annotated =
            |key: &str| meta.annotations.as_ref().is_some_and(|all| all.contains_key(key));
        Some(Self {
            namespace: name(&meta.namespace)?,
            name: name(&meta.name)?,
            uid: name(&meta.uid)?,
            resource_version: meta.resource_version.clone()?,
            phase: pod.status.as_ref().and_then(|s| s.phase.clone()).unwrap_or_default(),
            // The API server's default.
            restart_policy: spec.restart_policy.clone().unwrap_or_else(|| "Always".into()),
            priority_class: spec.priority_class_name.clone().unwrap_or_default(),
            labels: match &meta.labels {
                Some(labels) if labels.len() > MOST_LABELS => None,
                labels => Some(labels.clone().unwrap_or_default()),
            },
            owner: (meta.owner_references.iter().flatten())
                .find(|owner| owner.controller == Some(true))
                .map(|owner| owner.kind.clone()),
            asked: Asked::read(meta),
            // Set by the kubelet, see ConfigMirrorAnnotationKey in its pod types.
            mirror: annotated("kubernetes.io/config.mirror"),
            deleting: meta.deletion_timestamp.is_some(),
            judged: annotated(crate::act::VERDICT_ANNOTATION),
            waits: images::waits(pod),
            images: images::read(pod),
        })
    }

    /// A pod of which only this is known: Pending, with restartPolicy Never, and nothing else.
    pub fn pending(namespace: &str, name: &str, uid: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            uid: uid.into(),
            resource_version: String::new(),
            phase: "Pending".into(),
            restart_policy: "Never".into(),
            priority_class: String::new(),
            labels: Some(Labels::new()),
            owner: None,
            asked: Asked::default(),
            mirror: false,
            deleting: false,
            judged: false,
            waits: false,
            images: BTreeMap::new(),
        }
    }

    /// `namespace/name`, as people write it.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// Whether the API server would take it for a name or UID of anything.
fn is_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
