//! `kubectl pullfuse` as a user runs it: through kubectl, with a kubeconfig, against a real cluster.

use std::{cell::RefCell, ffi::OsString, path::Path, process::Command};

use anyhow::Context;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::{Api, api::PostParams, config::Kubeconfig};
use libtest_mimic::Trial;
use pullfuse_rig::{FINE_IMAGE, NODE_ADDRESS};
use serde_json::{Value, json};

use crate::support::{
    AgentOptions, NO_RIGHTS, Node, Transcript, Waiting, missing_pod, phase, scenario, until,
};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("plugin::pods_are_shown_by_image_and_cause", pods_by_image_and_cause),
        scenario("plugin::a_node_without_a_ready_agent_is_shown_with_the_reason", agents),
        scenario("plugin::an_agent_that_is_not_ready_says_why_itself", not_ready),
        scenario("plugin::a_missing_right_is_named", a_missing_right_is_named),
    ]
}

/// `kubectl pullfuse` with these words; exit code, standard output and standard error.
pub fn plugin(
    node: &Node,
    kubeconfig: &Path,
    words: &[&str],
) -> anyhow::Result<(Option<i32>, String, String)> {
    let plugin = Path::new(env!("CARGO_BIN_EXE_kubectl-pullfuse"));
    let folder = plugin.parent().context("the plugin is in a folder")?;
    let mut path = OsString::from(folder);
    path.push(":/usr/bin:/bin");
    let output = Command::new(node.rig.parts().join("bin/kubectl"))
        .arg("pullfuse")
        .args(words)
        .env("PATH", path)
        .env("KUBECONFIG", kubeconfig)
        .output()?;
    let text = |bytes| String::from_utf8(bytes).context("what it says is UTF-8");
    Ok((output.status.code(), text(output.stdout)?, text(output.stderr)?))
}

