//! What an operator and a pod's owner may ask for: annotations, scopes and caps.

use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::Pod};
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};
use libtest_mimic::Trial;
use pullfuse_rig::NODE;
use serde_json::{Value, json};

use crate::support::{AgentOptions, Node, missing_pod, phase, scenario, until, verdict};

/// How long a cap counts a verdict, in seconds.
const WINDOW: i64 = 40;

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("policy::annotations_are_heard_within_bounds", annotations),
        scenario("policy::scopes_decide_what_is_done_and_when", scopes),
        scenario("policy::a_cap_holds_what_is_too_much", caps),
    ]
}

/// A pod whose image does not exist, with these metadata.
async fn apply(node: &Node, pod: &str, metadata: Value) -> anyhow::Result<()> {
    let mut pod: Value = serde_json::from_str(pod)?;
    if let (Value::Object(all), Value::Object(more)) = (&mut pod["metadata"], metadata) {
        all.extend(more);
    }
    node.rig.apply(&pod.to_string()).await
}

async fn failed(node: &Node, namespace: &str, name: &str) -> anyhow::Result<Pod> {
    node.wait_pod(namespace, name, "it is Failed", |pod| phase(pod) == "Failed").await
}

/// The pod waits as if there were no pullfuse.
async fn is_left_alone(node: &Node, namespace: &str, name: &str) -> anyhow::Result<()> {
    assert_eq!(phase(&node.pods(namespace).get(name).await?), "Pending");
    assert_eq!(node.writes_to(namespace, name)?.len(), 0, "{name} was written to");
    Ok(())
}

/// The node's own limit is two attempts.
async fn annotations() -> anyhow::Result<()> {
    let (node, agent) = (Node::core().await?, AgentOptions::two_attempts());
    let namespace = "annotated";
    node.rig.namespace(namespace).await?;
    for (name, annotation, value) in [
        ("one", "max-attempts", "1"),
        ("three", "max-attempts", "3"),
        ("bad", "max-attempts", "soon"),
        ("report", "mode", "report"),
        ("ignore", "mode", "ignore"),
    ] {
        let annotations = json!({ format!("pullfuse.io/{annotation}"): value });
        let pod = missing_pod(namespace, name, json!({}));
        apply(&node, &pod, json!({ "annotations": annotations })).await?;
    }
    let event = node.until_told(namespace, "bad", "BadAnnotation").await?;
    let note = event.note.unwrap_or_default();
    assert!(note.contains("\"soon\" is not a number from 1 to 100"), "{note}");
    for (name, attempts) in [("one", 1), ("bad", 2), ("three", 3)] {
        assert_eq!(verdict(&failed(&node, namespace, name).await?)["attempts"], attempts, "{name}");
    }
    let event = node.until_told(namespace, "report", "ImagePullFailing").await?;
    let note = event.note.unwrap_or_default();
    assert!(note.contains("its annotation says report") && note.contains("not_found"), "{note}");
    for name in ["report", "ignore"] {
        let pod = format!("\"pod\":\"{name}\"");
        let namespace = format!("\"namespace\":\"{namespace}\"");
        let attempt = ["attempt failed", &namespace, &pod, "\"attempts\":3"];
        node.until_logged(&agent, &attempt).await?;
    }
    for name in ["report", "ignore"] {
        is_left_alone(&node, namespace, name).await?;
    }
    assert_eq!(node.told(namespace, "ignore").await?.len(), 0);
    Ok(())
}

