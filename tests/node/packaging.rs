//! Every way to install pullfuse: what kustomize and Helm render is the same, whole, and accepted by
//! a real API server.

use std::fs;

use anyhow::{Context, ensure};
use libtest_mimic::Trial;
use pullfuse_rig::Rig;
use serde_json::{Value, json};

use crate::{
    deploy::{self, shipped},
    render::{self, Objects},
    support::{Node, scenario},
    tools::kubectl,
};

/// Components of which each has a configuration of its own.
const EITHER: [&str; 2] = ["dry-run", "no-ebpf"];
const DASHBOARD: &str = "pullfuse-dashboard";

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("packaging::the_chart_renders_what_kustomize_does", same_objects),
        scenario("packaging::the_chart_does_what_its_values_say", values),
        scenario("packaging::the_chart_refuses_wrong_values", wrong_values),
        scenario("packaging::monitoring_fits_in_with_what_is_there", monitoring),
        scenario("packaging::the_api_server_accepts_every_way_to_install", accepted),
    ]
}

/// Objects of the chart, without what only Helm has, next to those of kustomize without the hash in
/// the ConfigMap's name. Both make the pods anew when the configuration changes.
fn comparable(text: &str) -> anyhow::Result<Objects> {
    let mut objects = render::objects(text)?;
    let own = |(kind, name): &&(String, String)| kind == "ConfigMap" && name != DASHBOARD;
    let hashed = objects.keys().find(own).context("no ConfigMap")?.clone();
    let mut map = objects.remove(&hashed).context("it was just there")?;
    map["metadata"]["name"] = json!("pullfuse");
    objects.insert(("ConfigMap".into(), "pullfuse".into()), map);
    let set = objects.get_mut(&("DaemonSet".into(), "pullfuse".into())).context("no DaemonSet")?;
    let template = &mut set["spec"]["template"];
    let metadata = template["metadata"].as_object_mut().context("no metadata")?;
    if let Some(annotations) = metadata.remove("annotations") {
        let keys: Vec<_> = annotations.as_object().context("an object")?.keys().collect();
        ensure!(
            keys == ["pullfuse.io/config"],
            "only what rolls out a new configuration: {keys:?}"
        );
    }
    let volumes = template["spec"]["volumes"].as_array_mut().context("no volumes")?;
    let config = volumes.iter_mut().find(|volume| volume["name"] == "config");
    config.context("no configuration")?["configMap"]["name"] = json!("pullfuse");
    // kustomize takes these kinds for namespaced; the API server drops what it writes.
    for ((kind, _), object) in &mut objects {
        if kind.starts_with("ValidatingAdmissionPolicy") {
            object["metadata"].as_object_mut().context("no metadata")?.remove("namespace");
        }
    }
    Ok(objects)
}

async fn same_objects() -> anyhow::Result<()> {
    let node = Node::core().await?;
    let rig = &node.rig;
    let same = ["createNamespace=true", "image.tag=latest"];
    for (components, set) in [
        (&[][..], &[][..]),
        (&["deadline"], &["deadline=true"]),
        (&["monitoring"], &["monitoring.enabled=true"]),
    ] {
        let kustomize = comparable(&render::kustomize(rig, components)?)?;
        let helm = comparable(&render::helm(rig, "pullfuse", &[&same, set].concat())?)?;
        let names = |objects: &Objects| objects.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&helm), names(&kustomize));
        for (name, object) in &kustomize {
            assert_eq!(&helm[name], object, "{name:?} of the chart and of kustomize differ");
        }
    }
    // The components that are values of the chart do the same to the container and its volumes.
    for (component, set) in
        [("crio", "runtime=crio"), ("k3s", "runtime=k3s"), ("no-ebpf", "capture=off")]
    {
        let kustomize = comparable(&render::kustomize(rig, &[component])?)?;
        let helm = comparable(&render::helm(rig, "pullfuse", &[&same[..], &[set]].concat())?)?;
        for what in ["volumes", "containers"] {
            let (helm, kustomize) = (sorted(&helm, what)?, sorted(&kustomize, what)?);
            assert_eq!(helm, kustomize, "{what} with {component} and {set} differ");
        }
    }
    let said = render::helm_lint(rig)?;
    assert!(said.contains("0 chart(s) failed"), "{said}");
    Ok(())
}

