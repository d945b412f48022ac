//! What happens again is counted in the Event that is there, also by the next agent.

use kube::api::{Patch, PatchParams};
use libtest_mimic::Trial;
use pullfuse_rig::{NODE, Options, fake_registry::FakeRegistry};
use serde_json::{Value, json};

use crate::support::{AgentOptions, Node, happened, missing_pod, scenario, until};

/// A registry that nobody else uses.
const REGISTRY: u16 = 5013;
const NAMESPACE: &str = "own-again";

pub fn trials() -> Vec<Trial> {
    vec![scenario("series::a_registry_that_goes_down_twice_is_one_event", again)]
}

async fn again() -> anyhow::Result<()> {
    // Of its own, for on others many images of their one registry fail, which is an outage too.
    let node = Node::start(Options::default(), None).await?;
    let config = "breaker.images = 2\nlimits.max_attempts = 99\n";
    let agent = AgentOptions::own("again", 9485, config);
    node.rig.namespace(NAMESPACE).await?;
    let registry = FakeRegistry::serve(node.rig.listen(REGISTRY)?)?;
    node.start_agent(&agent).await?;
    let fails = async |name: &str, annotations: Value| {
        let image = registry.image(&format!("{name}:1"));
        let spec = json!({ "containers": [{ "name": "c", "image": image }] });
        let mut pod: Value = serde_json::from_str(&missing_pod(NAMESPACE, name, spec))?;
        pod["metadata"]["annotations"] = annotations;
        node.rig.apply(&pod.to_string()).await
    };
    let host = format!("127.0.0.1:{REGISTRY}");
    let bad = json!({ "pullfuse.io/max-attempts": "many" });
    fails("a", bad).await?;
    fails("b", json!({})).await?;
    let outage = node.until_node_told("RegistryOutage", &host).await?;
    assert_eq!(happened(&outage), 1);
    node.ask(&agent, &["release", &host]).await?;
    node.until_node_told("RegistryOutageOver", &host).await?;
    fails("c", json!({})).await?;
    fails("d", json!({})).await?;
    let again = until(async || {
        let outage = node.until_node_told("RegistryOutage", &host).await?;
        Ok((happened(&outage) == 2).then_some(outage))
    });
    let again = again.await?;
    assert_eq!(again.metadata.uid, outage.metadata.uid, "it is the same Event");
    assert!(
        again.series.map(|series| series.last_observed_time.0) > outage.event_time.map(|at| at.0)
    );
    let all = node.told("default", NODE).await?.into_iter().filter(|event| {
        let of_registry = event.note.as_deref().is_some_and(|note| note.contains(&host));
        event.reason.as_deref() == Some("RegistryOutage") && of_registry
    });
    assert_eq!(all.count(), 1, "one Event and no more");

    // Mended, and then as bad as before.
    node.until_told_times(NAMESPACE, "a", "BadAnnotation", 1).await?;
    let pods = node.pods(NAMESPACE);
    for (value, limit) in [("7", 7), ("many", 99)] {
        let body = json!({ "metadata": { "annotations": { "pullfuse.io/max-attempts": value } } });
        pods.patch("a", &PatchParams::default(), &Patch::Merge(&body)).await?;
        let heard = async || {
            let image = node.failing(&agent, "own-again/a").await?;
            Ok((image["limit"] == limit).then_some(()))
        };
        until(heard).await?;
    }
    node.until_told_times(NAMESPACE, "a", "BadAnnotation", 2).await?;

    // The next agent tells of the annotation too: it looks at the Event, which is of this very time.
    node.rig.restart(&agent.name).await?;
    node.until_readyz(&agent, |status, _| status == 200).await?;
    for result in ["conflict", "ok"] {
        let series = format!(
            "pullfuse_api_write_duration_seconds_count{{write=\"event\",result=\"{result}\"}}"
        );
        node.until_metric(&agent, &series, 1.0).await?;
    }
    node.until_told_times(NAMESPACE, "a", "BadAnnotation", 2).await?;
    Ok(())
}
