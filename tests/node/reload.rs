//! The configuration changes while pods fail.

use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{AgentOptions, Node, missing_pod, phase, scenario, until, verdict};

const NAMESPACE: &str = "own-reload";

pub fn trials() -> Vec<Trial> {
    vec![scenario("reload::limits_and_mode_take_effect_and_a_broken_file_does_not", reload)]
}

/// Pods are told apart by their images: one has a limit that is lowered, one a limit that is raised
/// after a dry run would have ended it, and the limit of the third stays.
fn agent(mode: &str, lowered: &str, raised: u32) -> AgentOptions {
    let scope = |image: &str, limit: &str| {
        format!(
            "[[scopes]]\nname = \"{image}\"\nnamespaces = [\"{NAMESPACE}\"]\n\
             images = [\"*/{image}:*\"]\nlimits.max_attempts = {limit}\n"
        )
    };
    let config = format!(
        "mode = \"{mode}\"\nbreaker.images = 0\n\
         limits = {{ max_attempts = 1, min_elapsed = \"1s\" }}\n{}{}",
        scope("lowered", lowered),
        scope("raised", &raised.to_string()),
    );
    AgentOptions::own("reload", 9483, &config)
}

async fn reload() -> anyhow::Result<()> {
    let node = Node::core().await?;
    let first = agent("dry-run", "9", 1);
    node.rig.namespace(NAMESPACE).await?;
    node.start_agent(&first).await?;
    for name in ["tried", "lowered", "raised"] {
        node.rig.apply(&missing_pod(NAMESPACE, name, json!({}))).await?;
    }
    node.until_logged(&first, &["attempt failed", "\"pod\":\"lowered\""]).await?;
    for name in ["tried", "raised"] {
        let verdict = ["verdict", "\"enforce\":false", &format!("own-reload/{name}")];
        node.until_logged(&first, &verdict).await?;
    }

    node.configure(&agent("dry-run", "\"many\"", 9))?;
    let report = node.until_readyz(&first, |_, body| body.contains("config: degraded")).await?;
    let status = node.ask(&first, &["status"]).await?;
    for words in ["stays in effect", "scopes[0].limits.max_attempts", "line 8", "\"never\""] {
        assert!(report.contains(words), "lacks {words}: {report}");
        assert!(status.contains(words), "lacks {words}: {status}");
    }
    assert_eq!(node.metric(&first, "pullfuse_config_reload_failures_total").await?, 1.0);
    assert_eq!(node.failing(&first, "own-reload/lowered").await?["limit"], 9);
    let tried = node.failing(&first, "own-reload/tried").await?;
    assert_eq!(tried["outlook"], "a dry run would have ended the pod");
    assert_eq!(node.writes_to(NAMESPACE, "tried")?.len(), 0, "a dry run wrote");

    node.configure(&agent("enforce", "1", 4))?;
    for name in ["tried", "lowered"] {
        node.wait_pod(NAMESPACE, name, "it is Failed", |pod| phase(pod) == "Failed").await?;
    }
    node.until_readyz(&first, |_, body| body.contains("version 2: in effect")).await?;
    assert_eq!(node.metric(&first, "pullfuse_config_generation").await?, 2.0);
    let counted = async || {
        let raised = node.failing(&first, "own-reload/raised").await?;
        Ok((raised["counted"].as_u64() >= Some(2)).then_some(raised))
    };
    let raised = until(counted).await?;
    let left = 4 - raised["counted"].as_u64().unwrap();
    let outlook = format!("after {left} more such attempt");
    assert!(raised["outlook"].as_str().unwrap().contains(&outlook), "{raised}");
    let raised =
        node.wait_pod(NAMESPACE, "raised", "it is Failed", |p| phase(p) == "Failed").await?;
    assert_eq!(verdict(&raised)["attempts"], 4);
    Ok(())
}
