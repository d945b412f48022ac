//! `pullfuse explain` as people and scripts call it.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]
#![allow(missing_docs, reason = "nobody links to a test")]

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

const MIRROR: &str = "Failed to pull image \"r.corp/x/y:1\": failed to resolve reference \
    \"r.corp/x/y:1\": unexpected status from HEAD request to \
    https://m.corp/v2/x/y/manifests/1?ns=r.corp: 503 Service Unavailable";

/// Returns exit code, standard output and standard error.
fn explain(args: &[&str], input: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pullfuse"));
    command.arg("explain").args(args).env_clear().write_stdin(input);
    let output = command.timeout(std::time::Duration::from_secs(60)).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (seen, errors) = (text(output.stdout), text(output.stderr));
    assert!(!errors.contains("panicked"), "{errors}");
    (output.status.code().unwrap(), seen, errors)
}

fn file(dir: &TempDir, text: &str) -> String {
    let path = dir.path().join("file");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_message_gets_cause_advice_and_outlook() {
    let (code, seen, errors) = explain(&[MIRROR, "-o", "json"], "");
    assert_eq!((code, errors.as_str()), (0, ""));
    let [answer] = &lines(&seen)[..] else { panic!("{seen}") };
    assert_eq!(answer["class"], "registry_5xx");
    assert_eq!(answer["disposition"], "transient");
    assert_eq!(answer["rule"], "http-5xx");
    assert_eq!(answer["host"], "m.corp");
    assert!(answer["advice"].as_str().unwrap().contains("mirror m.corp"), "{seen}");
    assert!(answer["outlook"].as_str().unwrap().contains("no pod is ended"), "{seen}");
    let (code, table, _) = explain(&[MIRROR], "");
    assert_eq!(code, 0);
    for words in ["CLASS", "registry_5xx", "HOST", "m.corp", "ADVICE", "OUTLOOK"] {
        assert!(table.contains(words), "lacks {words}: {table}");
    }
}

#[test]
fn the_configuration_has_the_first_and_the_last_word() {
    let dir = TempDir::new().unwrap();
    let config = file(
        &dir,
        "mode = \"dry-run\"\n[limits]\nmax_attempts = 9\n\
         [[rules]]\nname = \"ours\"\nregistry = \"m.*\"\nclass = \"forbidden\"\nadvice = \"ask \u{202e}us\"\n",
    );
    let (code, seen, _) = explain(&[MIRROR, "--config", &config], "");
    assert_eq!(code, 0);
    for words in ["forbidden", "ours", "9 such attempts", "dry run", "ask \\u{202e}us"] {
        assert!(seen.contains(words), "lacks {words}: {seen}");
    }
    let bad = file(&dir, "[[rules]]\nmatch = \"(\"\nclass = \"dns\"\n");
    let (code, _, errors) = explain(&[MIRROR, "--config", &bad], "");
    assert_eq!(code, 1);
    for words in [bad.as_str(), "rules[0].match", "line 2"] {
        assert!(errors.contains(words), "lacks {words}: {errors}");
    }
}

#[test]
fn without_a_text_code_or_reason_will_do() {
    let class = |args: &[&str]| lines(&explain(args, "").1)[0]["class"].clone();
    assert_eq!(class(&["--code", "4", "-o", "json"]), "timeout");
    assert_eq!(class(&["--code", "UNAVAILABLE", "-o", "json"]), "runtime_down");
    assert_eq!(class(&["--reason", "ErrImageNeverPull", "-o", "json"]), "never_pull");
}

#[test]
fn what_is_not_understood_exits_with_1() {
    let (code, seen, _) = explain(&["frobnicated\u{1b}[2J"], "");
    assert_eq!(code, 1);
    assert!(seen.contains("unknown") && seen.contains("[[rules]]"), "{seen}");
    assert!(!seen.contains('\u{1b}'), "{seen:?}");
}

#[test]
fn wrong_usage_exits_with_2_and_an_absent_batch_with_69() {
    let batch_and_text = ["--batch", "-", "text"];
    for args in [&[][..], &["x", "--code", "Missing"], &batch_and_text, &["x", "-o", "yaml"]] {
        assert_eq!(explain(args, "").0, 2, "{args:?}");
    }
    assert!(explain(&["x", "--code", "Missing"], "").2.contains("0 to 16"));
    let (code, _, errors) = explain(&["--batch", "/nonexistent.jsonl"], "");
    assert_eq!(code, 69);
    assert!(errors.contains("/nonexistent.jsonl"), "{errors}");
}

#[test]
fn each_line_of_a_batch_gets_a_line() {
    let input = "{\"message\":\"manifest unknown\",\"code\":\"Unknown\",\"runtime\":\"cri-o\"}\n\n\
        {\"message\":null,\"code\":14,\"other\":[1]}\n\
        {\"message\":\"x\",\"code\":99,\"reason\":\"InvalidImageName\",\"image\":\"X\"}\n\
        {\"message\":\"\",\"code\":\"OK\"}\n";
    let (code, seen, errors) = explain(&["--batch", "-"], input);
    assert_eq!((code, errors.as_str()), (0, ""));
    let answers = lines(&seen);
    let classes: Vec<Option<&str>> =
        answers.iter().map(|answer| answer["class"].as_str()).collect();
    assert_eq!(classes, [Some("not_found"), Some("runtime_down"), Some("invalid_reference"), None]);
    for key in ["class", "disposition", "rule", "advice", "host"] {
        assert!(answers.iter().all(|answer| answer.get(key).is_some()), "lacks {key}: {seen}");
    }
    let dir = TempDir::new().unwrap();
    assert_eq!(explain(&["--batch", &file(&dir, input)], "").1, seen);
}

#[test]
fn a_bad_line_of_a_batch_is_named_and_the_next_one_read() {
    let input = "{\"message\":\"manifest unknown\"\nhello\n{\"mesage\":\"x\"}\n\
        {\"message\":\"x\",\"code\":\"Missing\"}\n{\"message\":3}\n{\"message\":\"manifest unknown\"}";
    let (code, seen, _) = explain(&["--batch", "-"], input);
    assert_eq!(code, 1);
    let answers = lines(&seen);
    assert_eq!(answers.len(), 6, "{seen}");
    for (at, words) in [(0, "EOF"), (1, "expected"), (2, "message"), (3, "0 to 16"), (4, "string")]
    {
        let error = answers[at]["error"].as_str().unwrap();
        assert!(error.starts_with(&format!("line {}", at + 1)), "{error}");
        assert!(error.contains(words) && error.contains("\"code\""), "{error}");
    }
    assert_eq!(answers[5]["class"], "not_found");
}

#[test]
fn a_pod_is_explained_by_the_agent() {
    let dir = TempDir::new().unwrap();
    let socket = dir.path().join("nobody.sock");
    let (code, _, errors) =
        explain(&["batch/example-x7k2p", "--socket", socket.to_str().unwrap()], "");
    assert_eq!(code, 69);
    for words in ["no agent answers", "nobody.sock", "kubectl"] {
        assert!(errors.contains(words), "lacks {words}: {errors}");
    }
    // A text is a text, also one with a slash.
    let (code, seen, _) = explain(&["r.example/app:1: not found"], "");
    assert!(code == 0 && seen.contains("not_found"), "{seen}");
}
