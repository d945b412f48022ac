//! Lines for `pullfuse explain --batch`: each has an answer.

use pullfuse::{
    cli::{Explain, Format},
    explain,
};
use serde_json::Value;
use tempfile::TempDir;

pub fn look(bytes: &[u8]) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("batch");
    std::fs::write(&file, bytes).unwrap();
    let args = Explain {
        target_or_message: None,
        code: None,
        runtime: None,
        reason: None,
        image: None,
        batch: Some(file.to_str().unwrap().into()),
        config: None,
        output: Format::Json,
        socket: "/nonexistent".into(),
    };
    let mut out = Vec::new();
    explain::explain(&args, &mut out).unwrap();
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let answers = String::from_utf8(out).unwrap();
    assert_eq!(answers.lines().count(), lines.count());
    assert!(answers.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}
