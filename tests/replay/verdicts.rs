//! What a configuration would have made of the recordings, pod by pod.

use std::collections::BTreeMap;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{expected, one_pull, recording, replay, write};

const CONTAINERD: &str = "containerd-2.4.2";
const CRI_O: &str = "cri-o-1.36.3";
const THREE: &str = "[limits]\nmax_attempts = 3\nmin_elapsed = \"30s\"\n";

/// After an attempt's last call another credential may be tried for so long, in microseconds.
const SETTLING: u64 = 5_000_000;

type Fates = BTreeMap<String, BTreeMap<String, Value>>;

/// The answers by pod; each pod of the recordings has one image.
fn fates(name: &str, config: &str, more: &[&str]) -> Fates {
    let dir = TempDir::new().unwrap();
    let config = write(&dir, "config.toml", config.as_bytes());
    let file = recording(name);
    let args = [&[file.as_str(), "--config", &config, "-o", "json"], more].concat();
    let (code, seen, errors) = replay(&args);
    assert_eq!((code, errors.as_str()), (0, ""));
    let mut fates = Fates::new();
    for line in seen.lines() {
        let fate: BTreeMap<String, Value> = serde_json::from_str(line).unwrap();
        let pod = fate["pod"].as_str().unwrap().to_owned();
        assert!(fates.insert(pod, fate).is_none(), "{line}");
    }
    fates
}

/// Attempts and decision, with its reason where it is no verdict.
fn decisions(fates: &Fates) -> BTreeMap<&str, (u64, String)> {
    let decision = |fate: &BTreeMap<String, Value>| {
        let because = fate["because"].as_str().map(|because| format!(": {because}"));
        let decision = fate["decision"].as_str().unwrap().to_owned();
        (fate["attempts"].as_u64().unwrap(), decision + &because.unwrap_or_default())
    };
    fates.iter().map(|(pod, fate)| (pod.as_str(), decision(fate))).collect()
}

fn decided<'a>(all: &[(&'a str, u64, &str)]) -> BTreeMap<&'a str, (u64, String)> {
    all.iter().map(|(pod, attempts, decision)| (*pod, (*attempts, (*decision).into()))).collect()
}

/// When a pod's calls ended.
fn ends(name: &str, pod: &str) -> Vec<u64> {
    let all = expected(name).into_iter().filter(|pull| pull["pod"] == pod);
    all.map(|pull| pull["end_us"].as_u64().unwrap()).collect()
}

#[test]
fn each_pod_of_containerd_meets_its_fate() {
    let fates = fates(CONTAINERD, THREE, &[]);
    let expected = decided(&[
        ("arm", 3, "fail"),
        ("badauth", 4, "leave: below_limit"),
        ("badlayer", 4, "leave: transient"),
        ("good", 0, "pulled"),
        // Missing for three attempts: that it was pushed shortly after cannot be known before.
        ("heal", 3, "fail"),
        ("missing", 3, "fail"),
        ("noauth", 4, "leave: below_limit"),
        ("r429", 4, "leave: transient"),
        ("r503", 4, "leave: transient"),
        ("refused", 4, "leave: transient"),
    ]);
    assert_eq!(decisions(&fates), expected);
    let heal = ends(CONTAINERD, "heal");
    assert_eq!(
        (&fates["heal"]["at_us"], &fates["heal"]["came_us"]),
        (&(heal[2] + SETTLING).into(), &heal[3].into())
    );
    let missing = &fates["missing"];
    assert_eq!(missing["at_us"], ends(CONTAINERD, "missing")[2] + SETTLING);
    for (key, value) in [
        ("class", "not_found".into()),
        ("disposition", "permanent".into()),
        ("host", "127.0.0.1:5055".into()),
        ("counted", 3.into()),
        ("limit", 3.into()),
        ("came_us", Value::Null),
        ("dry_run", false.into()),
    ] {
        assert_eq!(missing[key], value, "{key}");
    }
    let classes = ["arm", "badauth", "badlayer", "r429", "r503", "refused"];
    assert_eq!(
        classes.map(|pod| fates[pod]["class"].as_str().unwrap()),
        [
            "platform_mismatch",
            "unauthorized",
            "digest_mismatch",
            "rate_limited",
            "registry_5xx",
            "connection_refused"
        ]
    );
}

#[test]
fn each_pod_of_cri_o_meets_its_fate() {
    let fates = fates(CRI_O, THREE, &[]);
    let expected = decided(&[
        ("agent", 3, "leave: below_limit"),
        ("arm", 2, "leave: below_limit"),
        ("badauth", 3, "leave: below_limit"),
        ("badlayer", 2, "leave: transient"),
        ("good", 0, "pulled"),
        ("heal", 0, "pulled"),
        ("missing", 3, "fail"),
        ("noauth", 2, "leave: below_limit"),
        ("r429", 2, "leave: transient"),
        ("r503", 3, "leave: transient"),
        ("refused", 2, "leave: transient"),
    ]);
    assert_eq!(decisions(&fates), expected);
    assert_eq!(fates["missing"]["at_us"], ends(CRI_O, "missing")[2] + SETTLING);
}

#[test]
fn one_attempt_more_and_the_image_that_was_pushed_is_waited_for() {
    let fates = fates(CONTAINERD, "[limits]\nmax_attempts = 4\nmin_elapsed = \"30s\"", &[]);
    let decisions = decisions(&fates);
    assert_eq!(decisions["heal"], (3, "recovered".into()));
    assert_eq!(decisions["missing"], (4, "fail".into()));
    assert_eq!(fates["heal"]["came_us"], ends(CONTAINERD, "heal")[3]);
}

