//! A real Prometheus reads the agents: every alert fires when what it is about happens, and every
//! expression of the dashboard has data. Both are read from `daemonset/components/monitoring`.

use std::fs;

use anyhow::Context;
use kube::api::{Patch, PatchParams};
use libtest_mimic::Trial;
use pullfuse_rig::{
    NODE, Options, Program, Rig,
    fake_registry::{Answer, FakeRegistry},
    images::Image,
};
use serde_json::{Value, json};

use crate::{
    deploy::shipped,
    support::{
        AgentOptions, LONG, NO_RIGHTS, Node, missing_pod, no_pull_limit, phase, scenario, until,
    },
    watching,
};

const NAMESPACE: &str = "watched";
const TRIES: &str = "tries";
const PROMETHEUS: u16 = 9090;
/// Ports of a registry that loses everything, and of one that hangs.
const BROKEN: u16 = 5001;
const HANGS: u16 = 5002;
/// Ports where nobody listens.
const CLOSED: [u16; 2] = [5003, 5004];
/// As many as the alert about a registry asks for.
const MANY: usize = 10;

pub fn trials() -> Vec<Trial> {
    vec![scenario("monitoring::every_alert_fires_and_every_panel_has_data", everything)]
}

fn watched() -> AgentOptions {
    AgentOptions::new(&format!(
        "limits = {{ max_attempts = 2, min_elapsed = \"1s\", ambiguous.max_attempts = 2 }}\n\
         breaker.images = 2\nact.verify_for = \"5s\"\nmetrics.namespaces = true\n\
         [[scopes]]\nname = \"tries\"\nnamespaces = [\"{TRIES}\"]\nmode = \"dry-run\"\n"
    ))
}

/// An agent that may see nothing.
fn blind() -> AgentOptions {
    let agent = AgentOptions::attempts(2, "1s").beside("blind", 9461);
    AgentOptions { account: NO_RIGHTS.into(), ..agent }
}

fn of_image(image: &str) -> Value {
    json!({ "containers": [{ "name": "c", "image": image }] })
}

async fn everything() -> anyhow::Result<()> {
    let options = Options { kubelet_config: no_pull_limit(), ..Options::default() };
    let node = Node::start(options, None).await?;
    // Events are not allowed, so those writes are refused.
    let rbac = fs::read_to_string(shipped("rbac.yaml"))?;
    let without = rbac.replace("resources: [events]", "resources: [nothing]");
    anyhow::ensure!(rbac != without, "rbac.yaml no longer says resources: [events]");
    let role = without.split("---").find(|part| part.contains("kind: ClusterRole\n"));
    node.rig.apply(role.context("no ClusterRole")?).await?;
    let mut agent = watched().listening();
    agent.runtime.push_str("\nholdup_after = \"3s\"");
    node.start_agent(&agent).await?;
    node.spawn_agent(&blind()).await?;
    start_prometheus(&node.rig).await?;
    for namespace in [NAMESPACE, TRIES] {
        node.rig.namespace(namespace).await?;
    }

    // An outage, a node whose way to two registries is closed, one image that does not exist.
    let broken = FakeRegistry::serve(node.rig.listen(BROKEN)?)?;
    for number in 0..MANY {
        let name = format!("lost-{number}");
        let image = broken.image(&format!("{name}:1"));
        node.rig.apply(&missing_pod(NAMESPACE, &name, of_image(&image))).await?;
    }
    for port in CLOSED {
        let image = of_image(&format!("127.0.0.1:{port}/app:1"));
        node.rig.apply(&missing_pod(NAMESPACE, &format!("closed-{port}"), image)).await?;
    }
    node.rig.apply(&missing_pod(NAMESPACE, "missing", json!({}))).await?;
    let hangs = FakeRegistry::serve(node.rig.listen(HANGS)?)?;
    hangs.set_default(Answer::Forbidden);
    node.rig.apply(&missing_pod(TRIES, "comes", of_image(&hangs.image("comes:1")))).await?;

    // Somebody takes the verdict back, until it is noticed: the kubelet restores it.
    let ended = |pod: &_| phase(pod) == "Failed";
    node.wait_pod(NAMESPACE, "missing", "it is Failed", ended).await?;
    let back = Patch::Merge(json!({ "status": { "phase": "Pending" } }));
    let reverted = async || {
        node.pods(NAMESPACE).patch_status("missing", &PatchParams::default(), &back).await?;
        let reverted = node.metric(&agent, "pullfuse_verdicts_reverted_total").await?;
        Ok((reverted > 0.0).then_some(()))
    };
    until(reverted).await.context("nobody noticed that the verdict was taken back")?;

    // A dry run's mistake. Until then nothing succeeds on this node.
    until_fired(&node.rig, "PullfuseNodeCannotPull").await?;
    let dry_run =
        "pullfuse_verdicts_total{action=\"dry_run\",outcome=\"dry_run\",pod_namespace=\"tries\"}";
    node.until_metric(&agent, dry_run, 1.0).await?;
    let fine = Image::program("fine", &node.rig.parts().join("bin/fine"))?;
    hangs.set("comes", Answer::Image(fine));
    node.wait_pod(TRIES, "comes", "it runs", |pod| phase(pod) == "Running").await?;

    // A pull that hangs, somebody who waits for it, and a configuration that is wrong.
    hangs.set("hangs", Answer::Hang);
    node.rig.apply(&missing_pod(NAMESPACE, "hangs", of_image(&hangs.image("hangs:1")))).await?;
    let asked = hangs.wait_for("hangs", |counts| counts.total > 0);
    tokio::time::timeout(LONG, asked).await.context("the pull that hangs never began")?;
    node.rig.apply(&missing_pod(NAMESPACE, "waits", json!({}))).await?;
    let mut wrong = agent.clone();
    wrong.config = "mode = \"sometimes\"\n".into();
    node.configure(&wrong)?;

    for alert in watching::alerts()? {
        until_fired(&node.rig, alert["alert"].as_str().context("an alert without a name")?).await?;
    }
    for target in watching::targets()? {
        let shows = async || Ok(has_data(&node.rig, &target.expression).await?.then_some(()));
        until(shows).await.with_context(|| {
            format!("panel {} never had data: {}", target.panel, target.expression)
        })?;
    }
    hangs.set("hangs", Answer::NotFound);
    Ok(())
}