/// The rows that it prints as JSON.
fn rows(node: &Node, words: &[&str]) -> anyhow::Result<Vec<Value>> {
    let words = [words, &["-o", "json"]].concat();
    let (code, out, errors) = plugin(node, &node.rig.kubeconfig(), &words)?;
    anyhow::ensure!(matches!(code, Some(0 | 1)), "{words:?} ended with {code:?}: {errors}");
    out.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

async fn pods_by_image_and_cause() -> anyhow::Result<()> {
    let node = Node::core().await?;
    let (namespace, other) = ("plugin-a", "plugin-b");
    node.rig.namespace(namespace).await?;
    node.rig.namespace(other).await?;
    let image = |image: &str, policy: &str| json!({ "containers": [{ "name": "c", "image": image, "imagePullPolicy": policy }] });
    let gone = "127.0.0.1:5000/plugin:nosuch";
    for (namespace, pod, image) in [
        (namespace, "gone-1", image(gone, "Always")),
        (other, "gone-2", image(gone, "Always")),
        (namespace, "never", image("127.0.0.1:5000/plugin:never", "Never")),
        (namespace, "busy", image("127.0.0.1:1/plugin:1", "Always")),
    ] {
        node.rig.apply(&missing_pod(namespace, pod, image)).await?;
    }
    // A name that no runtime takes; the agent is asked to leave its pod alone.
    let name = image("127.0.0.1:5000/\u{1b}[2J\u{202e}evil:1", "Always");
    let mut evil: Value = serde_json::from_str(&missing_pod(namespace, "evil", name))?;
    evil["metadata"]["annotations"] = json!({ "pullfuse.io/mode": "ignore" });
    node.rig.apply(&evil.to_string()).await?;
    let refused = |pod: &Pod| pod.waits_for("InvalidImageName");
    node.wait_pod(namespace, "evil", "its image is refused", refused).await?;
    for (namespace, pod) in [(namespace, "gone-1"), (other, "gone-2"), (namespace, "never")] {
        node.wait_pod(namespace, pod, "it is Failed", |pod| phase(pod) == "Failed").await?;
    }
    let waits = |pod: &Pod| pod.waits_for("ErrImagePull") || pod.waits_for("ImagePullBackOff");
    node.wait_pod(namespace, "busy", "it waits", waits).await?;

    let brief = |row: &Value| {
        let of = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
        (of("state"), of("class"), row["pods"].as_u64().unwrap_or_default())
    };
    let expected = [
        ("ended", "never_pull", 1),
        ("ended", "not_found", 1),
        ("waiting", "connection_refused", 1),
        ("waiting", "invalid_reference", 1),
    ];
    let expected = expected.map(|(state, class, pods)| (state.into(), class.into(), pods));
    let last = RefCell::new(String::new());
    // What the kubelet takes back for a while did not hold for a while.
    let as_expected = async || {
        let shown = rows(&node, &["-n", namespace])?;
        let mut found: Vec<_> = shown.iter().map(brief).collect();
        found.sort();
        let equal = found == expected;
        *last.borrow_mut() = format!("{found:?}");
        Ok(equal.then_some(shown))
    };
    let shown = until(as_expected).await.with_context(|| last.take())?;
    for row in &shown {
        assert!(!row["advice"].as_str().unwrap_or_default().is_empty(), "no advice: {row}");
        assert_eq!(row["nodes"], json!([pullfuse_rig::NODE]), "{row}");
    }

    // Both namespaces' pods have one image and one cause.
    let both = async || {
        let everywhere = rows(&node, &["pods", "-A"])?;
        let row = everywhere.iter().find(|row| row["image"] == gone);
        let both =
            |row: &&Value| row["pods"] == 2 && row["namespaces"] == json!([namespace, other]);
        Ok(row.filter(both).map(drop))
    };
    until(both).await.context("one image and one cause are not one row")?;

    // For people: what an image's name holds does not move the cursor.
    for wide in [&[][..], &["-o", "wide"]] {
        let words = [&["-n", namespace], wide].concat();
        let (code, out, errors) = plugin(&node, &node.rig.kubeconfig(), &words)?;
        assert_eq!((code, errors.as_str()), (Some(0), ""));
        assert!(out.contains("evil") && !out.contains(['\u{1b}', '\u{202e}']), "{out:?}");
        assert_eq!(out.contains("ERROR"), !wide.is_empty(), "{out}");
    }
    node.rig.namespace("plugin-empty").await?;
    let (code, out, _) = plugin(&node, &node.rig.kubeconfig(), &["-n", "plugin-empty"])?;
    assert_eq!(code, Some(0));
    assert!(out.contains("no pod was ended by pullfuse") && out.contains("plugin-empty"), "{out}");
    Ok(())
}

async fn agents() -> anyhow::Result<()> {
    let node = Node::core().await?;
    let namespace = "plugin-agents";
    node.rig.namespace(namespace).await?;
    let kubeconfig = node.rig.kubeconfig();
    let (code, _, errors) = plugin(&node, &kubeconfig, &["agents", "-n", namespace])?;
    assert_eq!(code, Some(69), "{errors}");
    assert!(errors.contains("no DaemonSet") && errors.contains(namespace), "{errors}");

    // Of an agent only the pod matters here: one whose image does not exist.
    let labels = json!({ "app.kubernetes.io/name": "pullfuse" });
    let set = |image: &str, selector: Value| {
        json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": { "namespace": namespace, "name": "pullfuse", "labels": labels },
            "spec": { "selector": { "matchLabels": labels }, "template": {
                "metadata": { "labels": labels },
                "spec": { "nodeSelector": selector, "terminationGracePeriodSeconds": 1,
                    "containers": [{ "name": "pullfuse", "image": image }] },
            } },
        })
        .to_string()
    };
    node.rig.apply(&set("127.0.0.1:5000/pullfuse:nosuch", json!({}))).await?;
    let row = async || anyhow::Ok(rows(&node, &["agents", "-n", namespace])?.into_iter().next());
    let why = |row: &Value| row["why"].as_str().unwrap_or_default().to_owned();
    let pulling = async || Ok(row().await?.filter(|row| why(row).contains("ImagePull")));
    let shown = until(pulling).await?;
    assert_eq!(shown["health"], "not_ready");
    let (code, out, _) = plugin(&node, &kubeconfig, &["agents", "-n", namespace])?;
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("0 of 1 nodes") && out.contains("nosuch"), "{out}");

    node.rig.apply(&set(FINE_IMAGE, json!({}))).await?;
    until(async || Ok(row().await?.filter(|row| row["health"] == "ready"))).await?;
    let (code, out, _) = plugin(&node, &kubeconfig, &["agents", "-n", namespace])?;
    assert_eq!(code, Some(0), "{out}");

    node.rig.apply(&set(FINE_IMAGE, json!({ "no": "such-node" }))).await?;
    until(async || Ok(row().await?.filter(|row| row["health"] == "left_out"))).await?;
    Ok(())
}

