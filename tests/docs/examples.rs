use std::process::Command;

use serde::Deserialize;

use crate::pages::{Page, all, root};

fn blocks(language: &str) -> Vec<(String, String)> {
    let of = |page: &Page| {
        let name = page.path.display().to_string();
        let blocks = page.blocks().into_iter().filter(|block| block.language == language);
        blocks.map(|block| (name.clone(), block.text)).collect::<Vec<_>>()
    };
    let blocks: Vec<_> = all().iter().flat_map(of).collect();
    assert!(!blocks.is_empty(), "no example in {language}");
    blocks
}

#[test]
fn every_configuration_is_valid() {
    for (page, text) in blocks("toml") {
        let read = pullfuse::config::parse(&text);
        assert!(read.is_ok(), "{page}: {}\n{text}", read.unwrap_err());
    }
}

#[test]
fn every_manifest_is_an_object() {
    for (page, text) in blocks("yaml") {
        for document in serde_yaml_ng::Deserializer::from_str(&text) {
            let object = serde_json::Value::deserialize(document).unwrap();
            let whole = ["apiVersion", "kind"].iter().all(|key| object[key].is_string());
            assert!(whole || object["image"].is_object(), "{page}: what is this?\n{text}");
        }
    }
}

/// Commands that need no cluster and no file that a reader must bring.
const RUNNABLE: [&str; 3] =
    ["pullfuse explain '", "pullfuse explain --", "pullfuse check daemonset/"];

/// `$ command`, perhaps over several lines, and what it prints; `...` stands for the rest.
fn sessions(text: &str) -> Vec<(String, String)> {
    let mut sessions: Vec<(String, String)> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ").filter(|_| !open) {
            sessions.push((command.to_owned(), String::new()));
            open = command.matches('\'').count() % 2 == 1;
        } else if let Some((command, output)) = sessions.last_mut() {
            if open {
                command.push('\n');
                command.push_str(line);
                open = command.matches('\'').count() % 2 == 1;
            } else {
                output.push_str(line);
                output.push('\n');
            }
        }
    }
    sessions
}

#[test]
fn what_a_reader_can_run_prints_what_is_written() {
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_pullfuse")).parent().unwrap();
    let mut ran = 0;
    for (page, text) in blocks("console") {
        for (command, expected) in sessions(&text) {
            if !RUNNABLE.iter().any(|start| command.starts_with(start)) {
                continue;
            }
            ran += 1;
            let path = format!("{}:/usr/bin:/bin", folder.display());
            let output = Command::new("bash")
                .args(["-c", &command])
                .current_dir(root())
                .env("PATH", path)
                .output()
                .unwrap();
            let trimmed =
                |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
            let printed = trimmed(&String::from_utf8_lossy(&output.stdout));
            let expected = trimmed(&expected);
            let same = match expected.strip_suffix("...") {
                Some(begin) => printed.starts_with(begin),
                None => printed.trim_end() == expected.trim_end(),
            };
            assert!(same, "{page}: `{command}` prints\n{printed}\nand not\n{expected}");
        }
    }
    assert!(ran > 2, "only {ran} examples ran");
}
