//! `docs/metrics.md`, made from the table.

use std::fmt::Write as _;

use expect_test::expect_file;
use strum::VariantNames;

use super::{Kind, PREFIX, Spec, table};
use crate::classify::Class;

/// What every label may be.
fn labels() -> Vec<(&'static str, String)> {
    let classes = Class::VARIANTS.iter().map(|class| format!("`{class}`")).collect::<Vec<_>>();
    [
        ("class", format!("the cause: {}", classes.join(", "))),
        ("source", "`wire` (the CRI socket) or `pod-status`".into()),
        (
            "registry",
            "the host that failed, which may be a mirror or a login service, or else the image's \
             registry; `none` for an image that names none; `other` beyond the `metrics.registries` \
             (20) with the most attempts lately"
                .into(),
        ),
        (
            "pod_namespace",
            "only with `metrics.namespaces = true`: the pod's namespace; `other` beyond the 100 with \
             the most attempts lately"
                .into(),
        ),
        (
            "result",
            "of a pull: `succeeded`, `failed`, `transport` (it ended without an answer); of a write: \
             `ok`, `conflict`, `gone`, `forbidden`, `rejected`, `unavailable`, `given_up` (no answer \
             in time)"
                .into(),
        ),
        ("action", "`fail`, `dry_run` (a dry run would have), `report`".into()),
        (
            "outcome",
            "of `fail`: `held`, `gone` (the pod), `withdrawn` (another look spoke for the pod), \
             `image_arrived`, `given_up`; else `dry_run` or `reported`"
                .into(),
        ),
        ("reason", "`breaker`, `per_node`, `per_namespace`".into()),
        ("state", "`open`, `half_open`".into()),
        ("to", "`open`, `half_open`, `closed`".into()),
        ("end", "`recovered` (a regret), `deleted`, `failed` (by pullfuse, later)".into()),
        ("mode", "`fentry`, `tracepoint`, `off`".into()),
        (
            "what",
            "`ring_drops`, `copy_faults`, `unsupported_sends`, `truncated_sends`, `hidden_sends`; \
             `gaps`, `missing_bytes`, `unread_blocks`, `unsettled`"
                .into(),
        ),
        ("write", "`status` (a verdict), `deadline`, `event`".into()),
        ("part", "as in `/readyz` and `pullfuse status`".into()),
        ("version", "of pullfuse".into()),
    ]
    .into()
}

fn row(spec: &Spec) -> String {
    let (kind, ending) = match spec.kind {
        Kind::Counter => ("counter", "_total"),
        Kind::Gauge => ("gauge", ""),
        Kind::Histogram => ("histogram", ""),
        Kind::Info => ("info", "_info"),
    };
    let labels: Vec<_> = spec.labels.iter().map(|label| format!("`{label}`")).collect();
    let Spec { name, help, .. } = spec;
    format!("| `{PREFIX}_{name}{ending}` | {kind} | {} | {} |\n", labels.join(", "), help.trim())
}

fn reference() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         Every agent serves `/metrics` at `serve.address`: OpenMetrics to who accepts \
         `application/openmetrics-text`, else Prometheus' text format. \
         [alerts.md](alerts.md) has the alerts made of them, `daemonset/components/monitoring` a dashboard.\n\n\
         This page is made from `src/metrics/table.rs`; \
         `UPDATE_EXPECT=1 cargo test --lib metrics::reference` makes it anew.\n\n\
         | name | type | labels | meaning |\n|---|---|---|---|\n",
    );
    for spec in table::ALL {
        text.push_str(&row(spec));
    }
    text.push_str("\n## Labels\n\n| label | values |\n|---|---|\n");
    for (label, values) in labels() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{label}` | {values} |");
    }
    text.push_str(
        "\nSeries are bounded. A registry that has not failed for six hours loses its series, and so \
         does one that another with twice its attempts displaces; what it counts later begins at 0 \
         again. Attempts weigh half after an hour. With all labels at their bounds a node has at most \
         `metrics.registries` + 2 values of `registry` for each class and source that it met.\n",
    );
    text
}

#[test]
fn the_page_of_metrics_is_what_the_table_says() {
    expect_file!["../../docs/metrics.md"].assert_eq(&reference());
}

#[test]
fn every_label_is_explained_and_every_name_is_a_good_one() {
    let explained = labels();
    for Spec { name, labels, kind, .. } in table::ALL {
        for label in *labels {
            assert!(explained.iter().any(|(known, _)| known == label), "{name}: {label}");
        }
        assert!(!name.ends_with("_total"), "{name}: the ending comes with the kind");
        let base_unit = ["_seconds", "_bytes"].iter().any(|unit| name.ends_with(unit));
        assert!(*kind != Kind::Histogram || base_unit, "{name} has no unit");
    }
}
