use jiff::SignedDuration;

use super::*;
use crate::config::{Act, Endpoint, Method, Mode};

#[test]
fn an_empty_file_has_the_documented_defaults() {
    let config = parse("").unwrap();
    assert_eq!(config.mode, Mode::Enforce);
    assert_eq!(config.runtime.endpoint, Endpoint::Auto);
    assert_eq!(config.act.method, Method::Status);
    assert!(config.act.check_image);
    assert_eq!(config.serve.address.port(), 9460);
}

#[test]
fn every_key_can_be_set() {
    let config = parse(
        r#"
        mode = "dry-run"
        [runtime]
        endpoint = "unix:///run/crio/crio.sock"
        capture = "off"
        holdup_after = "5m"
        [act]
        method = "deadline"
        verify_for = "10s"
        max_rewrites = 1
        check_image = false
        [serve]
        address = "127.0.0.1:9999"
        [ledger]
        dir = "/tmp/ledger"
        [log]
        level = "pullfuse=debug"
        format = "text"
        "#,
    )
    .unwrap();
    assert_eq!(config.mode, Mode::DryRun);
    assert_eq!(config.runtime.endpoint, Endpoint::Unix("/run/crio/crio.sock".into()));
    assert_eq!(
        config.act,
        Act {
            method: Method::Deadline,
            verify_for: SignedDuration::from_secs(10),
            max_rewrites: 1,
            check_image: false
        }
    );
}

/// Each wrong input, and the words a user needs to mend it.
#[test]
fn a_wrong_value_is_refused_with_key_and_allowed_values() {
    for (text, words) in [
        ("[limits]\nmax_attempt = 5", &["limits", "line 2", "max_attempt", "max_attempts"][..]),
        ("modes = \"enforce\"", &["line 1", "modes", "mode"]),
        (
            "[limits]\nmax_attempts = \"five\"",
            &["limits.max_attempts", "line 2", "five", "1 or more"],
        ),
        ("[limits]\nmax_attempts = -1", &["limits.max_attempts", "line 2", "-1"]),
        ("[limits]\nmax_attempts = 0", &["limits.max_attempts", "line 2", "1 or more"]),
        ("[limits]\nmin_elapsed = \"soon\"", &["limits.min_elapsed", "line 2", "\"1m 30s\""]),
        (
            "[limits]\nmin_elapsed = \"-1s\"",
            &["limits.min_elapsed", "line 2", "out of range", "24h"],
        ),
        ("mode = \"on\"", &["mode", "enforce", "dry-run"]),
        ("[runtime]\nendpoint = \"/run/x.sock\"", &["runtime.endpoint", "unix:///"]),
        (
            "[runtime]\ncapture = \"maybe\"",
            &["runtime.capture", "auto", "fentry", "tracepoint", "off"],
        ),
        ("[act]\nmethod = \"delete\"", &["act.method", "status", "deadline"]),
        ("[act]\nverify_for = \"0s\"", &["act.verify_for", "line 2", "1s"]),
        ("[serve]\naddress = \"9460\"", &["serve.address"]),
        ("[ledger]\ndir = \"state\"", &["ledger.dir", "line 2", "absolute"]),
        ("[log]\nlevel = \"pullfuse=loud\"", &["log.level", "line 2", "pullfuse=debug"]),
        ("[limits\nmax_attempts = 1", &["line 1"]),
    ] {
        let error = parse(text).expect_err(text);
        for word in words {
            assert!(error.contains(word), "{text:?}: the error lacks {word:?}: {error}");
        }
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = load(Path::new("/nonexistent/pullfuse.toml")).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/pullfuse.toml") && error.contains("--config"), "{error}");
}
