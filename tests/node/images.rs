//! Which image failed, and images that come after all.

use k8s_openapi::api::core::v1::Pod;
use libtest_mimic::Trial;
use pullfuse_rig::{
    FINE_IMAGE, Options, Signal,
    fake_registry::{Answer, FakeRegistry},
    images::Image,
    port,
};
use serde_json::{Value, json};

use crate::support::{AgentOptions, Node, Waiting, condition, missing_pod, phase, pull, scenario};

/// An image that does not exist.
const MISSING: &str = "127.0.0.1:5000/role:nosuch";
/// Of a registry that loses an image.
const LOSES: u16 = 5014;

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("images::an_image_pushed_after_the_first_attempt_runs", an_image_that_comes),
        scenario("images::an_image_that_arrived_stops_the_verdict", an_image_that_arrived),
        scenario("images::an_image_that_only_the_init_container_got_ends_the_pod", got_once),
        role("init_container", || {
            json!({ "initContainers": [{ "name": "i", "image": MISSING }],
                    "containers": [{ "name": "c", "image": FINE_IMAGE }] })
        }),
        role("sidecar", || {
            json!({ "initContainers": [{ "name": "i", "image": MISSING, "restartPolicy": "Always" }],
                    "containers": [{ "name": "c", "image": FINE_IMAGE }] })
        }),
        role("one_of_several_containers", || {
            json!({ "containers": [{ "name": "good", "image": FINE_IMAGE },
                                   { "name": "bad", "image": MISSING }] })
        }),
        role("image_volume", || {
            json!({ "containers": [{ "name": "c", "image": FINE_IMAGE,
                        "volumeMounts": [{ "name": "v", "mountPath": "/v" }] }],
                    "volumes": [{ "name": "v", "image": { "reference": MISSING } }] })
        }),
        role("restart_policy_on_failure", || {
            json!({ "restartPolicy": "OnFailure",
                    "containers": [{ "name": "c", "image": MISSING }] })
        }),
        refusal("InvalidImageName", || json!([{ "name": "c", "image": "Not A Name" }])),
        refusal(
            "ErrImageNeverPull",
            || json!([{ "name": "c", "image": MISSING, "imagePullPolicy": "Never" }]),
        ),
    ]
}

/// Wherever in the pod the missing image stands, the verdict names it.
fn role(name: &'static str, spec: fn() -> Value) -> Trial {
    scenario(&format!("images::a_missing_image_ends_the_pod::{name}"), move || async move {
        let node = Node::core().await?;
        let namespace = format!("role-{}", name.replace('_', "-"));
        node.rig.namespace(&namespace).await?;
        node.rig.apply(&missing_pod(&namespace, "p", spec())).await?;
        let pod = ended(&node, &namespace).await?;
        assert!(message(&pod).contains(&format!("\"{MISSING}\"")), "{}", message(&pod));
        Ok(())
    })
}

/// What the kubelet refuses without asking the runtime is counted on the kubelet's schedule.
fn refusal(reason: &'static str, containers: fn() -> Value) -> Trial {
    scenario(&format!("images::a_refused_image_ends_the_pod::{reason}"), move || async move {
        let node = Node::core().await?;
        let namespace = format!("refused-{}", reason.to_lowercase());
        node.rig.namespace(&namespace).await?;
        let spec = json!({ "containers": containers() });
        node.rig.apply(&missing_pod(&namespace, "p", spec)).await?;
        let pod = ended(&node, &namespace).await?;
        // The agent may be late by a moment, and the kubelet is not asked.
        let in_time = |s| message(&pod).contains(&format!("2 failed attempts in {s}s"));
        let in_time = (10..20).any(in_time);
        assert!(in_time && message(&pod).contains(reason), "{}", message(&pod));
        Ok(())
    })
}

async fn ended(node: &Node, namespace: &str) -> anyhow::Result<Pod> {
    let pod = node.wait_pod(namespace, "p", "it is Failed", |pod| phase(pod) == "Failed").await?;
    assert!(condition(&pod, "pullfuse.io/ImagePullFailed").is_some(), "failed by someone else");
    Ok(pod)
}

fn message(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|s| s.message.as_deref()).unwrap_or_default()
}

async fn push_fine(node: &Node, reference: &str) -> anyhow::Result<()> {
    let registry = node.rig.host_address(port::REGISTRY).await?;
    let image = Image::program("fine", &node.rig.parts().join("bin/fine"))?;
    pullfuse_rig::images::push(registry, reference, &image).await
}

async fn an_image_that_comes() -> anyhow::Result<()> {
    let node = Node::core().await?;
    node.rig.namespace("comes").await?;
    let spec = json!({ "containers": [{ "name": "c", "image": "127.0.0.1:5000/comes:1" }] });
    node.rig.apply(&missing_pod("comes", "p", spec)).await?;
    node.wait_pod("comes", "p", "it failed once", |pod| pod.waits_for("ErrImagePull")).await?;
    push_fine(&node, "comes:1").await?;
    node.wait_pod("comes", "p", "it runs", |pod| phase(pod) == "Running").await?;
    let agent = AgentOptions::two_attempts();
    node.until_logged(&agent, &["the count starts again", "127.0.0.1:5000/comes:1"]).await?;
    assert_eq!(node.writes_to("comes", "p")?.len(), 0, "a healthy pod was written to");
    Ok(())
}

/// A tag that is deleted between the init container and the one that asks anew.
async fn got_once() -> anyhow::Result<()> {
    let node = Node::core().await?;
    node.rig.namespace("got-once").await?;
    let registry = FakeRegistry::serve(node.rig.listen(LOSES)?)?;
    let fine = Image::program("fine", &node.rig.parts().join("bin/fine"))?;
    registry.set("got", Answer::Image(fine));
    let image = registry.image("got:1");
    pull(&node.rig, &image).await?;
    registry.set("got", Answer::NotFound);
    let init = json!({ "name": "i", "image": image, "args": ["exit", "0"] });
    let main = json!({ "name": "c", "image": image, "imagePullPolicy": "Always" });
    let spec = json!({ "initContainers": [init], "containers": [main] });
    node.rig.apply(&missing_pod("got-once", "p", spec)).await?;
    let pod = ended(&node, "got-once").await?;
    assert!(message(&pod).contains("2 failed attempts"), "{}", message(&pod));
    Ok(())
}

/// The image comes to the node in another way, here by a pull of the test's own, while the kubelet is
/// away and the pod's status still shows the failure.
async fn an_image_that_arrived() -> anyhow::Result<()> {
    let agent = AgentOptions::one_attempt("45s");
    let node = Node::start(Options::default(), Some(agent.clone())).await?;
    node.rig.namespace("arrives").await?;
    let image = "127.0.0.1:5000/arrives:1";
    let spec = json!({ "containers": [{ "name": "c", "image": image }] });
    node.rig.apply(&missing_pod("arrives", "p", spec)).await?;
    node.until_logged(&agent, &["attempt failed", image]).await?;
    node.rig.kill("kubelet", Signal::KILL).await?;
    node.rig.wait_exit("kubelet").await?;
    push_fine(&node, "arrives:1").await?;
    pull(&node.rig, image).await?;
    node.until_logged(&agent, &["verdict ended", image, "image_arrived"]).await?;
    node.rig.restart("kubelet").await?;
    node.wait_pod("arrives", "p", "it runs", |pod| phase(pod) == "Running").await?;
    assert_eq!(node.writes_to("arrives", "p")?.len(), 0, "a healthy pod was written to");
    Ok(())
}
