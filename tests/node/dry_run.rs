//! A dry run that teaches: what became of pods that would have been ended.

use kube::api::DeleteParams;
use libtest_mimic::Trial;
use pullfuse_rig::{
    fake_registry::{Answer, FakeRegistry},
    images::Image,
};
use serde_json::{Value, json};

use crate::support::{AgentOptions, Node, missing_pod, phase, scenario};

/// Port of a registry that lets nobody in: no other scenario of the node has that cause.
const REGISTRY: u16 = 5012;
const NAMESPACE: &str = "own-tries";

pub fn trials() -> Vec<Trial> {
    vec![scenario("dry_run::it_knows_what_became_of_its_verdicts", regret)]
}

async fn regret() -> anyhow::Result<()> {
    let node = Node::core().await?;
    let agent = AgentOptions::own(
        "tries",
        9484,
        "mode = \"dry-run\"\nbreaker.images = 0\n\
         limits = { max_attempts = 2, min_elapsed = \"1s\", ambiguous.max_attempts = 2 }\n",
    );
    node.rig.namespace(NAMESPACE).await?;
    let registry = FakeRegistry::serve(node.rig.listen(REGISTRY)?)?;
    registry.set_default(Answer::Forbidden);
    node.start_agent(&agent).await?;
    let names = ["comes", "goes", "stays"];
    for name in names {
        let image = registry.image(&format!("{name}:1"));
        let spec = json!({ "containers": [{ "name": "c", "image": image }] });
        node.rig.apply(&missing_pod(NAMESPACE, name, spec)).await?;
    }
    node.until_metric(&agent, "pullfuse_verdicts_total{outcome=\"dry_run\"}", 3.0).await?;

    let fine = Image::program("fine", &node.rig.parts().join("bin/fine"))?;
    registry.set("comes", Answer::Image(fine));
    node.pods(NAMESPACE).delete("goes", &DeleteParams::default()).await?;
    node.wait_pod(NAMESPACE, "comes", "it runs", |pod| phase(pod) == "Running").await?;
    for (series, value) in [
        ("pullfuse_dry_run_ended_total{end=\"recovered\"}", 1.0),
        ("pullfuse_dry_run_ended_total{end=\"deleted\"}", 1.0),
        ("pullfuse_dry_run_stuck", 1.0),
    ] {
        node.until_metric(&agent, series, value).await?;
    }

    let asked = ["what-if", "--max-attempts", "2", "--class", "forbidden"];
    let table = node.ask(&agent, &asked).await?;
    for words in [
        "3 pods would have been ended",
        "1 of them had their image later",
        "1 were deleted later, 0 were ended by pullfuse, 1 are still stuck",
    ] {
        assert!(table.contains(words), "lacks {words}: {table}");
    }
    let mistake = |line: &str| line.contains("own-tries/comes ") && line.contains("/comes:1");
    assert!(table.lines().any(mistake), "the regret is not named: {table}");
    let patient = node.ask(&agent, &["what-if", "--max-attempts", "30", "-o", "json"]).await?;
    let patient: Value = serde_json::from_str(&patient)?;
    assert!(patient["episodes"].as_u64() >= Some(3) && patient["wouldFail"] == 0, "{patient}");

    for name in names {
        assert_eq!(node.writes_to(NAMESPACE, name)?.len(), 0, "a dry run wrote to {name}");
    }
    Ok(())
}
