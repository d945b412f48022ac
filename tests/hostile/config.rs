//! A configuration's text: refused in a few lines, or ready for use and shown.

use pullfuse::{
    check::check,
    cli::{Check, Format},
    config,
    settings::Settings,
};
use serde_json::Value;
use tempfile::TempDir;

pub fn look(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match config::parse(&text) {
        Ok(config) => {
            let shown = shown(&text);
            assert_eq!(shown["mode"], config.mode.as_str());
            assert_eq!(shown["rules"].as_array().map(Vec::len), Some(config.rules.len()));
            drop(Settings::new(config));
        }
        Err(error) => assert!((1..5000).contains(&error.len()), "{error}\n{text}"),
    }
}

/// What `pullfuse check` says of it: first for people, then for programs.
fn shown(text: &str) -> Value {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, text).unwrap();
    let mut out = Vec::new();
    for output in [Format::Table, Format::Json] {
        out.clear();
        check(&Check { file: file.clone(), output }, &mut out, &mut Vec::new()).unwrap();
    }
    serde_json::from_slice(&out).unwrap()
}
