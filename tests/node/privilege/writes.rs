//! A good write, spoilt in one place at a time.

use kube::api::{Patch, PatchParams};
use pullfuse_rig::{FINE_IMAGE, NODE};
use serde_json::{Value, json};

use crate::support::{Holder, Node, missing_pod};

const NAMESPACE: &str = "privilege";
/// A node without a kubelet: nobody but the test changes its pods.
pub(super) const OTHER_NODE: &str = "node-b";
/// The pod that is marked as the mirror of a static one.
const MIRROR: &str = "mirror";

/// What an agent writes to `pods/status`.
fn verdict() -> Value {
    json!({
        "metadata": { "annotations": { "pullfuse.io/verdict": "{}" } },
        "status": {
            "phase": "Failed", "reason": "ImagePullFailed", "message": "no such image",
            "conditions": [{
                "type": "pullfuse.io/ImagePullFailed", "status": "True",
                "reason": "ImagePullFailed", "message": "no such image",
            }],
        },
    })
}

/// What the deadline's method writes to `pods/status` before the deadline.
fn explanation() -> Value {
    let mut body = verdict();
    body["status"] = json!({ "conditions": body["status"]["conditions"] });
    body
}

/// A change that turns a good write into a bad one, and what the refusal must say.
pub(super) type Spoilt = (fn(&mut Value), &'static str);

const SPOILT_VERDICTS: [Spoilt; 16] = [
    (|v| v["metadata"]["labels"] = json!({ "app": "database" }), "metadata.labels"),
    (|v| v["metadata"]["finalizers"] = json!(["example.com/stay"]), "metadata.finalizers"),
    (|v| v["metadata"]["annotations"]["team/owner"] = json!("x"), "annotation.team/owner"),
    (|v| v["metadata"]["annotations"]["kept"] = Value::Null, "annotation.kept"),
    (
        |v| v["status"]["containerStatuses"] = json!([{ "name": "c", "ready": true }]),
        "containerStatuses",
    ),
    (|v| v["status"]["podIP"] = json!("10.0.0.1"), "status.podIP"),
    (|v| v["status"]["hostIP"] = json!("10.0.0.1"), "status.hostIP"),
    (|v| v["status"]["startTime"] = Value::Null, "status.startTime"),
    (|v| v["status"]["phase"] = json!("Running"), "not Running"),
    (|v| v["status"]["phase"] = json!("Succeeded"), "not Succeeded"),
    (|v| v["status"]["phase"] = json!("Pending"), "only together with the phase Failed"),
    (|v| v["status"]["reason"] = json!("Evicted"), "status.reason to ImagePullFailed"),
    (|v| v["status"]["conditions"][0]["status"] = json!("False"), "with status True"),
    (|v| v["status"]["conditions"][0]["reason"] = json!("Bored"), "reason ImagePullFailed"),
    (|v| v["status"]["conditions"][0]["type"] = json!("pullfuse.io/Other"), "its own condition"),
    (
        |v| v["status"]["conditions"] = json!([{ "type": "Ready", "status": "True" }]),
        "its own condition",
    ),
];

const SPOILT_DEADLINES: [Spoilt; 4] = [
    (
        |d| d["spec"]["activeDeadlineSeconds"] = json!(60),
        "only set spec.activeDeadlineSeconds to 1",
    ),
    (
        |d| {
            d["metadata"] = json!({ "ownerReferences": [
                { "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u" }
            ] });
        },
        "metadata.ownerReferences",
    ),
    (
        |d| d["spec"]["containers"] = json!([{ "name": "c", "image": FINE_IMAGE }]),
        "spec.containers",
    ),
    (|d| d["metadata"] = json!({ "labels": { "app": "database" } }), "metadata.labels"),
];

pub(super) async fn pods() -> anyhow::Result<()> {
    let node = Node::guarded().await?;
    node.rig.namespace(NAMESPACE).await?;
    node.rig
        .apply(
            &json!({
                "apiVersion": "v1", "kind": "Node", "metadata": { "name": OTHER_NODE }
            })
            .to_string(),
        )
        .await?;
    let here = node.holder(Some(&node.pod_of_an_agent("here", NODE).await?)).await?;
    let there = node.holder(Some(&node.pod_of_an_agent("there", OTHER_NODE).await?)).await?;
    let nowhere = node.holder(None).await?;

    let pending = json!({ "phase": "Pending", "startTime": "2026-01-01T00:00:00Z",
        "containerStatuses": [{ "name": "c", "image": "i", "imageID": "", "ready": false,
            "restartCount": 0, "state": { "waiting": { "reason": "ErrImagePull" } } }] });
    make_pod(&node, "stuck", json!({}), &pending).await?;
    let verdict = verdict();
    assert_eq!(there.patch_status(NAMESPACE, "stuck", &verdict).await, Ok(()));
    let elsewhere = "this pod is on node-b, the token belongs to node-a";
    is_refused(here.patch_status(NAMESPACE, "stuck", &verdict).await, elsewhere);
    let no_claim = "token that is bound to a pod";
    is_refused(nowhere.patch_status(NAMESPACE, "stuck", &verdict).await, no_claim);
    for (spoil, words) in SPOILT_VERDICTS {
        let mut body = verdict.clone();
        spoil(&mut body);
        is_refused(there.patch_status(NAMESPACE, "stuck", &body).await, words);
    }

    for phase in ["Running", "Failed", "Succeeded"] {
        let name = phase.to_lowercase();
        make_pod(&node, &name, json!({}), &json!({ "phase": phase })).await?;
        let words = format!("this one is {phase}");
        is_refused(there.patch_status(NAMESPACE, &name, &verdict).await, &words);
        let revived = json!({ "status": { "phase": "Pending" } });
        is_refused(there.patch_status(NAMESPACE, &name, &revived).await, &words);
    }
    let critical = json!({ "priorityClassName": "system-node-critical" });
    for (name, change) in [("critical", critical), (MIRROR, json!({}))] {
        make_pod(&node, name, change, &pending).await?;
        let answer = there.patch_status(NAMESPACE, name, &verdict).await;
        is_refused(answer, "mirror pods and to pods of the priority classes system-*-critical");
    }
    deadlines(&node, &here, &there, &pending).await
}

async fn deadlines(
    node: &Node,
    here: &Holder,
    there: &Holder,
    pending: &Value,
) -> anyhow::Result<()> {
    let deadline = json!({ "spec": { "activeDeadlineSeconds": 1 } });
    is_refused(there.patch_pod(NAMESPACE, "stuck", &deadline).await, "then have the condition");
    let explanation = explanation();
    assert_eq!(there.patch_status(NAMESPACE, "stuck", &explanation).await, Ok(()));

    let mut explained = pending.clone();
    explained["conditions"] = explanation["status"]["conditions"].clone();
    make_pod(node, "explained", json!({}), &explained).await?;
    assert_eq!(there.patch_pod(NAMESPACE, "explained", &deadline).await, Ok(()));
    is_refused(
        here.patch_pod(NAMESPACE, "explained", &deadline).await,
        "the token belongs to node-a",
    );
    is_refused(there.patch_pod(NAMESPACE, "running", &deadline).await, "this one is Running");
    for (spoil, words) in SPOILT_DEADLINES {
        let mut body = deadline.clone();
        spoil(&mut body);
        is_refused(there.patch_pod(NAMESPACE, "explained", &body).await, words);
    }
    Ok(())
}

/// A pod on the other node, in this state.
async fn make_pod(node: &Node, name: &str, change: Value, status: &Value) -> anyhow::Result<()> {
    let mut pod: Value = serde_json::from_str(&missing_pod(NAMESPACE, name, change))?;
    pod["spec"]["nodeName"] = OTHER_NODE.into();
    pod["metadata"]["annotations"] = json!({ "kept": "yes" });
    if name == MIRROR {
        pod["metadata"]["annotations"]["kubernetes.io/config.mirror"] = "hash".into();
    }
    node.rig.apply(&pod.to_string()).await?;
    let status = Patch::Merge(json!({ "status": status }));
    node.pods(NAMESPACE).patch_status(name, &PatchParams::default(), &status).await?;
    Ok(())
}

#[track_caller]
pub(super) fn is_refused(answer: Result<(), String>, words: &str) {
    let error = answer.expect_err(words);
    let forbidden = error.starts_with("403 ") && error.contains("ValidatingAdmissionPolicy");
    assert!(forbidden && error.contains(words), "lacks {words:?}: {error}");
}
