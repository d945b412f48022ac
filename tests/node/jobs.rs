//! The main job: a Job whose image does not exist becomes Failed after N attempts.

use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{Api, api::ListParams};
use libtest_mimic::Trial;
use pullfuse_rig::NODE;
use serde_json::{Value, json};

use crate::support::{
    AgentOptions, LONG, Node, condition, job_condition, phase, ready_sandboxes, scenario, until,
    verdict,
};

/// How long a pod is watched after it was failed; the kubelet's own reverts come within seconds.
const STAYS: Duration = Duration::from_secs(30);

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("jobs::policy_fails_the_job_at_once::kubelet_1_36", || async {
            policy_fails_the_job_at_once(&*Node::core().await?).await
        }),
        scenario("jobs::policy_fails_the_job_at_once::kubelet_1_33", || async {
            policy_fails_the_job_at_once(&*Node::old_kubelet().await?).await
        }),
        scenario("jobs::policy_fails_the_job_at_once::containerd_1_6", || async {
            policy_fails_the_job_at_once(&*Node::old_containerd().await?).await
        }),
        scenario("jobs::backoff_limit_ends_a_job_without_policy", || async {
            backoff_limit_ends_a_job_without_policy(&*Node::core().await?).await
        }),
    ]
}

fn job(namespace: &str, spec: Value) -> String {
    let mut job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "namespace": namespace, "name": "job" },
        "spec": { "template": { "spec": {
            "nodeName": NODE, "restartPolicy": "Never",
            "containers": [{ "name": "c", "image": "127.0.0.1:5000/app:nosuch" }],
        } } },
    });
    if let (Value::Object(all), Value::Object(spec)) = (&mut job["spec"], spec) {
        all.extend(spec);
    }
    job.to_string()
}

async fn until_failed(node: &Node, namespace: &str) -> anyhow::Result<String> {
    let failed = |job: Option<&Job>| job.is_some_and(|j| job_condition(j, "Failed").is_some());
    let job = node.rig.wait_for(namespace, "job", LONG, "it is Failed", failed).await?.unwrap();
    Ok(job_condition(&job, "Failed").unwrap().to_owned())
}

async fn pods_of(node: &Node, namespace: &str) -> anyhow::Result<Vec<Pod>> {
    let pods: Api<Pod> = node.pods(namespace);
    Ok(pods.list(&ListParams::default().labels("job-name=job")).await?.items)
}

async fn policy_fails_the_job_at_once(node: &Node) -> anyhow::Result<()> {
    let namespace = "job-policy";
    node.rig.namespace(namespace).await?;
    let policy = json!({ "backoffLimit": 6, "podFailurePolicy": { "rules": [{
        "action": "FailJob",
        "onPodConditions": [{ "type": "pullfuse.io/ImagePullFailed", "status": "True" }],
    }] } });
    node.rig.apply(&job(namespace, policy)).await?;
    assert_eq!(until_failed(node, namespace).await?, "PodFailurePolicy");

    let pods = pods_of(node, namespace).await?;
    let [pod] = &pods[..] else { panic!("one pod and no more, not {}", pods.len()) };
    let (name, uid) = (pod.metadata.name.as_deref().unwrap(), pod.metadata.uid.as_deref().unwrap());
    is_explained(node, namespace, name).await?;

    // It stays Failed.
    let left = node
        .rig
        .wait_for::<Pod>(namespace, name, STAYS, "it leaves Failed", |pod| {
            pod.is_none_or(|pod| phase(pod) != "Failed")
        })
        .await;
    if left.is_ok() {
        // Unless the kubelet itself took it back, and not for long.
        let reverted = async || Ok(node.reverted(namespace)?.contains(name).then_some(()));
        until(reverted).await.context("the pod did not stay Failed")?;
    }
    let none_left = async || Ok((ready_sandboxes(&node.rig, uid).await? == 0).then_some(()));
    until(none_left).await.context("the sandbox is still there")?;
    is_explained(node, namespace, name).await?;

    let events = node.rig.events(namespace, name).await?;
    let ours: Vec<_> =
        events.iter().filter(|e| e.reason.as_deref() == Some("ImagePullFailed")).collect();
    let [event] = &ours[..] else { panic!("one Event, not {}", ours.len()) };
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    assert_eq!(event.reporting_instance.as_deref(), Some(NODE));
    assert!(event.note.as_deref().unwrap().contains("127.0.0.1:5000/app:nosuch"));
    assert!(node.ended_once(namespace, name).await?, "one write and no more");
    let log = node.log_of(&AgentOptions::two_attempts());
    let success = |line: &&str| line.contains("the count starts again") && line.contains(uid);
    assert_eq!(log.lines().find(success), None, "its end was taken for a success");
    Ok(())
}

/// Reason, message, condition and annotation say image, attempts and last error. The kubelet takes
/// reason and message away for about half a second while it ends the pod, and puts them back.
async fn is_explained(node: &Node, namespace: &str, name: &str) -> anyhow::Result<()> {
    let explained = |pod: &Pod| {
        let reason = pod.status.as_ref().and_then(|status| status.reason.as_deref());
        phase(pod) == "Failed" && reason == Some("ImagePullFailed")
    };
    let pod = node.wait_pod(namespace, name, "it has our reason", explained).await?;
    let status = pod.status.as_ref().unwrap();
    let message = status.message.as_deref().unwrap();
    for words in ["127.0.0.1:5000/app:nosuch", "2 failed attempts", "not found"] {
        assert!(message.contains(words), "the message lacks {words}: {message}");
    }
    let condition = condition(&pod, "pullfuse.io/ImagePullFailed").expect("our condition");
    assert_eq!(condition.status, "True");
    assert_eq!(condition.message.as_deref(), Some(message));
    assert_eq!(verdict(&pod)["attempts"], 2);
    Ok(())
}

async fn backoff_limit_ends_a_job_without_policy(node: &Node) -> anyhow::Result<()> {
    let namespace = "job-limit";
    node.rig.namespace(namespace).await?;
    node.rig.apply(&job(namespace, json!({ "backoffLimit": 1 }))).await?;
    assert_eq!(until_failed(node, namespace).await?, "BackoffLimitExceeded");
    let pods = pods_of(node, namespace).await?;
    assert_eq!(pods.len(), 2, "the first and its one replacement");
    for pod in &pods {
        is_explained(node, namespace, pod.metadata.name.as_deref().unwrap()).await?;
    }
    Ok(())
}