/// Volumes or containers of the DaemonSet, with mounts and volumes in one order.
fn sorted(objects: &Objects, what: &str) -> anyhow::Result<Value> {
    let set = objects.get(&("DaemonSet".into(), "pullfuse".into())).context("no DaemonSet")?;
    let mut list = set["spec"]["template"]["spec"][what].clone();
    let sort = |list: &mut Value| {
        if let Some(list) = list.as_array_mut() {
            list.sort_by_key(Value::to_string);
        }
    };
    list.as_array_mut()
        .context("a list")?
        .iter_mut()
        .for_each(|one| sort(&mut one["volumeMounts"]));
    sort(&mut list);
    Ok(list)
}

async fn values() -> anyhow::Result<()> {
    let node = Node::core().await?;
    let folder = tempfile::tempdir()?;
    let set = ["mode=dry-run", "capture=tracepoint", "maxAttempts=3", "minElapsed=2m"];
    let text = render::helm(&node.rig, "elsewhere", &set)?;
    // No token of another namespace is bounded by policies that name the usual one.
    assert!(
        !text.contains("serviceaccount:pullfuse:")
            && text.contains("serviceaccount:elsewhere:pullfuse")
    );
    let objects = render::objects(&text)?;
    let policy = render::check(render::config(&objects)?, folder.path())?;
    assert_eq!(policy["mode"], "dry-run", "{policy}");
    let permanent = &policy["scopes"][0]["limits"]["permanent"];
    assert_eq!(
        (&permanent["max_attempts"], &permanent["min_elapsed"]),
        (&json!(3), &json!("2m")),
        "{policy}"
    );
    assert!(render::config(&objects)?.contains("capture = \"tracepoint\""));

    let digest = format!("sha256:{}", "0".repeat(64));
    let set = format!("image.repository=r.example/x,image.digest={digest},nodeSelector.pool=a");
    let text =
        render::helm(&node.rig, "pullfuse", &[&set, "maxAttempts=never", "podAnnotations.a=b"])?;
    let objects = render::objects(&text)?;
    let pod = &objects[&("DaemonSet".into(), "pullfuse".into())]["spec"]["template"];
    assert_eq!(pod["spec"]["containers"][0]["image"], format!("r.example/x@{digest}"));
    assert_eq!(pod["spec"]["nodeSelector"], json!({ "kubernetes.io/os": "linux", "pool": "a" }));
    assert_eq!(pod["metadata"]["annotations"]["a"], "b");
    assert!(render::config(&objects)?.contains("max_attempts = \"never\""));
    Ok(())
}

async fn wrong_values() -> anyhow::Result<()> {
    let node = Node::core().await?;
    for (set, words) in [
        (&["mode=off"][..], &["mode", "enforce", "dry-run"][..]),
        (&["maxAttempts=0"], &["maxAttempts", "minimum"]),
        (&["imgae.tag=1"], &["imgae", "not allowed"]),
        (&["image.digest=abc"], &["digest", "sha256"]),
        (&["monitoring.runbookBase=docs"], &["runbookBase", "https"]),
        (
            &["config=a", "mode=dry-run"],
            &["config is given", "mode = dry-run", "write mode into config"],
        ),
    ] {
        let refused = render::helm(&node.rig, "pullfuse", set).err();
        let error = format!("{:?}", refused.with_context(|| format!("{set:?} was taken"))?);
        for word in words {
            assert!(error.contains(word), "{set:?}: lacks {word}: {error}");
        }
    }
    Ok(())
}

