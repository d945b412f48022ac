//! Manifests as kustomize and Helm render them, to look into.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context, ensure};
use pullfuse_rig::Rig;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    deploy::{self, run, shipped},
    tools,
};

/// Objects by kind and name.
pub type Objects = BTreeMap<(String, String), Value>;

/// The base with these components, as the comment in its kustomization.yaml tells to.
pub fn kustomize(rig: &Rig, components: &[&str]) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    run(Command::new("cp").arg("-rL").arg(shipped(".")).arg(folder.path()))?;
    let file = folder.path().join("kustomization.yaml");
    let mut text = std::fs::read_to_string(&file)?;
    text.push_str("components:\n");
    for component in components {
        text.push_str(&format!("  - components/{component}\n"));
    }
    std::fs::write(&file, text)?;
    deploy::kustomize(rig, folder.path())
}

/// `helm template` with these settings, in a namespace.
pub fn helm(rig: &Rig, namespace: &str, set: &[&str]) -> anyhow::Result<String> {
    let chart = shipped("helm").display().to_string();
    let mut words = vec!["template", "pullfuse", chart.as_str(), "--namespace", namespace];
    words.extend(set.iter().flat_map(|one| ["--set", one]));
    tools::helm(rig, &words)
}

/// What `helm lint` says.
pub fn helm_lint(rig: &Rig) -> anyhow::Result<String> {
    tools::helm(rig, &["lint", "--strict", &shipped("helm").display().to_string()])
}

/// Every document of a text.
pub fn objects(text: &str) -> anyhow::Result<Objects> {
    let mut objects = Objects::new();
    for document in serde_yaml_ng::Deserializer::from_str(text) {
        let object = Value::deserialize(document)?;
        if object.is_null() {
            continue;
        }
        let name = |value: &Value| value.as_str().map(str::to_owned).context("an object has both");
        let key = (name(&object["kind"])?, name(&object["metadata"]["name"])?);
        ensure!(objects.insert(key.clone(), object).is_none(), "{key:?} is there twice");
    }
    Ok(objects)
}

/// The configuration that the agents of these objects read.
pub fn config(objects: &Objects) -> anyhow::Result<&str> {
    let set = objects.get(&("DaemonSet".into(), "pullfuse".into())).context("no DaemonSet")?;
    let volumes = set["spec"]["template"]["spec"]["volumes"].as_array().context("no volumes")?;
    let volume = volumes.iter().find(|volume| volume["name"] == "config").context("no config")?;
    let name = volume["configMap"]["name"].as_str().context("a volume without a ConfigMap")?;
    let map = objects.get(&("ConfigMap".into(), name.into()));
    let map =
        map.with_context(|| format!("the DaemonSet mounts ConfigMap {name}, which is not there"))?;
    ensure!(map["metadata"]["namespace"] == set["metadata"]["namespace"], "{name} is elsewhere");
    map["data"]["config.toml"].as_str().context("a ConfigMap without config.toml")
}

/// Writes the configuration to a file and asks `pullfuse check`; it must be fine, without warnings.
pub fn check(config: &str, folder: &Path) -> anyhow::Result<Value> {
    let file = folder.join("config.toml");
    std::fs::write(&file, config)?;
    let mut check = Command::new(env!("CARGO_BIN_EXE_pullfuse"));
    let output = check.args(["check", "-o", "json"]).arg(&file).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && errors.is_empty(), "{errors}{config}");
    Ok(serde_json::from_slice(&output.stdout)?)
}
