//! What is missing or wrong is said in a sentence; nothing panics and no pod is ended by mistake.

use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{AgentOptions, NO_RIGHTS, Node, missing_pod, phase, scenario};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("preconditions::no_rights", no_rights),
        scenario("preconditions::a_wrong_node_name", a_wrong_node_name),
        scenario("preconditions::no_api_server", no_api_server),
        scenario("preconditions::no_cri_socket_holds_verdicts_back", no_cri_socket),
        scenario("preconditions::a_second_agent_on_the_ledger", a_second_agent),
    ]
}

async fn no_rights() -> anyhow::Result<()> {
    let node = Node::core().await?;
    let mut agent = AgentOptions::two_attempts().beside("no-rights", 9470);
    agent.account = NO_RIGHTS.into();
    node.spawn_agent(&agent).await?;
    let said = node.until_readyz(&agent, |_, body| body.contains("forbidden")).await?;
    for words in ["pods: not ready", "403", "RBAC"] {
        assert!(said.contains(words), "lacks {words}: {said}");
    }
    let (ready, _) = node.rig.http_get(agent.port, "/readyz").await?;
    let (live, _) = node.rig.http_get(agent.port, "/healthz").await?;
    assert_eq!((ready, live), (503, 200));
    Ok(())
}

async fn a_wrong_node_name() -> anyhow::Result<()> {
    let node = Node::core().await?;
    let mut agent = AgentOptions::two_attempts().beside("wrong-node", 9471);
    agent.node = "node-b".into();
    agent.account = "reads-nodes".into();
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": "reads-nodes" },
        "rules": [{ "apiGroups": [""], "resources": ["nodes"], "verbs": ["get"] }],
    });
    let rights = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": "reads-nodes" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                     "name": "reads-nodes" },
        "subjects": [{ "kind": "ServiceAccount", "name": "reads-nodes", "namespace": "pullfuse" }],
    });
    node.rig.apply(&role.to_string()).await?;
    node.rig.apply(&rights.to_string()).await?;
    node.until_may(&agent.account, ("get", "nodes"), true).await?;
    node.spawn_agent(&agent).await?;
    assert_eq!(node.rig.wait_exit(&agent.name).await?.code, Some(1));
    let log = node.log_of(&agent);
    assert!(log.contains("knows no node \"node-b\"") && log.contains("NODE_NAME"), "{log}");
    Ok(())
}

async fn no_api_server() -> anyhow::Result<()> {
    let node = Node::core().await?;
    let mut agent = AgentOptions::two_attempts().beside("no-api-server", 9472);
    agent.server = Some("https://127.0.0.1:1".into());
    node.spawn_agent(&agent).await?;
    let said = node.until_readyz(&agent, |_, body| body.contains("refused")).await?;
    assert!(said.contains("node: not ready"), "{said}");
    let (live, _) = node.rig.http_get(agent.port, "/healthz").await?;
    assert_eq!(live, 200, "restarting the agent would not bring the API server back");
    Ok(())
}

async fn no_cri_socket() -> anyhow::Result<()> {
    let mut agent = AgentOptions::attempts(1, "0s");
    agent.runtime = "endpoint = \"unix:///run/nosuch/cri.sock\"\ncapture = \"off\"".into();
    let node = Node::start(pullfuse_rig::Options::default(), Some(agent.clone())).await?;
    let said = node.until_readyz(&agent, |_, body| body.contains("runtime: degraded")).await?;
    for words in ["/run/nosuch/cri.sock", "No such file", "check_image"] {
        assert!(said.contains(words), "lacks {words}: {said}");
    }
    node.rig.namespace("no-cri").await?;
    node.rig.apply(&missing_pod("no-cri", "p", json!({}))).await?;
    node.until_logged(&agent, &["a verdict is held back", "/run/nosuch/cri.sock"]).await?;
    assert_eq!(phase(&node.pods("no-cri").get("p").await?), "Pending");
    assert_eq!(node.writes_to("no-cri", "p")?.len(), 0);
    Ok(())
}

async fn a_second_agent() -> anyhow::Result<()> {
    let node = Node::core().await?;
    let mut second = AgentOptions::two_attempts().beside("second", 9473);
    second.ledger = AgentOptions::two_attempts().ledger;
    node.spawn_agent(&second).await?;
    assert_eq!(node.rig.wait_exit("second").await?.code, Some(69));
    assert!(node.log_of(&second).contains("another pullfuse runs on this node"));
    Ok(())
}
