//! A recording's file: shown as calls or as verdicts, for people or programs, or refused.

use pullfuse::{
    cli::{Format, Replay},
    replay,
    text::Harmless,
};
use serde_json::Value;
use tempfile::TempDir;

use super::is_harmless;

pub fn look(bytes: &[u8]) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("recording");
    std::fs::write(&file, bytes).unwrap();
    let rules = folder.path().join("config.toml");
    std::fs::write(&rules, "[limits]\nmax_attempts = 1\n").unwrap();
    // One way for each input: the rules are made ready anew each time, which takes longest.
    let config = (bytes.len() & 1 == 0).then_some(rules);
    let output = if bytes.len() & 2 == 0 { Format::Table } else { Format::Json };
    // As on a terminal.
    let mut out = Harmless::new(Vec::new());
    if let Err(error) = replay::replay(&Replay { file, from: 0, config, output }, &mut out) {
        assert!(error.to_string().len() < 1000, "{error}");
    }
    let out = String::from_utf8(out.into_inner()).unwrap();
    assert!(is_harmless(&out), "{out:?}");
    let json = |line: &str| serde_json::from_str::<Value>(line).is_ok();
    assert!(output == Format::Table || out.lines().all(json), "{out}");
}
