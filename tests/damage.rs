//! What is read from outside, damaged at random: configurations, pods, ledger records, batches,
//! recordings and answers of the local API. Nothing panics, and what is told of it is short.
//!
//! The rounds are few by default; `PULLFUSE_FUZZ_ROUNDS=100000 cargo test --test damage` runs long.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]
#![allow(missing_docs, unreachable_pub, reason = "nobody links to a test")]

#[path = "support/dice.rs"]
mod dice;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use prost::Message;
use pullfuse::{
    act::VerdictRecord,
    attempts::Tally,
    cli::{Explain, Format, Replay},
    config::{self, Config},
    explain,
    fuse::Fuse,
    local::v1,
    pods::PodFacts,
    policy::{breaker::Breaker, caps::Caps},
    replay,
    settings::Settings,
};
use tempfile::TempDir;

use dice::{Dice, rounds};

const CONFIG: &[u8] = include_bytes!("data/damage/config.toml");
const POD: &[u8] = include_bytes!("data/damage/pod.json");
const VERDICT: &[u8] = include_bytes!("data/damage/verdict.json");
const BATCH: &[u8] = include_bytes!("data/damage/batch.jsonl");

/// What breaks readers.
const PIECES: [&[u8]; 24] = [
    b"\0",
    b"\x1b[2J",
    b"\xc2\x9b",
    b"\xe2\x80\xae",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"\"",
    b"\\",
    b"{",
    b"[",
    b"]",
    b"}",
    b"null",
    b"-1",
    b"4294967295",
    b"18446744073709551616",
    b"1e999",
    b"nan",
    b"-009999-01-02T01:59:59Z",
    b"9999-12-30T22:00:00Z",
    b"PT9223372036854775807S",
    b"${a}{b}",
    b"*?[!a-",
];

fn damaged(seed: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..1 + dice.below(4) {
        let at = dice.below(bytes.len());
        let end = at + dice.below((bytes.len() - at).min(40));
        match dice.below(8) {
            0 if !bytes.is_empty() => bytes[at] = dice.roll() as u8,
            1 => drop(bytes.drain(at..end)),
            2 => bytes.truncate(at),
            3 => {
                let again = bytes[at..end].repeat(1 + dice.below(300));
                bytes.splice(at..at, again);
            }
            4 => {
                // Numbers and words are what readers trust most.
                let word = |byte: &u8| byte.is_ascii_alphanumeric() || b"-:.".contains(byte);
                let end = at + bytes[at..].iter().take_while(|byte| word(byte)).count();
                bytes.splice(at..end, PIECES[dice.below(PIECES.len())].iter().copied());
            }
            _ => drop(bytes.splice(at..at, PIECES[dice.below(PIECES.len())].iter().copied())),
        }
    }
    bytes
}

/// Each round's damage to one of the seeds.
fn each_damaged(seeds: &[&[u8]], look: impl FnMut(&[u8])) {
    damaged_for(rounds(), seeds, look);
}

fn damaged_for(rounds: u64, seeds: &[&[u8]], mut look: impl FnMut(&[u8])) {
    for round in 0..rounds {
        let mut dice = Dice(round);
        let seed = seeds[dice.below(seeds.len())];
        look(&damaged(seed, &mut dice));
    }
}

fn settings() -> Settings {
    let text = "[limits]\nmax_attempts = 1\nmin_elapsed = \"0s\"\n";
    Settings::new(config::parse(text).unwrap())
}

#[test]
fn the_seeds_are_good() {
    let config = config::parse(std::str::from_utf8(CONFIG).unwrap()).unwrap();
    assert_ne!(config, Config::default());
    let pod = PodFacts::read(&serde_json::from_slice::<Pod>(POD).unwrap()).unwrap();
    assert_eq!(pod.images.len(), 2);
    serde_json::from_slice::<VerdictRecord>(VERDICT).unwrap();
    assert_eq!(BATCH.split(|byte| *byte == b'\n').count(), 4);
}

#[test]
fn a_damaged_configuration_is_refused_in_a_few_lines() {
    each_damaged(&[CONFIG], |bytes| {
        let text = String::from_utf8_lossy(bytes);
        match config::parse(&text) {
            Ok(config) => drop(Settings::new(config)),
            Err(error) => assert!((1..5000).contains(&error.len()), "{error}\n{text}"),
        }
    });
}