/// The kustomization of docs/alerts.md and the chart's values for the same add what a Prometheus
/// selects by, and say where the runbooks are.
async fn monitoring() -> anyhow::Result<()> {
    let node = Node::core().await?;
    let page = fs::read_to_string(shipped("../docs/alerts.md"))?;
    let block = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    let folder = tempfile::tempdir()?;
    deploy::copy_base(folder.path())?;
    fs::write(folder.path().join("kustomization.yaml"), block.context("no kustomization")?)?;
    let kustomize = render::objects(&deploy::kustomize(&node.rig, folder.path())?)?;
    let base = "https://git.example.com/pullfuse/docs/alerts.md";
    let set = [
        "monitoring.enabled=true",
        "monitoring.labels.release=prometheus",
        &format!("monitoring.runbookBase={base}"),
        "monitoring.dashboardNamespace=grafana",
    ];
    let helm = render::objects(&render::helm(&node.rig, "pullfuse", &set)?)?;
    for kind in ["PodMonitor", "PrometheusRule"] {
        let key = (kind.to_owned(), "pullfuse".to_owned());
        assert_eq!(helm[&key], kustomize[&key], "{kind}");
        assert_eq!(helm[&key]["metadata"]["labels"]["release"], "prometheus", "{kind}");
    }
    let rules = &helm[&("PrometheusRule".into(), "pullfuse".into())]["spec"]["groups"][0]["rules"];
    for rule in rules.as_array().context("no rules")? {
        let name = rule["alert"].as_str().context("an alert without a name")?;
        let runbook = format!("{base}#{}", name.to_lowercase());
        assert_eq!(rule["annotations"]["runbook_url"], runbook);
    }
    let dashboard = |objects: &Objects| objects[&("ConfigMap".into(), DASHBOARD.into())].clone();
    assert_eq!(dashboard(&helm)["metadata"]["namespace"], "grafana");
    assert_eq!(dashboard(&helm)["data"], dashboard(&kustomize)["data"]);
    Ok(())
}

async fn accepted() -> anyhow::Result<()> {
    let node = Node::core().await?;
    let (rig, folder) = (&node.rig, tempfile::tempdir()?);
    node.rig.namespace("packaging").await?;
    node.install_operator_kinds().await?;
    let mut ways = vec![("kustomize".to_owned(), render::kustomize(rig, &[])?)];
    for component in shipped("components").read_dir()? {
        let name = component?.file_name().to_string_lossy().into_owned();
        let text = render::kustomize(rig, &[&name])?;
        ways.push((name, text));
    }
    ensure!(ways.len() > 5, "components are missing");
    let several = ["deadline", "dry-run", "k3s"];
    ways.push((several.join(", "), render::kustomize(rig, &several)?));
    ensure!(render::kustomize(rig, &EITHER).is_err(), "{EITHER:?} were taken together");
    for set in ["deadline=true,mode=dry-run", "runtime=k3s,capture=off", "monitoring.enabled=true"]
    {
        ways.push((set.to_owned(), render::helm(rig, "packaging", &[set])?));
    }
    for (way, text) in ways {
        let objects = render::objects(&text)?;
        let config = render::config(&objects).context(way.clone())?;
        let policy = render::check(config, folder.path()).context(way.clone())?;
        let expected = if way.contains("dry-run") { "dry-run" } else { "enforce" };
        assert_eq!(policy["mode"], expected, "{way}");
        apply_dry(rig, &text).context(way)?;
    }
    // By itself, where pullfuse is installed already; and what it says is looked at.
    let alone = deploy::kustomize(rig, &shipped("components/monitoring"))?;
    apply_dry(rig, &alone.replace("namespace: pullfuse", "namespace: packaging"))?;
    for (right, wrong) in [("jobLabel", "jobLable"), ("expr:", "expression:")] {
        let misspelt = alone.replace(right, wrong).replace(": pullfuse\n", ": packaging\n");
        let error = apply_dry(rig, &misspelt).err();
        let error = format!("{:?}", error.with_context(|| format!("{wrong} was taken"))?);
        assert!(error.contains(wrong.trim_end_matches(':')), "{error}");
    }
    Ok(())
}

/// `kubectl apply --dry-run=server`: everything is checked, nothing is kept.
fn apply_dry(rig: &Rig, text: &str) -> anyhow::Result<()> {
    let (_, errors) = kubectl(rig, &["apply", "--dry-run=server", "-f", "-"], text)?;
    let warned =
        errors.lines().any(|line| line.starts_with("Warning") && !line.contains("last-applied"));
    ensure!(!warned, "{errors}");
    Ok(())
}
