use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};

use crate::text::{self, plain};

/// Longest error text that is kept, in bytes.
pub const MESSAGE_LIMIT: usize = 1024;

/// What a pod's status says about one of its images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageState {
    /// A container that uses it got past its pull.
    Pulled,
    /// The kubelet's last attempt failed, and the status shows that attempt's outcome.
    Failed(Trouble),
    /// The kubelet refuses the image at every sync without asking the runtime; the status stays
    /// the same however often it does.
    Refused(Trouble),
    /// The kubelet waits before its next attempt.
    BackingOff(Trouble),
}

/// The kubelet's reason and text.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Trouble {
    /// The waiting reason, such as `ErrImagePull`.
    pub reason: String,
    /// The waiting message, bounded and free of control characters.
    pub message: String,
}

impl ImageState {
    /// The error, unless the image was pulled.
    pub fn trouble(&self) -> Option<&Trouble> {
        match self {
            Self::Pulled => None,
            Self::Failed(t) | Self::Refused(t) | Self::BackingOff(t) => Some(t),
        }
    }

    /// Sorts a waiting reason; the reasons are those of the kubelet's `pkg/kubelet/images/types.go`
    /// and `cri-api/pkg/errors`. `None`: the reason says nothing about the image.
    fn of_waiting(reason: &str, message: &str) -> Option<Self> {
        let trouble = || Trouble { reason: reason.into(), message: plain(message, MESSAGE_LIMIT) };
        match reason {
            "ErrImagePull" | "RegistryUnavailable" | "SignatureValidationFailed" => {
                Some(Self::Failed(trouble()))
            }
            "InvalidImageName" | "ErrImageNeverPull" => Some(Self::Refused(trouble())),
            "ImagePullBackOff" => Some(Self::BackingOff(trouble())),
            // The kubelet makes or starts a container only after it has the image.
            "CreateContainerConfigError"
            | "CreateContainerError"
            | "RunContainerError"
            | "CrashLoopBackOff"
            | "PostStartHookError" => Some(Self::Pulled),
            _ => None,
        }
    }

    /// Of several containers with one image the one that knows most speaks: a pull that worked,
    /// then an attempt's outcome.
    fn rank(&self) -> u8 {
        match self {
            Self::Pulled => 3,
            Self::Failed(_) => 2,
            Self::Refused(_) => 1,
            Self::BackingOff(_) => 0,
        }
    }
}

/// Whether the pod's sandbox stands and nothing of it runs yet or has failed. Reasons as in the
/// kubelet's `kubelet_pods.go` (`ContainerCreating`, `PodInitializing`).
pub(super) fn waits(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    // Since Kubernetes 1.29; without a sandbox no image is asked for.
    let no_sandbox = (status.conditions.iter().flatten())
        .any(|c| c.type_ == "PodReadyToStartContainers" && c.status != "True");
    let mut containers = (status.init_container_statuses.iter().flatten())
        .chain(status.container_statuses.iter().flatten())
        .peekable();
    let waits = |container: &ContainerStatus| {
        let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
        let reason = waiting.and_then(|waiting| waiting.reason.as_deref());
        matches!(reason, Some("ContainerCreating" | "PodInitializing"))
    };
    status.phase.as_deref() == Some("Pending")
        && !no_sandbox
        && pod.metadata.deletion_timestamp.is_none()
        && containers.peek().is_some()
        && containers.all(waits)
}

/// What the status says about each image of the pod. Ephemeral containers are left out: they are
/// for debugging and never a reason to end a pod.
pub(super) fn read(pod: &Pod) -> BTreeMap<String, ImageState> {
    let (Some(spec), Some(status)) = (&pod.spec, &pod.status) else {
        return BTreeMap::new();
    };
    let volume_images: BTreeMap<&str, &str> = (spec.volumes.iter().flatten())
        .filter_map(|v| Some((v.name.as_str(), v.image.as_ref()?.reference.as_deref()?)))
        .collect();
    let containers: BTreeMap<&str, &Container> = (spec.init_containers.iter().flatten())
        .chain(&spec.containers)
        .map(|c| (c.name.as_str(), c))
        .collect();

    let mut images = BTreeMap::new();
    let mut past = Vec::new();
    let statuses = (status.init_container_statuses.iter().flatten())
        .chain(status.container_statuses.iter().flatten());
    for container_status in statuses {
        let Some(container) = containers.get(container_status.name.as_str()) else { continue };
        let Some(state) = state_of(container_status) else { continue };
        let Some(own) = container.image.as_deref() else { continue };
        let mounted: Vec<&str> = (container.volume_mounts.iter().flatten())
            .filter_map(|mount| volume_images.get(mount.name.as_str()).copied())
            .collect();
        match &state {
            ImageState::Pulled if ended(container_status) => {
                past.extend(mounted.into_iter().chain([own]))
            }
            ImageState::Pulled => {
                for image in mounted.into_iter().chain([own]) {
                    note(&mut images, image, state.clone());
                }
            }
            other => {
                let message = other.trouble().map_or("", |t| &t.message);
                note(&mut images, culprit(own, &mounted, message), state);
            }
        }
    }
    // That an init container had the image is long past when another container's pull of it fails.
    for image in past {
        images.entry(text::image(image)).or_insert(ImageState::Pulled);
    }
    images
}

fn ended(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.terminated.is_some())
}

fn note(images: &mut BTreeMap<String, ImageState>, image: &str, state: ImageState) {
    let image = text::image(image);
    match images.get(&image) {
        Some(known) if known.rank() >= state.rank() => {}
        _ => {
            images.insert(image, state);
        }
    }
}

/// An image volume that cannot be pulled shows as the waiting reason of the containers that mount
/// it; only the text tells which image it was.
fn culprit<'a>(own: &'a str, mounted: &[&'a str], message: &str) -> &'a str {
    // The longest match: `app:1` is a part of `app:10`.
    (mounted.iter().copied())
        .filter(|image| message.contains(image) && (!message.contains(own) || image.contains(own)))
        .max_by_key(|image| image.len())
        .unwrap_or(own)
}

fn state_of(status: &ContainerStatus) -> Option<ImageState> {
    let state = status.state.as_ref()?;
    // For a container that it never made, the kubelet writes ContainerStatusUnknown without an id.
    let existed = |id: Option<&str>| id.is_some_and(|id| !id.is_empty());
    if state.running.is_some()
        || state.terminated.as_ref().is_some_and(|t| existed(t.container_id.as_deref()))
    {
        return Some(ImageState::Pulled);
    }
    let waiting = state.waiting.as_ref()?;
    ImageState::of_waiting(
        waiting.reason.as_deref().unwrap_or_default(),
        waiting.message.as_deref().unwrap_or_default(),
    )
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
