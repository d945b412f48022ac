//! What an operator may let go on: a pod that is only reported, and a verdict that was given up.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::{Api, api::DeleteParams};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::{AgentOptions, Node, condition, missing_pod, phase, scenario, until};

const NAMESPACE: &str = "own-release";
/// A policy of the cluster that is none of pullfuse's.
const KEEPS: &str = "keeps-its-pods";

pub fn trials() -> Vec<Trial> {
    vec![scenario("release::what_is_reported_or_given_up_goes_on_by_hand", released)]
}

async fn released() -> anyhow::Result<()> {
    let node = Node::core().await?;
    let config = "breaker.images = 0\nlimits = { max_attempts = 1, min_elapsed = \"1s\" }\n";
    let agent = AgentOptions::own("release", 9486, config);
    node.rig.namespace(NAMESPACE).await?;
    keep_pods(&node).await?;
    node.start_agent(&agent).await?;
    let always = json!({ "restartPolicy": "Always" });
    node.rig.apply(&missing_pod(NAMESPACE, "web", always)).await?;
    node.rig.apply(&missing_pod(NAMESPACE, "kept", json!({}))).await?;

    // Its owner would only replace it, so it is left alone until somebody says otherwise.
    let reported = node.until_told(NAMESPACE, "web", "ImagePullFailing").await?;
    assert!(reported.note.unwrap_or_default().contains("The pod is left alone"));
    assert_eq!(phase(&node.pods(NAMESPACE).get("web").await?), "Pending");
    assert_eq!(node.writes_to(NAMESPACE, "web")?.len(), 0);
    let said = node.ask(&agent, &["release", "own-release/web"]).await?;
    assert!(said.contains("pod own-release/web is released"), "{said}");
    ended(&node, "web").await?;

    // The API server refuses the write itself, and so it is not tried for ever.
    let given_up = async || {
        let (exit, said) = node.command(&agent, &["pod", "own-release/kept", "-o", "json"]).await?;
        let pod: Value = serde_json::from_str(&said).unwrap_or_default();
        Ok((exit.code == Some(0) && pod["images"][0]["verdict"] == "given_up").then_some(()))
    };
    until(given_up).await?;
    let mut refused = node.writes_to(NAMESPACE, "kept")?;
    // The kubelet wrote just before; then the pod is read again.
    refused.retain(|write| write["responseStatus"]["code"] != 409);
    assert_eq!(refused.len(), 1, "one write and no more");
    assert_eq!(refused[0]["responseStatus"]["code"], 422, "{}", refused[0]);
    let outlook = node.ask(&agent, &["pod", "own-release/kept"]).await?;
    assert!(outlook.contains("`pullfuse release` tries again"), "{outlook}");

    let name = KEEPS;
    let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(node.rig.client());
    bindings.delete(name, &DeleteParams::default()).await?;
    let policies = Api::<ValidatingAdmissionPolicy>::all(node.rig.client());
    policies.delete(name, &DeleteParams::default()).await?;
    until(async || Ok(is_kept(&node).await?.is_none().then_some(()))).await?;
    let said = node.ask(&agent, &["release", "own-release/kept"]).await?;
    assert!(said.contains("pod own-release/kept is released"), "{said}");
    ended(&node, "kept").await
}

/// The pod is ended, by one write and because somebody wanted it.
async fn ended(node: &Node, name: &str) -> anyhow::Result<()> {
    let pod = node.wait_pod(NAMESPACE, name, "it is Failed", |pod| phase(pod) == "Failed").await?;
    assert!(condition(&pod, "pullfuse.io/ImagePullFailed").is_some());
    assert!(node.ended_once(NAMESPACE, name).await?, "one write and no more");
    for reason in ["Released", "ImagePullFailed"] {
        let told = node.until_told_times(NAMESPACE, name, reason, 1).await?;
        let note = told.note.unwrap_or_default().to_lowercase();
        assert!(note.contains("user 0"), "{reason}: {note}");
    }
    Ok(())
}

/// Sees to it that the API server refuses every change of a pod's status by an agent.
async fn keep_pods(node: &Node) -> anyhow::Result<()> {
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": { "name": KEEPS },
        "spec": {
            "matchConstraints": { "resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"],
                "resources": ["pods/status"],
            }] },
            "matchConditions": [{ "name": "kept", "expression":
                "request.namespace == 'own-release' && request.name in ['kept', 'probe'] \
                 && request.userInfo.username.startsWith('system:serviceaccount:pullfuse:')" }],
            "validations": [
                { "expression": "false", "reason": "Invalid", "message": "this cluster keeps its pods" },
            ],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": KEEPS },
        "spec": { "policyName": KEEPS, "validationActions": ["Deny"] },
    });
    for object in [policy, binding] {
        node.rig.apply(&object.to_string()).await?;
    }
    let mut probe: Value = serde_json::from_str(&missing_pod(NAMESPACE, "probe", json!({})))?;
    probe["metadata"]["annotations"] = json!({ "pullfuse.io/mode": "ignore" });
    node.rig.apply(&probe.to_string()).await?;
    until(async || Ok(is_kept(node).await?.map(drop))).await
}

/// Why the API server would refuse an agent's write; nobody judges the pod on which this is tried.
async fn is_kept(node: &Node) -> anyhow::Result<Option<String>> {
    let body = json!({ "status": { "message": "a try" } });
    let answer = node.holder(None).await?.patch_status(NAMESPACE, "probe", &body).await;
    Ok(answer.err().filter(|error| error.contains("keeps its pods")))
}
