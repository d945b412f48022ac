//! What is read from outside, damaged at random: nothing panics, and what is told of it is short and
//! harmless. `tests/hostile` says for each reader what must hold.
//!
//! The rounds are few by default; `PULLFUSE_FUZZ_ROUNDS=100000 cargo test --test damage` runs long, and
//! `make fuzz` looks for the bytes that reach new code.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]
#![allow(missing_docs, unreachable_pub, reason = "nobody links to a test")]

#[path = "support/dice.rs"]
mod dice;
mod hostile;

use std::{fs, path::Path};

use k8s_openapi::api::core::v1::Pod;
use pullfuse::{
    act::VerdictRecord,
    config::{self, Config},
    pods::PodFacts,
};

use dice::{Dice, rounds};
use hostile::{reader, seeds};

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

/// Each round's damage to one of a reader's seeds; so many times fewer rounds where one takes long.
fn damage(name: &str, fewer: u64) {
    let reader = reader(name);
    let seeds = (reader.seeds)();
    for round in 0..rounds().div_ceil(fewer) {
        let mut dice = Dice(round);
        let seed = &seeds[dice.below(seeds.len())];
        (reader.look)(&damaged(seed, &mut dice));
    }
}

#[test]
fn every_seed_is_read_without_harm() {
    for reader in hostile::READERS {
        for seed in (reader.seeds)() {
            (reader.look)(&seed);
        }
    }
}

/// Files `READER-WHAT`, found by `make fuzz`.
#[test]
fn what_once_broke_a_reader_does_no_more() {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/damage/found");
    for file in fs::read_dir(found).unwrap().map(|entry| entry.unwrap().path()) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let (name, _) = name.split_once('-').unwrap();
        (reader(name).look)(&fs::read(&file).unwrap());
    }
}

#[test]
fn the_seeds_are_good() {
    let config = config::parse(std::str::from_utf8(&seeds::config()[0]).unwrap()).unwrap();
    assert_ne!(config, Config::default());
    let pod: Pod = serde_json::from_slice(&seeds::pod()[0][1..]).unwrap();
    assert_eq!(PodFacts::read(&pod).unwrap().images.len(), 2);
    serde_json::from_slice::<VerdictRecord>(&seeds::verdict()[0]).unwrap();
    assert_eq!(seeds::batch()[0].split(|byte| *byte == b'\n').count(), 4);
}

#[test]
fn a_damaged_configuration_is_refused_in_a_few_lines() {
    damage("config", 1);
}

#[test]
fn a_damaged_pod_is_judged_or_left_out() {
    damage("pod", 1);
}

#[test]
fn a_damaged_record_of_the_ledger_is_left_out_or_harmless() {
    damage("verdict", 1);
}

#[test]
fn a_damaged_file_of_an_older_ledger_is_opened_or_set_aside() {
    damage("ledger", 6);
}

#[test]
fn a_damaged_batch_has_an_answer_for_each_line() {
    damage("batch", 1);
}

#[test]
fn a_damaged_recording_is_played_or_refused() {
    damage("recording", 6);
}

#[test]
fn a_damaged_answer_of_an_agent_is_shown_or_refused() {
    damage("answer", 1);
}

#[test]
fn a_damaged_message_tells_no_password() {
    damage("message", 1);
}

#[test]
fn a_damaged_text_is_harmless_and_bounded() {
    damage("text", 1);
}

#[test]
fn damaged_bytes_of_a_connection_say_the_same_in_other_pieces() {
    damage("wire", 1);
}
