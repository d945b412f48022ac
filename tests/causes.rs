//! Real messages of container runtimes, each with its class; also changed in ways that must not
//! matter.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]
#![allow(missing_docs, reason = "nobody links to a test")]

use std::sync::LazyLock;

use proptest::{collection::vec, prelude::*, sample::select};
use pullfuse::classify::{Class, Classifier, Code, Failure};
use regex::{Captures, Regex};
use serde_json::Value;

const FILES: [&str; 3] = [
    include_str!("data/pull_errors.jsonl"),
    include_str!("data/pull_errors_measured.jsonl"),
    include_str!("data/pull_errors_more.jsonl"),
];

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
    let classifier = classifier();
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

/// Hosts that look like errors.
const HOSTS: [&str; 6] = [
    "registry.example",
    "not-found.503.example:404",
    "timeout.denied.example:5000",
    "unauthorized.x509.example",
    "no-space.eof.example:429",
    "manifest-unknown.refused.example:443",
];
/// Tags that look like errors.
const TAGS: [&str; 6] = ["v1.2.3", "not-found", "503", "timeout", "denied-401", "toomanyrequests"];

#[derive(Debug, Clone)]
struct Change {
    host: &'static str,
    tag: &'static str,
    digest: String,
    address: String,
    /// A prefix of the kubelet or of a tool.
    prefix: usize,
    /// Each so many-th space becomes a line break or two spaces.
    break_every: usize,
    coloured: bool,
    /// What CRI-O says of artifacts is cut off.
    cut: bool,
}

fn change() -> impl Strategy<Value = Change> {
    let names = (select(&HOSTS[..]), select(&TAGS[..]), "[0-9a-f]{64}");
    let address = (any::<[u8; 4]>(), 1_u16..)
        .prop_map(|([a, b, c, d], port)| format!("{a}.{b}.{c}.{d}:{port}"));
    let form = (0..PREFIXES, 1_usize..40, any::<bool>(), any::<bool>());
    (names, address, form).prop_map(|(names, address, form)| {
        let ((host, tag, digest), (prefix, break_every, coloured, cut)) = (names, form);
        Change { host, tag, digest, address, prefix, break_every, coloured, cut }
    })
}

const PREFIXES: usize = 6;

impl Change {
    fn apply(&self, message: &str) -> String {
        let Self { host, tag, digest, address, .. } = self;
        let digests = Regex::new("sha256:[0-9a-f]{64}").unwrap();
        let text = digests.replace_all(message, format!("sha256:{digest}"));
        // Not in the names of media types and files.
        let hosts =
            Regex::new(r"(application/|/)?\b(?:[a-z0-9-]+\.)+[a-z]{2,}(?::[0-9]+)?(/|: |\x22)");
        let text = hosts.unwrap().replace_all(&text, |found: &Captures<'_>| match found.get(1) {
            Some(kept) if kept.as_str() == "application/" => found[0].to_owned(),
            Some(_) => format!("/{host}{}", &found[2]),
            None => format!("{host}{}", &found[2]),
        });
        let addresses = Regex::new(r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}:[0-9]+").unwrap();
        let text = addresses.replace_all(&text, address.as_str());
        let tags = Regex::new(r"(/[a-z0-9._-]+):[A-Za-z0-9._-]+(\x22|: )").unwrap();
        let text = tags.replace_all(&text, format!("$1:{tag}$2"));
        let text = match text.split_once("; artifact err: ") {
            Some((image, artifact)) if self.cut => {
                format!("{image}; artifact err: {}", artifact.chars().take(10).collect::<String>())
            }
            _ => text.into_owned(),
        };
        self.dressed(&self.broken(&text))
    }

    fn broken(&self, text: &str) -> String {
        let mut spaces = 0;
        let mut out = String::new();
        for char in text.chars() {
            out.push(char);
            spaces += usize::from(char == ' ');
            if char == ' ' && spaces % self.break_every == 0 {
                out.push_str(if spaces % 2 == 0 { "\n\t" } else { " " });
            }
        }
        out
    }

    fn dressed(&self, text: &str) -> String {
        let Self { host, tag, .. } = self;
        let text = match self.coloured {
            true => format!("\u{1b}[31;1m{text}\u{1b}[0m"),
            false => text.to_owned(),
        };
        match self.prefix {
            0 => text,
            1 => format!("Failed to pull image \"{host}/{tag}:{tag}\": {text}"),
            2 => format!("Back-off pulling image \"{tag}\": ErrImagePull: {text}"),
            3 => format!("Failed to pull image \"{tag}\": rpc error: code = Unknown desc = {text}"),
            4 => format!(
                "Error syncing pod: failed to \"StartContainer\" for \"{tag}\" with ErrImagePull: {text}"
            ),
            _ => format!(
                "level=error msg=\"pulling image {host}/x:{tag}\" error=\"{}\"",
                text.replace('"', "\\\"")
            ),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn other_names_and_another_dress_change_no_class(
        at in 0..samples().len(),
        change in change(),
    ) {
        let samples = samples();
        let Sample { message, code, .. } = &samples[at];
        let classifier = classifier();
        let of = |message: &str| {
            classifier.classify(&Failure { message, code: *code, ..Failure::default() }).class
        };
        let changed = change.apply(message);
        prop_assert_eq!(of(message), of(&changed), "{}\nbecame\n{}", message, changed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// Whatever a registry makes of it: no panic, and what comes out is small and fit to be shown.
    #[test]
    fn any_text_is_survived(
        parts in vec(prop_oneof![any::<String>(), select(FRAGMENTS.to_vec()).prop_map(String::from)], 0..12),
        times in prop_oneof![Just(1_usize), Just(3000)],
        code in any::<Option<u32>>(),
        image in any::<Option<String>>(),
    ) {
        let message = parts.concat().repeat(times);
        let failure = Failure {
            message: &message,
            code: code.and_then(Code::of),
            image: image.as_deref(),
            ..Failure::default()
        };
        let cause = classifier().classify(&failure);
        prop_assert_eq!(cause.class.disposition(), cause.disposition);
        prop_assert!(cause.host.as_ref().is_none_or(|host| host.len() < 256));
        prop_assert!(cause.advice.len() < 1000, "{}", cause.advice);
        prop_assert!(!cause.advice.contains(char::is_control));
    }
}

/// What the code looks for, to come near its edges.
const FRAGMENTS: &[&str] = &[
    "[rpc error: code = ",
    ", rpc error: code = ",
    " desc = ",
    "pull image err: ",
    "; artifact err: ",
    "(Mirrors also failed: [",
    "]): ",
    " (after reconnecting",
    "https://",
    "Get \"http://",
    "\"",
    "\\",
    "docker://",
    "lookup ",
    "proxyconnect tcp: dial tcp ",
    "{\"errors\":[",
    "\u{1b}[",
    " reading manifest ",
    " in ",
    "@",
    ":",
    "/",
    " tcp ",
    "->",
    "unpack image \"",
    "?ns=",
    "ß",
    "\u{202e}",
];

fn classifier() -> &'static Classifier {
    static CLASSIFIER: LazyLock<Classifier> = LazyLock::new(|| Classifier::new(&[]));
    &CLASSIFIER
}
