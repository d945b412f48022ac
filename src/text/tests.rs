use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::{
    classify::{Classifier, Failure},
    fixtures::{hostile, is_fit},
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_kept_is_harmless_and_bounded(
        text in hostile(), most in 8_usize..3000,
    ) {
        let kept = plain(&text, most);
        prop_assert!(is_fit(&kept), "{kept:?}");
        prop_assert!(kept.len() <= most, "{} bytes, not {most}", kept.len());
        let image = image(&text);
        prop_assert!(is_fit(&image) && image.len() <= LONGEST_IMAGE);
    }

    #[test]
    fn what_is_shown_is_harmless(text in hostile()) {
        prop_assert!(is_fit(&shown(Some(&text))));
        prop_assert!(lines(&text).lines().all(is_fit));
    }

    #[test]
    fn what_is_written_is_harmless_and_json_stays_the_same(text in hostile()) {
        let mut out = Vec::new();
        serde_json::to_writer(Harmless::new(&mut out), &text).unwrap();
        let seen = String::from_utf8(out).unwrap();
        prop_assert!(is_fit(&seen));
        prop_assert_eq!(serde_json::from_str::<String>(&seen).unwrap(), text.clone());

        let mut out = Vec::new();
        Harmless::whole_lines(&mut out).write_all(text.as_bytes()).unwrap();
        prop_assert!(String::from_utf8(out).unwrap().split('\n').all(is_fit));
    }
}

/// What looks as if a credential might still come, again and again.
#[test]
fn a_megabyte_takes_no_longer_for_being_hostile() {
    for piece in
        ["a:b?x=1", "https://a", "x-token", "token", "?a", "\"token", "eyJaaaaaaaaa.", "| -"]
    {
        let text = piece.repeat((1 << 20) / piece.len());
        assert!(plain(&text, 1024).len() <= 1024);
    }
}

#[test]
fn a_long_text_keeps_both_ends() {
    let kept = plain(&format!("begin {} end", "ä".repeat(1 << 20)), 100);
    assert!(kept.starts_with("begin ä") && kept.ends_with("ä end"), "{kept}");
}

#[test]
fn terminal_sequences_leave_no_trace() {
    assert_eq!(plain("\u{1b}[31mred\u{1b}[0m\tx\u{9b}2Jy\n\n z", 99), "red xy z");
}

#[test]
fn images_that_can_be_pulled_stay_as_they_are() {
    for text in [
        "nginx",
        "127.0.0.1:5000/team/app:1.2_3-x",
        "[::1]:5000/x",
        "r.example/app:1@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "r.example:443/app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ] {
        assert_eq!(image(text), text);
    }
    assert_eq!(image("https://me:MARKER@r.example/app:1"), "https://***@r.example/app:1");
}

