//! Real messages of container runtimes, each with its class; also changed in ways that must not
//! matter.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]
#![allow(missing_docs, reason = "nobody links to a test")]

use pullfuse::classify::{Class, Classifier, Code, Failure};
use serde_json::Value;

const FILES: [&str; 2] =
    [include_str!("data/pull_errors.jsonl"), include_str!("data/pull_errors_measured.jsonl")];

struct Sample {
    message: String,
    code: Option<Code>,
    /// Any of these; empty where nothing failed.
    classes: Vec<Class>,
}

fn samples() -> Vec<Sample> {
    let lines = FILES.iter().flat_map(|file| file.lines());
    lines.map(|line| sample(&serde_json::from_str(line).unwrap())).collect()
}

fn sample(line: &Value) -> Sample {
    let class = |value: &Value| value.as_str().unwrap().parse().unwrap();
    Sample {
        message: line["message"].as_str().unwrap().to_owned(),
        code: line["code"].as_str().map(|code| Code::read(code).unwrap()),
        classes: match &line["class"] {
            Value::Array(any) => any.iter().map(class).collect(),
            Value::Null => Vec::new(),
            one => vec![class(one)],
        },
    }
}

#[test]
fn every_message_has_its_class() {
    let classifier = Classifier::new(&[]);
    let mut wrong = Vec::new();
    for Sample { message, code, classes } in samples() {
        let cause = classifier.classify(&Failure { message: &message, code, ..Failure::default() });
        if !classes.is_empty() && !classes.contains(&cause.class) {
            wrong.push(format!(
                "{} by {}, not {classes:?}: {message}",
                cause.class.as_str(),
                cause.rule
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