/// The pod of the DaemonSet stands for the agent: in the node's network, on the agent's port.
async fn not_ready() -> anyhow::Result<()> {
    let node = Node::core().await?;
    let namespace = "plugin-why";
    node.rig.namespace(namespace).await?;
    let agent = AgentOptions {
        account: NO_RIGHTS.into(),
        // The API server asks the pod at the node's own address.
        address: NODE_ADDRESS,
        ..AgentOptions::own("why", 9487, "")
    };
    node.spawn_agent(&agent).await?;
    let labels = json!({ "app.kubernetes.io/name": "pullfuse" });
    let probe = json!({ "httpGet": { "path": "/readyz", "port": agent.port }, "periodSeconds": 1 });
    let set = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": { "namespace": namespace, "name": "pullfuse", "labels": labels },
        "spec": { "selector": { "matchLabels": labels }, "template": {
            "metadata": { "labels": labels },
            "spec": { "hostNetwork": true, "terminationGracePeriodSeconds": 1, "containers": [{
                "name": "pullfuse", "image": FINE_IMAGE, "readinessProbe": probe,
                "ports": [{ "containerPort": agent.port }],
            }] },
        } },
    });
    node.rig.apply(&set.to_string()).await?;
    let words = ["agents", "-n", namespace];
    let says = async |kubeconfig: &Path, why: &str| {
        until(async || {
            let (code, out, errors) = plugin(&node, kubeconfig, &words)?;
            anyhow::ensure!(code == Some(1), "{code:?}: {out}{errors}");
            Ok(out.contains(why).then_some((out, errors)))
        })
        .await
        .with_context(|| format!("it never said {why}"))
    };
    let (out, errors) = says(&node.rig.kubeconfig(), "cannot watch the pods of this node").await?;
    assert!(out.contains("pods: not ready: ") && out.contains("forbidden"), "{out}");
    assert!(!out.contains(": ok: ") && errors.is_empty(), "only what is wrong: {out}{errors}");
    let mut transcript = Transcript::default();
    transcript.remark("Do all nodes have an agent that works?");
    transcript.asked("kubectl pullfuse", &words, &out);

    // Who may not ask it learns which right that takes, and all else.
    let user = user(&node, namespace, "reader").await?;
    let rights = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": "plugin-reader" },
        "rules": [
            { "apiGroups": ["apps"], "resources": ["daemonsets"], "verbs": ["list"] },
            { "apiGroups": [""], "resources": ["pods", "nodes", "events"], "verbs": ["list"] },
        ],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": "plugin-reader" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "plugin-reader" },
        "subjects": [{ "kind": "ServiceAccount", "name": "reader", "namespace": namespace }],
    });
    node.rig.apply(&rights.to_string()).await?;
    node.rig.apply(&binding.to_string()).await?;
    let may = async || {
        let (code, ..) = plugin(&node, user.path(), &words)?;
        Ok((code != Some(69)).then_some(()))
    };
    until(may).await?;
    let (out, errors) = says(user.path(), "you may not get pods/proxy").await?;
    assert!(out.contains("0 of 1 nodes") && errors.is_empty(), "{out}{errors}");
    transcript.remark("And for somebody who may not ask the agents themselves?");
    transcript.asked("kubectl pullfuse", &words, &out);
    transcript.keep("agents")
}

/// A kubeconfig of a user who may do nothing yet.
async fn user(node: &Node, namespace: &str, name: &str) -> anyhow::Result<tempfile::NamedTempFile> {
    let accounts = Api::<ServiceAccount>::namespaced(node.rig.client(), namespace);
    let account = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
    accounts.create(&PostParams::default(), &account).await?;
    let token = node.rig.service_account_token(namespace, name, None).await?;
    let mut kubeconfig = Kubeconfig::read_from(node.rig.kubeconfig())?;
    let user = kubeconfig.auth_infos.first_mut().and_then(|user| user.auth_info.as_mut());
    user.context("a kubeconfig without a user")?.token = Some(token.into());
    let file = tempfile::NamedTempFile::new()?;
    serde_json::to_writer(&file, &kubeconfig)?;
    Ok(file)
}

async fn a_missing_right_is_named() -> anyhow::Result<()> {
    let node = Node::core().await?;
    node.rig.namespace("plugin-rights").await?;
    let file = user(&node, "plugin-rights", "nobody").await?;
    for (words, missing) in [
        (&["-A"][..], "list pods in all namespaces"),
        (&["-n", "x"], "list pods in namespace x"),
        (&["agents"], "list daemonsets in namespace pullfuse"),
    ] {
        let (code, _, errors) = plugin(&node, file.path(), words)?;
        assert_eq!(code, Some(69), "{errors}");
        assert!(errors.contains(missing), "lacks {missing}: {errors}");
    }
    Ok(())
}
