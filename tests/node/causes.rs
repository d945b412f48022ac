//! Causes make the difference: a missing image ends its Job, a registry that is down or busy does
//! not, and the command line says which is which.

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{Api, api::ListParams};
use libtest_mimic::Trial;
use pullfuse_rig::{
    NODE,
    fake_registry::{Answer, FakeRegistry, StatusCode},
    images::Image,
};
use serde_json::json;

use crate::support::{
    AgentOptions, LONG, Node, job_condition, missing_pod, phase, scenario, until,
};

/// Port of a registry of which each repository fails in its own way.
const REGISTRY: u16 = 5010;

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("causes::a_missing_image_ends_its_job_and_a_busy_registry_does_not", jobs),
        scenario("causes::the_command_line_says_what_fails_and_what_comes_next", command_line),
    ]
}

fn job(namespace: &str, name: &str, image: &str) -> String {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "namespace": namespace, "name": name },
        "spec": { "backoffLimit": 0, "template": { "spec": {
            "nodeName": NODE, "restartPolicy": "Never",
            "containers": [{ "name": "c", "image": image }],
        } } },
    })
    .to_string()
}

/// The name of a Job's only pod.
async fn pod_of(node: &Node, namespace: &str, job: &str) -> anyhow::Result<String> {
    let label = format!("job-name={job}");
    let pods = node.pods(namespace).list(&ListParams::default().labels(&label)).await?.items;
    let [pod] = &pods[..] else { anyhow::bail!("{} pods of Job {job}, not one", pods.len()) };
    Ok(pod.metadata.name.clone().unwrap_or_default())
}

async fn jobs() -> anyhow::Result<()> {
    let (node, agent) = (Node::one_attempt().await?, AgentOptions::one_attempt("30s"));
    let namespace = "causes";
    let registry = FakeRegistry::serve(node.rig.listen(REGISTRY)?)?;
    registry.set("down", Answer::ServerError(StatusCode::SERVICE_UNAVAILABLE));
    registry.set("busy", Answer::TooManyRequests { retry_after: None });
    node.rig.namespace(namespace).await?;
    for name in ["missing", "down", "busy"] {
        node.rig.apply(&job(namespace, name, &registry.image(&format!("{name}:1")))).await?;
    }

    let failed = |job: Option<&Job>| job.is_some_and(|j| job_condition(j, "Failed").is_some());
    node.rig.wait_for(namespace, "missing", LONG, "it is Failed", failed).await?;
    // While the kubelet ends the pod it takes the reason away for a moment.
    let explained = |pod: &Pod| {
        let reason = pod.status.as_ref().and_then(|status| status.reason.as_deref());
        reason == Some("ImagePullFailed")
    };
    let missing = pod_of(&node, namespace, "missing").await?;
    let missing = node.wait_pod(namespace, &missing, "it has our reason", explained).await?;
    let message = missing.status.and_then(|status| status.message).unwrap_or_default();
    for words in ["(not_found)", "check the spelling, or push it", "127.0.0.1:5010/missing:1"] {
        assert!(message.contains(words), "lacks {words}: {message}");
    }

    // Three attempts where one is enough for a missing image.
    for (name, class) in [("down", "registry_5xx"), ("busy", "rate_limited")] {
        let image = format!("\"image\":\"{}\"", registry.image(&format!("{name}:1")));
        let class = format!("\"class\":\"{class}\"");
        node.until_logged(&agent, &["attempt failed", &image, &class, "\"attempts\":3"]).await?;
        let pod = pod_of(&node, namespace, name).await?;
        assert_eq!(phase(&node.pods(namespace).get(&pod).await?), "Pending");
        assert_eq!(node.writes_to(namespace, &pod)?.len(), 0, "{name} was written to");
        let failing = node.failing(&agent, &format!("{namespace}/{pod}")).await?;
        assert_eq!(failing["disposition"], "transient", "{failing}");
        assert!(failing["outlook"].as_str().unwrap().contains("expected to pass"), "{failing}");
    }

    let fine = Image::program("fine", &node.rig.parts().join("bin/fine"))?;
    for name in ["down", "busy"] {
        registry.set(name, Answer::Image(fine.clone()));
    }
    for name in ["down", "busy"] {
        let pod = pod_of(&node, namespace, name).await?;
        node.wait_pod(namespace, &pod, "it runs", |pod| phase(pod) == "Running").await?;
        let job = Api::<Job>::namespaced(node.rig.client(), namespace).get(name).await?;
        assert_eq!(job_condition(&job, "Failed"), None);
        assert_eq!(node.writes_to(namespace, &pod)?.len(), 0, "{name} was written to");
    }
    Ok(())
}

async fn command_line() -> anyhow::Result<()> {
    let (node, agent) = (Node::core().await?, AgentOptions::two_attempts());
    let namespace = "asked";
    node.rig.namespace(namespace).await?;
    let mut waits: serde_json::Value =
        serde_json::from_str(&missing_pod(namespace, "waits", json!({})))?;
    waits["metadata"]["annotations"] = json!({ "pullfuse.io/max-attempts": "50" });
    node.rig.apply(&waits.to_string()).await?;
    node.rig.apply(&missing_pod(namespace, "ended", json!({}))).await?;
    node.wait_pod(namespace, "ended", "it is Failed", |pod| phase(pod) == "Failed").await?;

    let pods = node.ask(&agent, &["pods", "-n", namespace, "-o", "wide"]).await?;
    let line = |pod: &str| pods.lines().find(|line| line.contains(&format!("{namespace}/{pod}")));
    let waits = line("waits").unwrap_or_else(|| panic!("{pods}"));
    for words in ["127.0.0.1:5000/waits:nosuch", "not_found", "/50", "the pod is ended after 4"] {
        assert!(waits.contains(words), "lacks {words}: {waits}");
    }
    // One that was ended is a line until the kubelet has taken its containers away.
    let lines = pods.lines().count();
    let expected = 2 + usize::from(line("ended").is_some());
    assert_eq!(lines, expected, "a head and this namespace's pods, not {pods}");
    let was_ended = async || {
        let said = node.ask(&agent, &["pod", "asked/ended"]).await?;
        Ok(said.contains("the pod was ended").then_some(()))
    };
    until(was_ended).await?;

    let pod = node.ask(&agent, &["pod", "asked/waits"]).await?;
    for words in ["Cause         not_found (permanent)", "/50, of", "Next attempt  ", "push it"] {
        assert!(pod.contains(words), "lacks {words}: {pod}");
    }
    let failing = node.failing(&agent, "asked/waits").await?;
    assert_eq!((&failing["limit"], &failing["host"]), (&json!(50), &json!("127.0.0.1:5000")));
    assert!(failing["nextAttempt"].is_string(), "{failing}");

    for (name, says) in
        [("waits", "write NAMESPACE/NAME"), ("asked/nosuch", "no pod asked/nosuch is on this node")]
    {
        let (exit, said) = node.command(&agent, &["pod", name]).await?;
        assert_eq!(exit.code, Some(1), "{said}");
        assert!(said.contains(says), "{said}");
    }
    Ok(())
}