#[test]
fn wrong_credentials_end_a_pod_where_the_limits_say_so() {
    let fates = fates(CONTAINERD, &format!("{THREE}[limits.ambiguous]\nmax_attempts = 3"), &[]);
    let decisions = decisions(&fates);
    assert_eq!(decisions["noauth"], (3, "fail".into()));
    assert_eq!(decisions["badauth"], (3, "fail".into()), "two credentials are one attempt");
    assert_eq!(fates["badauth"]["at_us"], ends(CONTAINERD, "badauth")[5] + SETTLING);
    for pod in ["r429", "r503", "refused", "badlayer"] {
        assert_eq!(decisions[pod], (4, "leave: transient".into()));
    }
}

#[test]
fn time_passes_between_the_records() {
    let first = ends(CONTAINERD, "missing")[0];
    let fates = fates(CONTAINERD, "[limits]\nmax_attempts = 2\nmin_elapsed = \"1m\"", &[]);
    assert_eq!(fates["missing"]["at_us"], first + 60_000_000);
    assert_eq!(fates["missing"]["attempts"], 3, "the third came before the minute was over");
    let fates = self::fates(CONTAINERD, "[limits]\nmax_attempts = 2\nmin_elapsed = \"10m\"", &[]);
    let missing = &fates["missing"];
    assert_eq!(missing["decision"], "wait");
    assert_eq!(missing["until_us"], first + 600_000_000, "after the end of the recording");
}

#[test]
fn four_failing_images_of_one_registry_are_an_outage_where_the_breaker_says_so() {
    let with =
        |images: u32| fates(CONTAINERD, &format!("{THREE}[breaker]\nimages = {images}"), &[]);
    // By default five are.
    assert_eq!(decisions(&with(0)), decisions(&with(5)));
    let fates = with(4);
    let decisions = decisions(&fates);
    assert_eq!(decisions["arm"].1, "held: breaker");
    let opened = ends(CONTAINERD, "badlayer")[0];
    assert_eq!(fates["arm"]["until_us"], opened + 30 * 60_000_000);
    assert_eq!(decisions["missing"].1, "fail", "another registry");
    // Two images of its registry were missing, but one came between them.
    assert_eq!(self::decisions(&with(2))["missing"].1, "fail");
}

#[test]
fn caps_scopes_and_a_dry_run_are_minded() {
    let capped = fates(CONTAINERD, &format!("{THREE}[caps]\nper_node = 1"), &[]);
    let decisions = decisions(&capped);
    assert_eq!(decisions["arm"].1, "fail", "the first");
    assert_eq!(decisions["missing"].1, "held: per_node");
    assert_eq!(decisions["heal"].1, "recovered", "while it was held");
    let window = 10 * 60_000_000;
    assert_eq!(capped["missing"]["until_us"], capped["arm"]["at_us"].as_u64().unwrap() + window);

    let dry_run = fates(CONTAINERD, &format!("mode = \"dry-run\"\n{THREE}"), &[]);
    assert_eq!(dry_run["missing"]["decision"], "fail");
    assert_eq!(dry_run["missing"]["dry_run"], true);

    let scope = "[[scopes]]\nname = \"lab\"\nnamespaces = [\"def*\"]\naction = ";
    for (action, decision) in
        [("report", "report: reported_by_scope"), ("ignore", "leave: ignored_by_scope")]
    {
        let fates = fates(CONTAINERD, &format!("{THREE}{scope}\"{action}\""), &[]);
        assert_eq!(self::decisions(&fates)["missing"], (4, decision.into()));
        assert_eq!(fates["missing"]["scope"], "lab");
    }
}

#[test]
fn an_agent_that_came_late_ends_no_pod_for_what_it_did_not_understand() {
    let fates = fates(CONTAINERD, THREE, &["--from", "500"]);
    assert!(fates.values().any(|fate| fate["class"] == "unknown"), "{fates:?}");
    assert!(fates.values().all(|fate| fate["decision"] != "fail" || fate["class"] != "unknown"));
    for pod in ["r429", "r503", "refused", "good", "noauth", "badauth", "badlayer"] {
        assert!(fates.get(pod).is_none_or(|fate| fate["decision"] != "fail"), "{pod}");
    }
}

#[test]
fn a_table_is_for_people_and_its_terminal_is_safe() {
    let dir = TempDir::new().unwrap();
    let config = write(&dir, "config.toml", THREE.as_bytes());
    let (code, seen, _) = replay(&[&recording(CONTAINERD), "--config", &config]);
    assert_eq!((code, seen.lines().count()), (0, 11), "{seen}");
    for words in [
        "OUTLOOK",
        "failed at 53.348s",
        "but the image came at 98.366s",
        "4/never",
        "left alone: such a cause is expected to pass",
        "pulled at 7.709s",
    ] {
        assert!(seen.contains(words), "lacks {words}: {seen}");
    }
    let text = one_pull("img\u{1b}[31m\u{202e}", Some("no%07"));
    let file = write(&dir, "a.wire.jsonl", text.as_bytes());
    let (code, seen, _) = replay(&[&file, "--config", &config]);
    assert_eq!((code, seen.lines().count()), (0, 2), "{seen}");
    assert!(!seen.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{seen:?}");
}

#[test]
fn a_bad_configuration_is_named_and_exits_with_1() {
    let dir = TempDir::new().unwrap();
    let config = write(&dir, "bad.toml", b"[limits]\nmax_attempt = 3");
    for (config, words) in [(config.as_str(), "max_attempt"), ("/nonexistent.toml", "--config")] {
        let (code, seen, errors) = replay(&[&recording(CRI_O), "--config", config]);
        assert_eq!((code, seen.as_str()), (1, ""), "{errors}");
        assert!(errors.contains(config) && errors.contains(words), "{errors}");
    }
}
