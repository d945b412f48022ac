use serde_json::{Value, json};

use super::*;

/// A pod whose containers and statuses are given as JSON.
fn pod(spec: Value, status: Value) -> Pod {
    serde_json::from_value(json!({ "metadata": { "name": "p" }, "spec": spec, "status": status }))
        .unwrap()
}

fn waiting(container: &str, reason: &str, message: &str) -> Value {
    json!({ "name": container, "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": reason, "message": message } } })
}

fn one(reason: &str, message: &str) -> Option<ImageState> {
    read(&pod(
        json!({ "containers": [{ "name": "c", "image": "r/app:1" }] }),
        json!({ "containerStatuses": [waiting("c", reason, message)] }),
    ))
    .remove("r/app:1")
}

#[test]
fn waiting_reasons_say_what_they_mean_for_the_image() {
    assert!(matches!(one("ErrImagePull", "m"), Some(ImageState::Failed(t)) if t.message == "m"));
    assert!(matches!(one("RegistryUnavailable", ""), Some(ImageState::Failed(_))));
    assert!(matches!(one("SignatureValidationFailed", ""), Some(ImageState::Failed(_))));
    assert!(matches!(one("InvalidImageName", ""), Some(ImageState::Refused(_))));
    assert!(matches!(one("ErrImageNeverPull", ""), Some(ImageState::Refused(_))));
    assert!(matches!(one("ImagePullBackOff", ""), Some(ImageState::BackingOff(_))));
    assert_eq!(one("CrashLoopBackOff", ""), Some(ImageState::Pulled));
    assert_eq!(one("CreateContainerConfigError", ""), Some(ImageState::Pulled));
    assert_eq!(one("ContainerCreating", ""), None);
    assert_eq!(one("PodInitializing", ""), None);
    assert_eq!(one("ImageInspectError", ""), None, "the runtime's fault, not an attempt");
}

#[test]
fn a_container_that_runs_proves_the_image_for_all() {
    let images = read(&pod(
        json!({ "containers": [{ "name": "a", "image": "x" }, { "name": "b", "image": "x" }] }),
        json!({ "containerStatuses": [
            waiting("b", "ErrImagePull", "no"),
            { "name": "a", "image": "", "imageID": "", "ready": true, "restartCount": 0,
              "state": { "running": {} } }
        ] }),
    ));
    assert_eq!(images.get("x"), Some(&ImageState::Pulled));
}

#[test]
fn an_init_container_that_has_ended_does_not_hide_that_the_next_pull_fails() {
    let spec = json!({ "initContainers": [{ "name": "i", "image": "x" }],
                       "containers": [{ "name": "c", "image": "x" }] });
    let status = |reason| {
        json!({
            "initContainerStatuses": [{
                "name": "i", "image": "x", "imageID": "x@1", "ready": true, "restartCount": 0,
                "state": { "terminated": { "exitCode": 0, "containerID": "containerd://1" } },
            }],
            "containerStatuses": [waiting("c", reason, "no")],
        })
    };
    let shown = |reason| read(&pod(spec.clone(), status(reason))).remove("x");
    assert!(matches!(shown("ErrImagePull"), Some(ImageState::Failed(_))));
    assert!(matches!(shown("ImagePullBackOff"), Some(ImageState::BackingOff(_))));
    assert_eq!(shown("PodInitializing"), Some(ImageState::Pulled));
}

/// As the kubelet writes it when a pod is ended whose container was never made.
#[test]
fn a_container_that_never_was_proves_nothing() {
    let of = |terminated: Value| {
        read(&pod(
            json!({ "containers": [{ "name": "c", "image": "x" }] }),
            json!({ "containerStatuses": [
                { "name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                  "state": { "terminated": terminated } }
            ] }),
        ))
        .remove("x")
    };
    let unknown = json!({ "exitCode": 137, "reason": "ContainerStatusUnknown" });
    assert_eq!(of(unknown), None);
    let ran = json!({ "exitCode": 1, "reason": "Error", "containerID": "containerd://abc" });
    assert_eq!(of(ran), Some(ImageState::Pulled));
}

#[test]
fn init_containers_and_sidecars_count_and_ephemeral_ones_do_not() {
    let images = read(&pod(
        json!({ "initContainers": [{ "name": "i", "image": "init" }],
                "containers": [{ "name": "c", "image": "main" }],
                "ephemeralContainers": [{ "name": "e", "image": "debug" }] }),
        json!({ "initContainerStatuses": [waiting("i", "ErrImagePull", "no")],
                "containerStatuses": [waiting("c", "PodInitializing", "")],
                "ephemeralContainerStatuses": [waiting("e", "ErrImagePull", "no")] }),
    ));
    assert_eq!(images.keys().collect::<Vec<_>>(), ["init"]);
}

#[test]
fn an_image_volume_is_blamed_when_the_text_names_it() {
    let spec = json!({
        "containers": [{ "name": "c", "image": "r/app:1",
                         "volumeMounts": [{ "name": "v", "mountPath": "/v" }] }],
        "volumes": [{ "name": "v", "image": { "reference": "r/data:7" } }] });
    let of = |message: &str| {
        read(&pod(
            spec.clone(),
            json!({ "containerStatuses": [waiting("c", "ErrImagePull", message)] }),
        ))
        .into_keys()
        .collect::<Vec<_>>()
    };
    assert_eq!(of("failed to pull and unpack image \"r/data:7\": not found"), ["r/data:7"]);
    assert_eq!(of("failed to pull and unpack image \"r/app:1\": not found"), ["r/app:1"]);
    assert_eq!(of("no name at all"), ["r/app:1"]);
}

#[test]
fn hostile_text_is_bounded_and_cleaned() {
    let Some(ImageState::Failed(trouble)) = one("ErrImagePull", &"\u{1b}[31m\n".repeat(9999))
    else {
        panic!("not an attempt")
    };
    assert!(trouble.message.len() <= MESSAGE_LIMIT);
    assert!(!trouble.message.contains(char::is_control));
}