/// Each way in which credentials were seen in errors of runtimes, registries and HTTP clients.
#[test]
fn credentials_go_and_the_words_around_them_stay() {
    for (text, expected) in [
        ("Get \"https://me:MARKER@r.example/v2/\": EOF", "Get \"https://***@r.example/v2/\": EOF"),
        ("pull me:MARKER@r.example:5000/app", "pull ***@r.example:5000/app"),
        (
            "Get \"https://s3/x?X-Amz-Algorithm=A&X-Amz-Signature=MARKER&x=1\": 403 Forbidden",
            "Get \"https://s3/x?X-Amz-Algorithm=***&X-Amz-Signature=***&x=***\": 403 Forbidden",
        ),
        ("https://b/x?sv=1&amp;sig=MARKER: 403", "https://b/x?sv=***&amp;sig=***"),
        (
            r#"{"url":"https://b/x?sv=1\u0026sig=MARKER"}"#,
            r#"{"url":"https://b/x?sv=***\u0026sig=***"}"#,
        ),
        (
            "HEAD https://m/v2/x?ns=docker.io: 500; https://a/token?scope=repository%3Ax%3Apull&service=r&token=MARKER",
            "HEAD https://m/v2/x?ns=docker.io: 500; https://a/token?scope=repository%3Ax%3Apull&service=r&token=***",
        ),
        ("Authorization: Basic TUFSS0VS; denied", "Authorization: Basic ***; denied"),
        (
            "map[Authorization:[Bearer MARKER] Accept:[x]]",
            "map[Authorization:[Bearer ***] Accept:[x]]",
        ),
        ("authorization: bearer marker", "authorization: bearer ***"),
        ("X-Registry-Auth: MARKER", "X-Registry-Auth: ***"),
        (r#"{\"Authorization\":\"MARKER\"}"#, r#"{\"Authorization\":\"***\"}"#),
        ("sent Bearer MARKER-1 to it", "sent Bearer *** to it"),
        ("token=MARKER, then", "token=***, then"),
        (
            r#"{"identitytoken":"MARKER MARKER","code":"DENIED"}"#,
            r#"{"identitytoken":"***","code":"DENIED"}"#,
        ),
        (r#"{\"password\": \"MARKER\"}"#, r#"{\"password\": \"***\"}"#),
        (
            "&AuthConfig{Username:me,Password:MARKER,Auth:MARKER,IdentityToken:MARKER,}",
            "&AuthConfig{Username:me,Password:***,Auth:***,IdentityToken:***,}",
        ),
        ("users:\n- user:\n    token: MARKER\n", "users:\n- user:\n    token: ***\n"),
        ("3 |   password: \"MARKER\"", "3 |   password: \"***\""),
        ("is eyJhbGciOiJSUzI1NiJ9.eyJMARKER.sig-MARKER good?", "is *** good?"),
        ("dckr_pat_MARKERMARKERMARKER", "***"),
        ("-----BEGIN EC PRIVATE KEY-----\nMARKER\n-----END EC PRIVATE KEY----- x", "*** x"),
    ] {
        let told = redact(text);
        assert!(told.starts_with(expected), "{text}\nbecame\n{told}\nnot\n{expected}");
        assert!(!told.to_lowercase().contains("marker"), "{told}");
        assert_eq!(redact(&told), told, "said again");
    }
}

#[test]
fn words_about_credentials_are_none() {
    for text in [
        "unable to retrieve auth token: invalid username/password: unauthorized",
        "failed to fetch anonymous token: unexpected status from GET request to https://a/token?scope=x&service=y: 401",
        "no basic auth credentials",
        "Basic authentication required",
        "server gave Bearer realm=\"https://auth.example/token\",service=\"x\"",
        "authorization: access denied",
        "insufficient_scope: authorization failed",
        "secrets \"regcred\" not found",
        "docker://r.example@sha256:00",
    ] {
        assert_eq!(redact(text), text);
    }
}

/// Most have no credential; of the others the class and the host must not suffer.
#[test]
fn real_messages_of_runtimes_say_the_same_without_credentials() {
    let classifier = Classifier::new(&[]);
    let judge = |message: &str| classifier.classify(&Failure { message, ..Failure::default() });
    let mut changed = 0;
    for file in [
        include_str!("../../tests/data/pull_errors.jsonl"),
        include_str!("../../tests/data/pull_errors_measured.jsonl"),
        include_str!("../../tests/data/pull_errors_more.jsonl"),
        include_str!("../../tests/data/wire/containerd-2.4.2.expect.jsonl"),
        include_str!("../../tests/data/wire/cri-o-1.36.3.expect.jsonl"),
    ] {
        for line in file.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let message = line["message"].as_str().unwrap_or_default();
            let told = redact(message);
            if told != message {
                changed += 1;
                assert!(told.contains("=***"), "{message}\nbecame\n{told}");
                assert_eq!(judge(&told), judge(message), "{told}");
            }
        }
    }
    assert!((1..20).contains(&changed), "{changed} messages with parameters that may be secret");
}

#[test]
fn where_colours_may_pass_nothing_else_does() {
    let mut out = Harmless::coloured(Vec::new());
    out.write_all("\u{1b}[31mred\u{1b}[0m \u{1b}[2J \u{1b}]0;t\u{7}\u{1b}[1".as_bytes()).unwrap();
    let out = String::from_utf8(out.into_inner()).unwrap();
    let expected = "\u{1b}[31mred\u{1b}[0m \\u001b[2J \\u001b]0;t\\u0007\\u001b[1";
    assert_eq!(out, expected);
}
