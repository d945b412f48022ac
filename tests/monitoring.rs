//! The alerts and the dashboard as they ship: promtool's checks and unit tests, names of metrics,
//! runbooks. `tests/node/monitoring.rs` asks a real Prometheus.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]
#![allow(missing_docs, unreachable_pub, reason = "nobody links to a test")]
#![allow(dead_code, reason = "what it shares with tests/node")]

#[path = "support/deploy.rs"]
mod deploy;
#[path = "support/monitoring.rs"]
mod watching;

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use pullfuse::metrics::{Kind, table};
use regex::Regex;

fn promtool(folder: &Path, words: &[&str]) {
    let output = Command::new("promtool").args(words).current_dir(folder).output();
    let output = output.expect("promtool cannot be run: tests/setup.sh installs it");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "promtool {words:?}: {}", String::from_utf8_lossy(&said));
}

#[test]
fn promtool_accepts_the_rules_and_they_fire_when_they_should() {
    let folder = tempfile::tempdir().unwrap();
    let rules = watching::rules().unwrap();
    fs::write(folder.path().join("rules.yaml"), rules.to_string()).unwrap();
    promtool(folder.path(), &["check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"]);
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/alerts_test.yaml");
    let text = fs::read_to_string(&cases).unwrap();
    fs::copy(cases, folder.path().join("test.yaml")).unwrap();
    promtool(folder.path(), &["test", "rules", "test.yaml"]);
    for alert in watching::alerts().unwrap() {
        let name = alert["alert"].as_str().unwrap();
        let fires = format!("alertname=\"{name}\"");
        assert!(text.contains(&fires), "tests/data/alerts_test.yaml does not test {name}");
    }
}

#[test]
fn every_alert_says_what_it_is_and_has_a_runbook() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/alerts.md");
    let docs = fs::read_to_string(docs).unwrap();
    for alert in watching::alerts().unwrap() {
        let name = alert["alert"].as_str().unwrap();
        let annotations = &alert["annotations"];
        for key in ["summary", "description"] {
            assert!(annotations[key].as_str().is_some_and(|t| t.len() > 20), "{name} lacks {key}");
        }
        let runbook = format!("docs/alerts.md#{}", name.to_lowercase());
        assert_eq!(annotations["runbook_url"], runbook, "{name}");
        assert!(docs.contains(&format!("\n## {name}\n")), "docs/alerts.md lacks {name}");
    }
}

#[test]
fn expressions_name_metrics_that_exist_and_no_metric_is_left_out() {
    let shown = |spec: &pullfuse::metrics::Spec| {
        let name = format!("pullfuse_{}", spec.name);
        match spec.kind {
            Kind::Counter => vec![name + "_total"],
            Kind::Gauge => vec![name],
            Kind::Histogram => ["_bucket", "_sum", "_count"].map(|end| name.clone() + end).into(),
            Kind::Info => vec![name + "_info"],
        }
    };
    let known: BTreeSet<String> = table::ALL.iter().flat_map(shown).collect();
    let targets = watching::targets().unwrap();
    let panels: Vec<_> = targets.iter().map(|target| target.expression.as_str()).collect();
    let alerts = watching::alerts().unwrap();
    let rules = alerts.iter().map(|rule| rule["expr"].as_str().unwrap());
    let name = Regex::new("pullfuse_[a-z_]+").unwrap();
    for expression in rules.chain(panels.iter().copied()) {
        for found in name.find_iter(expression) {
            assert!(known.contains(found.as_str()), "no {} in {expression}", found.as_str());
        }
    }
    for spec in table::ALL {
        let used = panels.iter().any(|expression| expression.contains(spec.name));
        assert!(used, "no panel shows {}", spec.name);
    }
}

#[test]
fn the_dashboard_has_one_place_for_each_panel() {
    let dashboard = watching::dashboard().unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "an id is there twice");
    for (place, panel) in panels.iter().enumerate() {
        let at = |panel: &serde_json::Value, key: &str| panel["gridPos"][key].as_u64().unwrap();
        let apart = |other: &serde_json::Value| {
            let before = |a, b, from: &str, size: &str| at(a, from) + at(a, size) <= at(b, from);
            [("x", "w"), ("y", "h")].iter().any(|(from, size)| {
                before(panel, other, from, size) || before(other, panel, from, size)
            })
        };
        assert!(at(panel, "x") + at(panel, "w") <= 24, "{panel}");
        let overlapped = panels[place + 1..].iter().find(|other| !apart(other));
        assert!(overlapped.is_none(), "{} lies upon {overlapped:?}", panel["title"]);
    }
}
