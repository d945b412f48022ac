//! A registry that loses everything ends no pod; one image that is missing does.

use std::collections::BTreeSet;

use kube::api::ListParams;
use libtest_mimic::Trial;
use pullfuse_rig::{
    NODE, Options, Signal,
    fake_registry::{Answer, FakeRegistry},
    images::Image,
};
use serde_json::json;

use crate::support::{AgentOptions, Node, missing_pod, no_pull_limit, phase, scenario, verdict};

/// Ports of registries that nobody else uses.
const BROKEN: u16 = 5001;
const HEALTHY: u16 = 5011;
/// Images that turn 404 at once, and how many of them come back.
const IMAGES: usize = 20;
const COME_BACK: usize = 17;
const LIMITS: &str = "[limits]\nmax_attempts = 2\nmin_elapsed = \"5s\"\n";

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("breaker::an_outage_holds_every_verdict_until_it_is_over", outage),
        scenario("breaker::one_missing_image_among_healthy_ones_ends_its_pod", one_missing),
    ]
}

fn of_image(image: &str) -> serde_json::Value {
    json!({ "containers": [{ "name": "c", "image": image }] })
}

fn fine(node: &Node) -> anyhow::Result<Answer> {
    Ok(Answer::Image(Image::program("fine", &node.rig.parts().join("bin/fine"))?))
}

async fn phases(node: &Node, namespace: &str) -> anyhow::Result<BTreeSet<String>> {
    let pods = node.pods(namespace).list(&ListParams::default()).await?;
    Ok(pods.items.iter().map(|pod| phase(pod).to_owned()).collect())
}

/// What `pullfuse status` says about a registry.
async fn status(node: &Node, agent: &AgentOptions, port: u16) -> anyhow::Result<Option<String>> {
    let status = node.ask(agent, &["status"]).await?;
    let registry = format!("127.0.0.1:{port}");
    Ok(status.lines().find(|line| line.trim_start().starts_with(&registry)).map(str::to_owned))
}

async fn outage() -> anyhow::Result<()> {
    let agent = AgentOptions::new(LIMITS).listening();
    let options = Options { kubelet_config: no_pull_limit(), ..Options::default() };
    let node = Node::start(options, Some(agent.clone())).await?;
    let namespace = "outage";
    node.rig.namespace(namespace).await?;
    let registry = FakeRegistry::serve(node.rig.listen(BROKEN)?)?;
    let name = |number: usize| format!("p{number}");
    for number in 0..IMAGES {
        let spec = of_image(&registry.image(&format!("{}:1", name(number))));
        node.rig.apply(&missing_pod(namespace, &name(number), spec)).await?;
    }

    let event = node.until_node_told("RegistryOutage", "127.0.0.1:5001").await?;
    let regarding = event.regarding.unwrap_or_default();
    assert_eq!((regarding.kind.as_deref(), regarding.name.as_deref()), (Some("Node"), Some(NODE)));
    let held = "pullfuse_held_back{reason=\"breaker\"}";
    node.until_metric(&agent, held, IMAGES as f64).await?;
    assert_eq!(node.metric(&agent, "pullfuse_breakers{state=\"open\"}").await?, 1.0);
    let pods = node.ask(&agent, &["pods", "-o", "wide"]).await?;
    assert!(pods.contains("registry 127.0.0.1:5001 seems to be out of order"), "{pods}");

    // A new agent knows of it, and that without another attempt.
    node.rig.kill(&agent.name, Signal::KILL).await?;
    node.rig.wait_exit(&agent.name).await?;
    node.start_agent(&agent).await?;
    node.until_metric(&agent, held, IMAGES as f64).await?;
    let line = status(&node, &agent, BROKEN).await?;
    assert!(line.is_some_and(|line| line.contains("open")), "status does not show the outage");
    assert_eq!(phases(&node, namespace).await?, ["Pending".to_owned()].into());

    // All but the last come back: the first opens it by half, the second closes it.
    for number in 0..COME_BACK {
        registry.set(&name(number), fine(&node)?);
    }
    for number in 0..COME_BACK {
        let pod = name(number);
        node.wait_pod(namespace, &pod, "it runs", |pod| phase(pod) == "Running").await?;
        assert_eq!(node.writes_to(namespace, &pod)?.len(), 0, "{pod} was written to");
    }
    node.until_node_told("RegistryRecovering", "127.0.0.1:5001").await?;
    node.until_node_told("RegistryOutageOver", "127.0.0.1:5001").await?;
    assert_eq!(status(&node, &agent, BROKEN).await?, None);

    for number in COME_BACK..IMAGES {
        let pod = name(number);
        let pod = node.wait_pod(namespace, &pod, "it is Failed", |p| phase(p) == "Failed").await?;
        let attempts = verdict(&pod)["attempts"].as_u64();
        assert!(attempts >= Some(3), "no attempt since the registry came back: {attempts:?}");
    }
    node.until_metric(&agent, held, 0.0).await?;
    assert_eq!(node.metric(&agent, "pullfuse_breakers{state=\"open\"}").await?, 0.0);
    Ok(())
}

async fn one_missing() -> anyhow::Result<()> {
    let node = Node::core().await?;
    let agent = AgentOptions::own("healthy", 9480, LIMITS);
    let namespace = "own-healthy";
    node.rig.namespace(namespace).await?;
    let registry = FakeRegistry::serve(node.rig.listen(HEALTHY)?)?;
    registry.set_default(fine(&node)?);
    registry.set("gone", Answer::NotFound);
    node.start_agent(&agent).await?;
    let names = ["a", "b", "gone", "c", "d", "e"];
    for name in names {
        let spec = of_image(&registry.image(&format!("{name}:1")));
        node.rig.apply(&missing_pod(namespace, name, spec)).await?;
    }
    let gone =
        node.wait_pod(namespace, "gone", "it is Failed", |pod| phase(pod) == "Failed").await?;
    assert_eq!(verdict(&gone)["attempts"], 2);
    for name in names.into_iter().filter(|name| *name != "gone") {
        node.wait_pod(namespace, name, "it runs", |pod| phase(pod) == "Running").await?;
    }
    assert_eq!(status(&node, &agent, HEALTHY).await?, None, "one image is no outage");
    Ok(())
}
