use serde_json::{Value, json};

use super::*;

fn agent(status: Value) -> Agent {
    let pod = json!({
        "metadata": { "namespace": "pullfuse", "name": "pullfuse-x",
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "pullfuse", "uid": "u" }] },
        "spec": { "nodeName": "node-a", "containers": [{ "name": "pullfuse", "image": "r/pullfuse:0.2" }] },
        "status": status,
    });
    of_pod(&serde_json::from_value(pod).unwrap()).unwrap()
}

fn container(ready: bool, state: Value, last: Value) -> Value {
    json!({ "containerStatuses": [{ "name": "pullfuse", "image": "", "imageID": "", "ready": ready,
        "restartCount": 4, "state": state, "lastState": last }] })
}

fn node(name: &str, os: &str) -> Node {
    let node = json!({ "metadata": { "name": name, "labels": { "kubernetes.io/os": os } } });
    serde_json::from_value(node).unwrap()
}

fn sets() -> Vec<Set> {
    let set = json!({ "metadata": { "name": "pullfuse" }, "spec": {
        "selector": {}, "template": { "spec": { "containers": [],
            "nodeSelector": { "kubernetes.io/os": "linux" } } } } });
    vec![Set::read(serde_json::from_value(set).unwrap())]
}

#[test]
fn a_ready_agent_has_version_and_restarts_and_no_reason() {
    let agent = agent(container(true, json!({ "running": {} }), json!({})));
    assert_eq!((agent.health, agent.restarts, agent.why.as_str()), (Health::Ready, 4, ""));
    assert_eq!(agent.image.as_deref(), Some("r/pullfuse:0.2"));
}

#[test]
fn what_keeps_an_agent_from_being_ready_is_said() {
    let unscheduled = json!({ "conditions": [{ "type": "PodScheduled", "status": "False",
        "message": "0/1 nodes are available" }] });
    let pulling = json!({ "waiting": { "reason": "ErrImagePull", "message": "not found" } });
    let crashed = json!({ "terminated": { "exitCode": 69,
        "message": "a line\npullfuse: cannot use the ledger folder\n" } });
    let back_off =
        json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 40s" } });
    for (status, why) in [
        (unscheduled, "not scheduled: 0/1 nodes are available"),
        (container(false, pulling, json!({})), "ErrImagePull: not found"),
        (
            container(false, back_off, crashed),
            "exit code 69: pullfuse: cannot use the ledger folder",
        ),
        (json!({ "reason": "Evicted", "message": "low on disk" }), "low on disk"),
    ] {
        let agent = agent(status);
        assert_eq!((agent.health, agent.why.as_str(), agent.runs), (Health::NotReady, why, false));
    }
}

#[test]
fn nodes_without_an_agent_are_told_from_those_that_shall_have_none() {
    let mut agents =
        Agents { rows: vec![agent(container(true, json!({ "running": {} }), json!({})))] };
    for node in [node("node-a", "linux"), node("win", "windows")] {
        agents.add_node(&node, &sets());
    }
    assert!(agents.all_well());
    assert_eq!(agents.counts(), (1, 1));
    agents.add_node(&node("node-b", "linux"), &sets());
    assert!(!agents.all_well());
    assert_eq!(agents.counts(), (2, 1));
    assert_eq!(agents.rows[2].health, Health::Missing);
}

#[test]
fn a_pod_that_is_not_scheduled_belongs_to_the_node_it_was_made_for() {
    let pod = json!({ "spec": { "containers": [], "affinity": { "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
            { "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["node-b"] }] },
        ] } } } } });
    assert_eq!(target(&serde_json::from_value(pod).unwrap()), "node-b");
}