#[test]
fn a_damaged_pod_is_judged_or_left_out() {
    let (settings, mut fuse) = (settings(), Fuse::default());
    let mut now = Timestamp::UNIX_EPOCH;
    each_damaged(&[POD], |bytes| {
        let Ok(pod) = serde_json::from_slice::<Pod>(bytes) else { return };
        let Some(pod) = PodFacts::read(&pod) else { return };
        now += SignedDuration::from_secs(20);
        fuse.observe(&pod, &settings, now);
        for opinion in fuse.judge(&pod, &settings, now) {
            let told = opinion.ruling.bad_annotations.concat() + &opinion.cause.advice;
            assert!(told.len() < 2000 && !told.contains(char::is_control), "{told:?}");
        }
        fuse.retain(|_| false);
    });
}

#[test]
fn a_damaged_record_of_the_ledger_is_left_out_or_harmless() {
    let settings = settings();
    each_damaged(&[VERDICT], |bytes| {
        let Ok(record) = serde_json::from_slice::<VerdictRecord>(bytes) else { return };
        let (text, annotation) = (record.text(), record.annotation());
        assert!(text.len() <= 1024 && annotation.len() < 4096, "{text}\n{annotation}");
        assert!(!(text + &annotation).contains(char::is_control));
        let VerdictRecord { key, tally, .. } = record;
        let again: Tally = serde_json::from_slice(&serde_json::to_vec(&tally).unwrap()).unwrap();
        assert_eq!(again, tally);
        let mut pod = PodFacts::pending(&tally.namespace, &tally.pod, &key.pod_uid);
        let now = tally.last_attempt;
        let tallies = BTreeMap::from([(key.clone(), tally)]);
        let mut fuse = Fuse::new(tallies, Breaker::default(), Caps::default());
        fuse.next_tick(&settings);
        fuse.tick(&settings, now);
        fuse.observe(&pod, &settings, now);
        fuse.judge(&pod, &settings, now);
        pod.images = BTreeMap::from([(key.image, pullfuse::pods::ImageState::Pulled)]);
        fuse.observe(&pod, &settings, now);
    });
}

#[test]
fn a_damaged_batch_has_an_answer_for_each_line() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("batch");
    each_damaged(&[BATCH], |bytes| {
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
        assert!(
            answers.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
        );
    });
}

#[test]
fn a_damaged_recording_is_played_or_refused() {
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/wire/containerd-2.4.2.wire.jsonl.gz");
    let packed = std::fs::read(path).unwrap();
    let mut recording = pullfuse::recording::Recording::open(path.as_ref()).unwrap();
    let mut plain = Vec::new();
    while let Some(line) = recording.next_line().unwrap().filter(|_| plain.len() < 20_000) {
        serde_json::to_writer(&mut plain, &line).unwrap();
        plain.push(b'\n');
    }
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("recording");
    let config = folder.path().join("config.toml");
    std::fs::write(&config, "[limits]\nmax_attempts = 1\n").unwrap();
    // Each is played twice, to the rules of all causes.
    damaged_for(rounds() / 6, &[&plain, &packed[..packed.len().min(4000)]], |bytes| {
        std::fs::write(&file, bytes).unwrap();
        for config in [None, Some(config.clone())] {
            let args = Replay { file: file.clone(), from: 0, config, output: Format::Table };
            if let Err(error) = replay::replay(&args, &mut Vec::new()) {
                assert!(error.to_string().len() < 1000, "{error}");
            }
        }
    });
}

#[test]
fn a_damaged_answer_of_an_agent_is_shown_or_refused() {
    let text = |text: &str| text.to_owned();
    let image = v1::FailingImage {
        namespace: text("n"),
        pod: text("p"),
        image: text("r/x:1"),
        attempts_by_class: [(text("not_found"), 3)].into(),
        first_attempt: Some(pbjson_types::Timestamp { seconds: 1_800_000_000, nanos: 5 }),
        limit: 5,
        message: text("not found"),
        ..Default::default()
    };
    let seed = v1::ListPodsResponse { images: vec![image], ..Default::default() }.encode_to_vec();
    each_damaged(&[&seed], |bytes| {
        let Ok(answer) = v1::ListPodsResponse::decode(bytes) else { return };
        // A time that no calendar has is an error, and no panic.
        let _ = serde_json::to_string(&answer);
    });
}
