//! What it shows of the calls.

use std::{collections::BTreeMap, io::Write};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{expected, one_pull, recording, replay, write};

/// What the expect files know.
const FIELDS: [&str; 11] = [
    "connection",
    "stream",
    "image",
    "namespace",
    "pod",
    "pod_uid",
    "start_us",
    "end_us",
    "outcome",
    "code",
    "message",
];
/// What is made of it; null where nothing failed.
const CAUSE: [&str; 4] = ["class", "disposition", "host", "rule"];

fn plain(name: &str) -> String {
    let file = std::fs::File::open(recording(name)).unwrap();
    std::io::read_to_string(flate2::read::GzDecoder::new(file)).unwrap()
}

#[test]
fn json_has_every_pull_with_exactly_the_promised_fields() {
    for name in ["containerd-2.4.2", "cri-o-1.36.3"] {
        let (code, seen, errors) = replay(&[&recording(name), "-o", "json"]);
        assert_eq!((code, errors.as_str()), (0, ""));
        let expected = expected(name);
        assert_eq!(seen.lines().count(), expected.len());
        for (line, expected) in seen.lines().zip(expected) {
            let place = |field: &&str| line.rfind(&format!("\"{field}\":")).unwrap();
            assert!(FIELDS.iter().chain(&CAUSE).map(place).is_sorted(), "{line}");
            let seen: BTreeMap<String, Value> = serde_json::from_str(line).unwrap();
            assert_eq!(seen.len(), FIELDS.len() + CAUSE.len());
            for field in FIELDS.iter().filter(|field| **field != "outcome") {
                assert_eq!(seen[*field], expected[*field], "{field}");
            }
            let outcome = if expected["code"] == 0 { "succeeded" } else { "failed" };
            assert_eq!(seen["outcome"], outcome);
            for field in ["class", "disposition", "rule"] {
                assert_eq!(seen[field].is_null(), outcome == "succeeded", "{field}: {line}");
            }
            assert!(outcome == "failed" || seen["host"].is_null(), "{line}");
        }
    }
}

#[test]
fn from_plays_an_agent_that_attached_late() {
    let file = recording("containerd-2.4.2");
    let (code, seen, _) = replay(&[&file, "--from", "1500", "-o", "json"]);
    assert_eq!(code, 0);
    assert!((1..41).contains(&seen.lines().count()), "{seen}");
    assert!(seen.contains("\"code\":null"), "{seen}");
    let (all, from_0) =
        (replay(&[&file, "-o", "json"]).1, replay(&[&file, "--from", "0", "-o", "json"]).1);
    assert_eq!(all, from_0);
}

#[test]
fn a_table_is_for_people_and_a_plain_file_is_as_good() {
    let dir = TempDir::new().unwrap();
    let file = write(&dir, "plain.wire.jsonl", plain("cri-o-1.36.3").as_bytes());
    let (code, seen, errors) = replay(&[&file]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert_eq!(seen.lines().count(), 28, "{seen}");
    for words in ["NAMESPACE", "OUTCOME", "127.0.0.1:5055/nope:1", "manifest unknown", "succeeded"]
    {
        assert!(seen.contains(words), "lacks {words}: {seen}");
    }
}

#[test]
fn what_was_on_the_wire_cannot_steer_the_terminal() {
    let dir = TempDir::new().unwrap();
    let text = one_pull("img\u{1b}[31m\u{202e}", Some("line%0Aline%07%1B[2J"));
    let file = write(&dir, "a.wire.jsonl", text.as_bytes());
    let (code, seen, _) = replay(&[&file]);
    assert_eq!((code, seen.lines().count()), (0, 2), "{seen}");
    assert!(!seen.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{seen:?}");
    assert!(seen.contains("line\\nline\\u{7}\\u{1b}[2J"), "{seen}");
    let flight = write(&dir, "b.wire.jsonl", one_pull("slow", None).as_bytes());
    let seen = replay(&[&flight]).1;
    assert!(seen.contains("still in flight since 0.000s: slow"), "{seen}");
    assert_eq!(replay(&[&flight, "-o", "json"]).1, "");
}

#[test]
fn a_missing_file_exits_with_69() {
    let (code, _, errors) = replay(&["/nonexistent.wire.jsonl"]);
    assert_eq!(code, 69, "{errors}");
    assert!(errors.contains("/nonexistent.wire.jsonl"), "{errors}");
}

#[test]
fn a_recording_that_cannot_be_understood_names_file_and_line_and_exits_with_1() {
    let dir = TempDir::new().unwrap();
    let good = one_pull("img", Some("no"));
    let mut cut = Vec::new();
    std::fs::File::open(recording("cri-o-1.36.3"))
        .map(|mut f| std::io::copy(&mut f, &mut cut))
        .unwrap()
        .unwrap();
    cut.truncate(cut.len() / 2);
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zipped.write_all(b"\n{\"t_us\": 1}\n").unwrap();
    for (name, content, words) in [
        ("text", format!("{good}hello\n").into_bytes(), &["line 3", "t_us", "base64"][..]),
        ("way", good.replace("s2c", "up").into_bytes(), &["line 2", "up", "c2s"]),
        ("data", good.replace("\"data\":\"", "\"data\":\"?").into_bytes(), &["line 1", "base64"]),
        ("lacks", zipped.finish().unwrap(), &["line 2", "missing field"]),
        ("cut", cut, &["line "]),
        ("binary", vec![0, 159, 146, 150], &["line 1"]),
    ] {
        let file = write(&dir, name, &content);
        let (code, _, errors) = replay(&[&file, "-o", "json"]);
        assert_eq!(code, 1, "{name}: {errors}");
        for words in words.iter().chain(&[file.as_str()]) {
            assert!(errors.contains(words), "{name} lacks {words}: {errors}");
        }
    }
}

#[test]
fn a_record_beyond_the_end_exits_with_1_and_wrong_usage_with_2() {
    let file = recording("cri-o-1.36.3");
    let (code, _, errors) = replay(&[&file, "--from", "999999"]);
    assert_eq!(code, 1);
    assert!(errors.contains("4027") && errors.contains("--from 999999"), "{errors}");
    for args in [&[][..], &[&file, "--from", "x"], &[&file, "-o", "yaml"]] {
        assert_eq!(replay(args).0, 2, "{args:?}");
    }
}
