use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// Standard output and standard error of `pullfuse check`.
fn checked(text: &str, output: Format) -> (String, String) {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("config.toml");
    std::fs::write(&file, text).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    check(&Check { file, output }, &mut out, &mut err).expect(text);
    (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn json(text: &str) -> Value {
    serde_json::from_str(&checked(text, Format::Json).0).unwrap()
}

#[test]
fn the_defaults_are_fine_and_shown() {
    let (out, err) = checked("", Format::Table);
    assert_eq!(err, "");
    for words in [
        "config.toml: fine\n",
        "restart_policies: Never, OnFailure",
        "permanent: 5 attempts and 1m; not before 2m 54s",
        "ambiguous: 8 attempts and 1m; not before 15m 38s",
        "transient: never",
        "node_fault: never",
        "namespace kube-system, unless a scope names it",
        "pullfuse.io/max-attempts: 1 to 100",
        "30 pods of a node and 20 of a namespace within 10m",
        "5 images of one registry",
    ] {
        assert!(out.contains(words), "lacks {words:?}:\n{out}");
    }
}

const FULL: &str = r#"
    [limits.class.rate_limited]
    max_attempts = 30
    min_elapsed = "3h"
    [[scopes]]
    name = "ci"
    namespaces = ["ci-*", "build"]
    labels = "team in (a, b),!keep"
    owners = ["Job"]
    mode = "dry-run"
    limits = { max_attempts = 3 }
    [[scopes]]
    name = "quiet"
    images = ["r.example/*"]
    action = "ignore"
    [annotations]
    max_attempts = false
    [breaker]
    images = 0
"#;

#[test]
fn scopes_are_shown_in_their_order_with_what_they_inherit() {
    let (out, err) = checked(FULL, Format::Table);
    assert_eq!(err, "");
    let row =
        |name: &str| out.lines().position(|line| line.trim_start().starts_with(name)).expect(&out);
    assert!(row("ci ") < row("quiet ") && row("quiet ") < row("(no scope)"));
    for words in [
        "namespaces: ci-*, build",
        "labels: team in (a,b),!keep",
        "(Always: report)",
        "permanent: 3 attempts and 1m; not before 1m 1s",
        "rate_limited: 30 attempts and 3h; not before 3h 1s",
        "pullfuse.io/max-attempts: not allowed",
    ] {
        assert!(out.contains(words), "lacks {words:?}:\n{out}");
    }
}

#[test]
fn programs_get_the_same_as_one_object() {
    let policy = json(FULL);
    assert_eq!(policy["scopes"].as_array().unwrap().len(), 4);
    let ci = &policy["scopes"][0];
    assert_eq!((&ci["name"], &ci["mode"]), (&json!("ci"), &json!("dry-run")));
    assert_eq!((&ci["action"], &ci["action_always"]), (&json!("fail"), &json!("report")));
    assert_eq!(ci["conditions"]["namespaces"], json!(["ci-*", "build"]));
    let permanent = json!({ "max_attempts": 3, "min_elapsed": "1m", "earliest_verdict_s": 61 });
    assert_eq!(ci["limits"]["permanent"], permanent);
    let never = json!({ "max_attempts": "never", "min_elapsed": "1m", "earliest_verdict_s": null });
    assert_eq!(ci["limits"]["transient"], never);
    assert_eq!(ci["classes"]["rate_limited"]["max_attempts"], 30);
    assert_eq!(policy["scopes"][3]["name"], Value::Null);
    assert_eq!(policy["annotations"], json!({ "max_attempts": null, "mode": true }));
    assert_eq!((&policy["breaker"]["images"], &policy["warnings"]), (&json!(0), &json!([])));
}

fn warnings(text: &str) -> Vec<String> {
    let warnings = json(text)["warnings"].as_array().unwrap().clone();
    let (_, err) = checked(text, Format::Table);
    assert_eq!(err.lines().count(), warnings.len(), "{err}");
    warnings.iter().map(|warning| warning.as_str().unwrap().to_owned()).collect()
}

/// Two scopes with these conditions.
fn two(first: &str, second: &str) -> String {
    format!("[[scopes]]\nname = \"a\"\n{first}\n[[scopes]]\nname = \"b\"\n{second}")
}

#[test]
fn a_scope_that_no_pod_reaches_is_told_from_one_that_some_do() {
    for (first, second, hidden) in [
        ("", "", true),
        ("", "namespaces = [\"x\"]", true),
        ("namespaces = [\"x\"]", "", false),
        ("namespaces = [\"*\"]", "", true),
        ("namespaces = [\"ci-*\"]", "namespaces = [\"ci-1\", \"ci-*\"]", true),
        ("namespaces = [\"ci-*\"]", "namespaces = [\"ci-1\", \"x\"]", false),
        ("", "namespaces = [\"x\", \"kube-system\"]", false),
        ("namespaces = [\"kube-system\"]", "namespaces = [\"kube-system\"]", true),
        ("namespaces = [\"kube-syste[m]\", \"x\"]", "namespaces = [\"kube-system\"]", false),
        ("labels = \"a=b\"", "labels = \"c,a=b\"", true),
        ("labels = \"a=b,c\"", "labels = \"a=b\"", false),
        ("labels = \"a=b\"", "", false),
        ("owners = [\"Job\", \"none\"]", "owners = [\"none\"]", true),
        ("owners = [\"Job\"]", "owners = [\"none\"]", false),
        ("owners = [\"Job\"]", "", false),
        ("restart_policies = [\"Never\"]", "restart_policies = [\"Never\"]", true),
        ("restart_policies = [\"Never\"]", "restart_policies = [\"Always\"]", false),
        ("images = [\"r/*\"]", "images = [\"r/a\"]\nowners = [\"Job\"]", true),
        ("registries = [\"*\"]", "", false),
        ("priority_classes = [\"low\"]", "priority_classes = [\"high\"]", false),
    ] {
        let found = warnings(&two(first, second));
        let said = found.iter().any(|w| w.contains("scope `b` takes in no pod: scope `a`"));
        assert_eq!(said, hidden, "{first} / {second}: {found:?}");
    }
}

#[test]
fn what_is_hardly_meant_is_said_once_and_with_what_to_do() {
    let scope = |lines: &str| format!("[[scopes]]\nname = \"s\"\n{lines}");
    for (text, words) in [
        (scope("namespaces = [\"kube-*\"]"), &["`s`", "`kube-*`", "\"kube-system\""][..]),
        (scope("owners = [\"Deployment\", \"Job\"]"), &["Deployment", "\"ReplicaSet\""]),
        (scope("owners = [\"ReplicaSet\", \"DaemonSet\"]"), &["only reported", "[\"Always\"]"]),
        (
            scope("priority_classes = [\"system-node-critical\"]"),
            &["system-node-critical", "never"],
        ),
        (scope("action = \"ignore\"\nlimits = { max_attempts = 2 }"), &["limits", "ignore"]),
        (format!("mode = \"dry-run\"\n{}", scope("mode = \"dry-run\"")), &["`s`", "no effect"]),
        (
            format!("mode = \"dry-run\"\n{}", scope("mode = \"enforce\"")),
            &["`s`", "no effect", "no conditions"],
        ),
        (
            "[limits.transient]\nmax_attempts = 9".into(),
            &["limits.transient.max_attempts = 9", "20m 38s", "never"],
        ),
        ("[limits.class.dns]\nmax_attempts = 1".into(), &["limits.class.dns.max_attempts = 1"]),
        (
            scope("limits = { class.dns.max_attempts = 1 }"),
            &["scope `s`: limits.class.dns.max_attempts = 1"],
        ),
        ("[limits.node_fault]\nmax_attempts = 50".into(), &["limits.node_fault", "node", "never"]),
        ("[limits]\nmax_attempts = 100".into(), &["limits:", "100 attempts", "7h 55m 38s"]),
        ("[limits]\nmin_elapsed = \"2m\"".into(), &["limits.min_elapsed = \"2m\"", "2m 54s"]),
        (
            "[limits]\nmax_attempts = 7\n[limits.ambiguous]\nmax_attempts = 6".into(),
            &["ambiguous.max_attempts"],
        ),
        ("[limits]\nmax_attempts = \"never\"".into(), &["no pod is ever failed"]),
        ("[caps]\nper_node = 5".into(), &["per_namespace = 20", "per_node = 5"]),
    ] {
        let found = warnings(&text);
        let [warning] = found.as_slice() else { panic!("{text}: {found:?}") };
        for word in words {
            assert!(warning.contains(word), "lacks {word:?}: {warning}");
        }
    }
}

#[test]
fn what_is_meant_is_not_warned_about() {
    for text in [
        "[limits.transient]\nmax_attempts = 40",
        "[limits]\nmin_elapsed = \"0s\"",
        "[limits]\nmin_elapsed = \"10m\"",
        "[[scopes]]\nname = \"s\"\nnamespaces = [\"*\"]",
        "[[scopes]]\nname = \"s\"\nnamespaces = [\"kube-*\", \"kube-system\"]",
        "[[scopes]]\nname = \"s\"\nowners = [\"ReplicaSet\"]\nrestart_policies = [\"Always\"]",
        "[[scopes]]\nname = \"s\"\nowners = [\"ReplicaSet\"]\naction = \"report\"",
        "[[scopes]]\nname = \"s\"\nmode = \"dry-run\"",
    ] {
        assert_eq!(warnings(text), [""; 0], "{text}");
    }
}

#[test]
fn a_bad_file_is_not_shown_at_all() {
    let args = Check { file: PathBuf::from("/nonexistent.toml"), output: Format::Table };
    let mut out = Vec::new();
    assert!(matches!(check(&args, &mut out, &mut Vec::new()), Err(CheckError::Config(_))));
    assert!(out.is_empty());
}

#[test]
fn a_rule_that_cannot_match_or_ends_pods_for_what_passes_is_named() {
    let (table, warnings) = checked(
        "[[rules]]\nname = \"scanner\"\nmatch = \"blocked\"\nclass = \"signature\"\n\
         [[rules]]\nmatch = \"blocked\"\nregistry = \"*.corp\"\ndisposition = \"transient\"\n\
         [[rules]]\nname = \"odd\"\ncode = \"Unavailable\"\nclass = \"dns\"\ndisposition = \"permanent\"\n",
        Format::Table,
    );
    for words in ["match blocked and registry *.corp", "code Unavailable", "dns, permanent"] {
        assert!(table.contains(words), "lacks {words}: {table}");
    }
    let [unreachable, odd] = &warnings.lines().collect::<Vec<_>>()[..] else {
        panic!("{warnings:?}")
    };
    assert!(unreachable.contains("rules[1]") && unreachable.contains("scanner"), "{unreachable}");
    assert!(odd.contains("odd") && odd.contains("dns"), "{odd}");
}
