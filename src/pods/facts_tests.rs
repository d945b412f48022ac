use serde_json::{Value, json};

use super::*;

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