async fn scopes() -> anyhow::Result<()> {
    let node = Node::core().await?;
    let agent = AgentOptions::own(
        "scopes",
        9481,
        r#"
        breaker.images = 0
        limits = { max_attempts = 1, min_elapsed = "1s" }
        [[scopes]]
        name = "reported"
        namespaces = ["own-scopes"]
        labels = "team=report"
        action = "report"
        [[scopes]]
        name = "ignored"
        images = ["*/ignored:*"]
        action = "ignore"
        [[scopes]]
        name = "patient"
        namespaces = ["own-sc*"]
        images = ["127.0.0.1:5000/patient*"]
        limits = { max_attempts = 2 }
        [[scopes]]
        name = "replaced"
        namespaces = ["own-scopes"]
        owners = ["ReplicaSet"]
        restart_policies = ["Always"]
        "#,
    );
    let namespace = "own-scopes";
    node.rig.namespace(namespace).await?;
    node.start_agent(&agent).await?;
    for name in ["reported", "ignored", "patient", "plain", "always"] {
        let always = json!({ "restartPolicy": "Always" });
        let spec = if name == "always" { always } else { json!({}) };
        let team = if name == "reported" { "report" } else { "other" };
        let pod = missing_pod(namespace, name, spec);
        apply(&node, &pod, json!({ "labels": { "team": team } })).await?;
    }
    let replicas = replica_set(namespace);
    node.rig.apply(&replicas.to_string()).await?;

    // Its ReplicaSet makes another one, which has its own verdict.
    let labelled = ListParams::default().labels("app=replicas");
    let replaced = async || {
        let pods = node.pods(namespace).list(&labelled).await?.items;
        let failed = pods.iter().any(|pod| phase(pod) == "Failed" && !verdict(pod).is_null());
        Ok((failed && pods.len() > 1).then_some(()))
    };
    until(replaced).await?;
    let sets = Api::<ReplicaSet>::namespaced(node.rig.client(), namespace);
    sets.delete("replicas", &DeleteParams::background()).await?;

    for (name, attempts) in [("plain", 1), ("patient", 2)] {
        assert_eq!(verdict(&failed(&node, namespace, name).await?)["attempts"], attempts, "{name}");
    }
    for (name, why) in [
        ("reported", "its scope says report"),
        ("always", "its restartPolicy is Always, so its owner would only replace it"),
    ] {
        let event = node.until_told(namespace, name, "ImagePullFailing").await?;
        let note = event.note.unwrap_or_default();
        assert!(note.contains(why), "{note}");
        is_left_alone(&node, namespace, name).await?;
    }
    let ignored = node.failing(&agent, "own-scopes/ignored").await?;
    assert_eq!(ignored["scope"], "ignored");
    is_left_alone(&node, namespace, "ignored").await?;
    assert_eq!(node.told(namespace, "ignored").await?.len(), 0);
    Ok(())
}

fn replica_set(namespace: &str) -> Value {
    let labels = json!({ "app": "replicas" });
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": { "namespace": namespace, "name": "replicas" },
        "spec": { "replicas": 1, "selector": { "matchLabels": labels }, "template": {
            "metadata": { "labels": labels },
            "spec": {
                "nodeName": NODE, "terminationGracePeriodSeconds": 1,
                "containers": [{ "name": "c", "image": "127.0.0.1:5000/replicas:nosuch" }],
            },
        } },
    })
}

async fn caps() -> anyhow::Result<()> {
    let node = Node::core().await?;
    let config = format!(
        "breaker.images = 0\nlimits = {{ max_attempts = 1, min_elapsed = \"1s\" }}\n\
         caps = {{ per_node = 2, window = \"{WINDOW}s\" }}\n"
    );
    let agent = AgentOptions::own("caps", 9482, &config);
    let namespace = "own-caps";
    node.rig.namespace(namespace).await?;
    node.start_agent(&agent).await?;
    let names = ["a", "b", "c", "d"];
    for name in names {
        node.rig.apply(&missing_pod(namespace, name, json!({}))).await?;
    }
    let held = "pullfuse_held_back{reason=\"per_node\"}";
    node.until_metric(&agent, held, 2.0).await?;
    let pods = node.ask(&agent, &["pods", "-n", namespace, "-o", "wide"]).await?;
    let says = "as many pods as caps.per_node allows were ended lately";
    assert_eq!(pods.matches(says).count(), 2, "{pods}");

    // They have their turn when the window has passed, and no sooner.
    let mut decided = Vec::new();
    for name in names {
        let verdict = verdict(&failed(&node, namespace, name).await?);
        decided.push(verdict["decided"].as_str().unwrap().parse::<jiff::Timestamp>()?);
    }
    decided.sort();
    for (first, third) in decided.iter().zip(&decided[2..]) {
        assert!(third.duration_since(*first).as_secs() >= WINDOW, "too many at once: {decided:?}");
    }
    node.until_metric(&agent, held, 0.0).await
}
