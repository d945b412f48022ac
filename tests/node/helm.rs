//! The chart as its users have it: `helm install`, `helm upgrade`, `helm uninstall`.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::{
    daemonset::{agent, until_ready},
    deploy::shipped,
    leftovers::Before,
    support::{LONG, Node, condition, missing_pod, phase, scenario, verdict},
    tools::{helm, kubectl},
};

const NAMESPACE: &str = "by-helm";
/// What only the second configuration says.
const ADVICE: &str = "ask the team that builds it";

pub fn trials() -> Vec<Trial> {
    vec![scenario("helm::the_chart_is_installed_upgraded_and_removed", its_life)]
}

async fn its_life() -> anyhow::Result<()> {
    let (node, _turn) = Node::bare().await?;
    let rig = &node.rig;
    node.install_operator_kinds().await?;
    rig.apply(&missing_pod("default", "probe", json!({}))).await?;
    let before = Before::now(rig)?;

    let limits = "limits = { max_attempts = 2, min_elapsed = \"5s\" }\n";
    let values = json!({ "maxAttempts": 2, "minElapsed": "5s", "monitoring": { "enabled": true } });
    release(&node, &["install", "--create-namespace"], values, limits)?;
    until_ready(&node).await?;
    node.until_policies_hold().await?;
    rig.namespace(NAMESPACE).await?;
    ends(&node, "first").await?;
    kubectl(rig, &["-n", "pullfuse", "get", "podmonitor/pullfuse", "prometheusrule/pullfuse"], "")?;

    // Another configuration is another pod, which goes by it.
    let old = agent(&node).await?;
    let rule = format!(
        "[[rules]]\nmatch = \"not found\"\ndisposition = \"permanent\"\nadvice = \"{ADVICE}\"\n"
    );
    let config = format!("{limits}{rule}");
    release(&node, &["upgrade"], json!({ "config": config }), &config)?;
    let gone = |pod: Option<&Pod>| pod.is_none();
    rig.wait_for::<Pod>("pullfuse", &old.name_any(), LONG, "it is gone", gone).await?;
    until_ready(&node).await?;
    let ended = ends(&node, "second").await?;
    let message = ended.status.and_then(|status| status.message).unwrap_or_default();
    assert!(message.contains(ADVICE), "{message}");

    helm(rig, &["uninstall", "pullfuse", "--namespace", "pullfuse"])?;
    let left = [
        "Namespace /pullfuse",
        // What every namespace has.
        "ConfigMap pullfuse/kube-root-ca.crt",
        "ServiceAccount pullfuse/default",
    ];
    before.until_left(rig, NAMESPACE, &left).await?;
    for pod in ["first", "second"] {
        assert_eq!(phase(&node.pods(NAMESPACE).get(pod).await?), "Failed", "{pod}");
    }
    assert!(rig.host_path("/var/lib/pullfuse/ledger.redb").exists(), "the docs say it stays");
    Ok(())
}

/// `helm install` or `helm upgrade` with the rig's image and these values, which come to this
/// configuration.
fn release(node: &Node, how: &[&str], values: Value, config: &str) -> anyhow::Result<()> {
    let mut all = values;
    all["image"] = json!({ "repository": "127.0.0.1:5000/pullfuse", "tag": "test" });
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), all.to_string())?;
    let (chart, file) = (shipped("helm").display().to_string(), file.path().display().to_string());
    let words = ["pullfuse", &chart, "--namespace", "pullfuse", "--values", &file];
    node.agents().ship(config);
    helm(&node.rig, &[how, &words].concat()).map(drop)
}

/// A pod without an image is ended after two attempts.
async fn ends(node: &Node, pod: &str) -> anyhow::Result<Pod> {
    node.rig.apply(&missing_pod(NAMESPACE, pod, json!({}))).await?;
    let ended = node.wait_pod(NAMESPACE, pod, "it is Failed", |pod| phase(pod) == "Failed").await?;
    assert!(condition(&ended, "pullfuse.io/ImagePullFailed").is_some(), "failed by someone else");
    assert_eq!(verdict(&ended)["attempts"], 2, "{}", verdict(&ended));
    Ok(ended)
}