/// A Prometheus that knows the rules as they ship, but waits for nothing before an alert fires.
async fn start_prometheus(rig: &Rig) -> anyhow::Result<()> {
    let folder = rig.folder().join("prometheus");
    fs::create_dir_all(&folder)?;
    let mut rules = watching::rules()?;
    for group in rules["groups"].as_array_mut().into_iter().flatten() {
        for rule in group["rules"].as_array_mut().into_iter().flatten() {
            rule["for"] = "0s".into();
        }
    }
    fs::write(folder.join("rules.yaml"), rules.to_string())?;
    let target = |port: u16, node: &str| json!({ "targets": [format!("127.0.0.1:{port}")], "labels": { "node": node } });
    let config = json!({
        "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{ "job_name": "pullfuse", "static_configs": [
            target(9460, NODE), target(blind().port, "blind"), target(1, "gone"),
        ] }],
    });
    fs::write(folder.join("prometheus.yaml"), config.to_string())?;
    let path = |file: &str| folder.join(file).display().to_string();
    let argv = [
        "prometheus".to_owned(),
        format!("--config.file={}", path("prometheus.yaml")),
        format!("--storage.tsdb.path={}", path("data")),
        format!("--web.listen-address=127.0.0.1:{PROMETHEUS}"),
    ];
    rig.spawn(Program::new("prometheus", argv.iter().map(String::as_str))).await?;
    let ready = async || {
        let asked = rig.http_get(PROMETHEUS, "/-/ready").await;
        Ok(asked.is_ok_and(|(status, _)| status == 200).then_some(()))
    };
    let log = || rig.log("prometheus").unwrap_or_default();
    until(ready).await.with_context(|| format!("Prometheus is not ready: {}", log()))
}

/// Waits until an alert has fired once.
async fn until_fired(rig: &Rig, alert: &str) -> anyhow::Result<()> {
    let expression = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}");
    let fired = async || Ok(has_data(rig, &expression).await?.then_some(()));
    until(fired).await.with_context(|| format!("{alert} never fired"))
}

/// Whether an expression had a value at any time in the last minutes.
async fn has_data(rig: &Rig, expression: &str) -> anyhow::Result<bool> {
    let now = jiff::Timestamp::now().as_second();
    let range = format!("start={}&end={now}&step=1", now - 600);
    let path = format!("/api/v1/query_range?{range}&query={}", encoded(expression));
    let (status, body) = rig.http_get(PROMETHEUS, &path).await?;
    anyhow::ensure!(status == 200, "Prometheus does not understand {expression}: {body}");
    let answer: Value = serde_json::from_str(&body)?;
    let series = answer["data"]["result"].as_array().context("an odd answer")?;
    let mut values = series.iter().filter_map(|one| one["values"].as_array()).flatten();
    Ok(values.any(|value| value[1].as_str().is_some_and(|number| number != "NaN")))
}

/// As a part of a URL.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
