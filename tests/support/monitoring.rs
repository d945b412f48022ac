//! What `daemonset/components/monitoring` asks of Prometheus, read from the files as they ship.

use std::fs;

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

use crate::deploy::shipped;

/// An expression of the dashboard.
#[derive(Debug)]
pub struct Target {
    pub panel: String,
    pub expression: String,
}

/// The groups of the PrometheusRule, as a rules file has them.
pub fn rules() -> anyhow::Result<Value> {
    let text = fs::read_to_string(shipped("components/monitoring/prometheusrule.yaml"))?;
    let mut object = Value::deserialize(serde_yaml_ng::Deserializer::from_str(&text))?;
    anyhow::ensure!(object["kind"] == "PrometheusRule", "an odd object: {object}");
    Ok(object["spec"].take())
}

/// Every rule.
pub fn alerts() -> anyhow::Result<Vec<Value>> {
    let rules = rules()?;
    let groups = rules["groups"].as_array().context("no groups")?;
    Ok(groups.iter().filter_map(|group| group["rules"].as_array()).flatten().cloned().collect())
}

/// The dashboard.
pub fn dashboard() -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&fs::read_to_string(shipped("components/monitoring/dashboard.json"))?)?)
}

/// Every expression of every panel, with Grafana's variables replaced.
pub fn targets() -> anyhow::Result<Vec<Target>> {
    let dashboard = dashboard()?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let mut targets = Vec::new();
    for panel in panels {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().context("a target without expression")?;
            let expression = expression
                .replace("$__rate_interval", "1m")
                .replace("$__range", "1h")
                .replace("$node", ".*");
            let panel = panel["title"].as_str().context("a panel without title")?.to_owned();
            targets.push(Target { panel, expression });
        }
    }
    Ok(targets)
}
