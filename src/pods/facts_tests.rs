use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fixtures::{hostile, is_fit};

fn read(metadata: Value) -> PodFacts {
    let mut whole = json!({ "name": "p", "namespace": "n", "uid": "u", "resourceVersion": "1" });
    whole.as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
    let pod = json!({ "metadata": whole, "spec": { "containers": [] } });
    PodFacts::read(&serde_json::from_value(pod).unwrap()).unwrap()
}

#[test]
fn the_owner_is_the_controller_and_no_other_reference() {
    let reference = |kind: &str, controller: Value| json!({ "apiVersion": "v1", "kind": kind, "name": "x", "uid": "x", "controller": controller });
    let pod = read(json!({ "ownerReferences": [
        reference("Node", Value::Null), reference("Service", json!(false)),
        reference("Job", json!(true)) ] }));
    assert_eq!(pod.owner.as_deref(), Some("Job"));
    assert_eq!(read(json!({ "ownerReferences": [reference("Node", Value::Null)] })).owner, None);
    assert_eq!(read(json!({})).owner, None);
}

#[test]
fn labels_are_kept_unless_there_are_far_too_many() {
    assert_eq!(read(json!({})).labels, Some(Labels::new()));
    let some = read(json!({ "labels": { "team": "build" } })).labels.unwrap();
    assert_eq!(some["team"], "build");
    let many: Labels = (0..=MOST_LABELS).map(|n| (n.to_string(), String::new())).collect();
    assert_eq!(read(json!({ "labels": many })).labels, None);
}

#[test]
fn what_a_pod_asks_for_is_bounded_and_never_becomes_valid_by_it() {
    let asked = read(json!({ "annotations": {
        MAX_ATTEMPTS_ANNOTATION: format!("{}5", "0".repeat(99)),
        MODE_ANNOTATION: "\u{1b}[2Jignore" } }))
    .asked;
    let number = asked.max_attempts.unwrap();
    assert!(number.chars().count() <= LONGEST_SHOWN && number.parse::<u32>().is_err(), "{number}");
    assert!(!asked.mode.unwrap().contains(char::is_control));
    assert_eq!(read(json!({})).asked, Asked::default());
}

const LONGEST_SHOWN: usize = 40;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the API server lets pass.
    #[test]
    fn what_is_kept_of_a_pod_is_harmless_and_bounded(
        image in hostile(), reason in hostile(), message in hostile(), wish in hostile(),
        refused in any::<bool>(),
    ) {
        let reason = if refused { "InvalidImageName".into() } else { reason };
        let waiting = json!({ "name": "c", "image": "", "imageID": "", "ready": false,
            "restartCount": 0, "state": { "waiting": { "reason": reason, "message": message } } });
        let pod = json!({
            "metadata": { "name": "p", "namespace": "n", "uid": "u", "resourceVersion": "1",
                          "annotations": { MODE_ANNOTATION: wish, "other": wish } },
            "spec": { "containers": [{ "name": "c", "image": image }] },
            "status": { "phase": "Pending", "containerStatuses": [waiting] },
        });
        let pod = PodFacts::read(&serde_json::from_value(pod).unwrap()).unwrap();
        let mode = pod.asked.mode.unwrap();
        prop_assert!(is_fit(&mode) && mode.len() < 256, "{mode:?}");
        prop_assert_eq!(pod.images.len(), usize::from(refused));
        for (image, state) in pod.images {
            prop_assert!(is_fit(&image) && image.len() <= 1024, "{image:?}");
            let message = &state.trouble().unwrap().message;
            prop_assert!(is_fit(message) && message.len() <= MESSAGE_LIMIT, "{message:?}");
        }
    }
}

#[test]
fn a_name_that_is_none_is_no_pod() {
    for metadata in [json!({ "name": "p\u{1b}[2J" }), json!({ "uid": "" }), json!({ "uid": null })]
    {
        let mut whole =
            json!({ "name": "p", "namespace": "n", "uid": "u", "resourceVersion": "1" });
        whole.as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
        let pod = json!({ "metadata": whole, "spec": { "containers": [] } });
        assert_eq!(PodFacts::read(&serde_json::from_value(pod).unwrap()), None);
    }
}

#[test]
fn thousands_of_containers_are_read() {
    let name = |n: usize| format!("c{n}");
    let container = |n| {
        json!({ "name": name(n), "image": format!("r/app:{n}"),
                                "volumeMounts": [{ "name": "v", "mountPath": "/v" }] })
    };
    let status = |n| {
        json!({ "name": name(n), "image": "", "imageID": "", "ready": false,
        "restartCount": 0, "state": { "waiting": { "reason": "ErrImagePull", "message": "no" } } })
    };
    let pod = json!({
        "metadata": { "name": "p", "namespace": "n", "uid": "u", "resourceVersion": "1" },
        "spec": { "containers": (0..5000).map(container).collect::<Vec<_>>(),
                  "volumes": [{ "name": "v", "image": { "reference": "r/data:1" } }] },
        "status": { "containerStatuses": (0..5000).map(status).collect::<Vec<_>>() },
    });
    assert_eq!(PodFacts::read(&serde_json::from_value(pod).unwrap()).unwrap().images.len(), 5000);
}
