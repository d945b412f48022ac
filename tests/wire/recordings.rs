//! The recordings, from their start and joined late at every record.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use pullfuse::{
    recording::Line,
    wire::{Decoder, Exchange, Outcome, Pull, UNKNOWN_GAP},
};
use serde::Deserialize;

use crate::support::{RECORDINGS, decode, image_lines, lines, path, tells_secret};

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Expected {
    connection: u64,
    stream: u32,
    image: String,
    namespace: String,
    pod: String,
    pod_uid: String,
    start_us: u64,
    end_us: u64,
    code: u32,
    message: String,
}

impl Expected {
    fn outcome(&self) -> Outcome {
        if self.code == 0 { Outcome::Succeeded } else { Outcome::Failed }
    }
}

fn expected(name: &str) -> Vec<Expected> {
    let text = std::fs::read_to_string(path(&format!("{name}.expect.jsonl"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Compares everything but code and message.
fn assert_same(seen: &Exchange, truth: &Expected) {
    let known = |text: &str| Some(text.to_owned());
    assert_eq!((seen.connection, seen.stream), (truth.connection, truth.stream));
    assert_eq!(seen.pull.image, known(&truth.image));
    assert_eq!(seen.pull.namespace, known(&truth.namespace));
    assert_eq!(seen.pull.pod, known(&truth.pod));
    assert_eq!(seen.pull.pod_uid, known(&truth.pod_uid));
    assert_eq!((seen.start_us, seen.end_us), (truth.start_us, truth.end_us));
    assert_eq!(seen.outcome, truth.outcome());
}

#[test]
fn every_pull_is_as_an_independent_decoder_saw_it() {
    for (name, pulls) in RECORDINGS.into_iter().zip([41, 27]) {
        let mut decoder = Decoder::new();
        let seen = decode(&mut decoder, &lines(name));
        let truth = expected(name);
        assert_eq!((seen.len(), truth.len()), (pulls, pulls), "{name}");
        for (seen, truth) in seen.iter().zip(&truth) {
            assert_same(seen, truth);
            assert_eq!(seen.code, Some(truth.code));
            assert_eq!(seen.message.as_ref(), Some(&truth.message));
        }
        assert_eq!(decoder.in_flight().count(), 0);
        assert_eq!(decoder.counters(), pullfuse::wire::Counters::default());
        // Connection 1 is the runtime service's, connection 2 the image service's.
        assert!(decoder.rules_out_pulls(1) && !decoder.rules_out_pulls(2), "{name}");
    }
}

/// Index of the record in which each pull starts.
fn starts(lines: &[Line], truth: &[Expected]) -> Vec<usize> {
    let mut first: BTreeMap<(u64, u64), usize> = BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        first.entry((line.connection, line.t_us)).or_insert(at);
    }
    truth.iter().map(|pull| first[&(pull.connection, pull.start_us)]).collect()
}

#[derive(Debug, Default)]
struct Tally {
    pulls: usize,
    codes: usize,
    messages: usize,
    ruled_out: usize,
}

/// Joins at record `join` and compares with what starts from there on.
fn join(lines: &[Line], truth: &[Expected], starts: &[usize], join: usize, tally: &mut Tally) {
    let mut decoder = Decoder::new();
    let seen = decode(&mut decoder, lines.get(join..).unwrap());
    let after = truth.iter().zip(starts).filter(|(_, start)| **start >= join).map(|(t, _)| t);
    let after: Vec<&Expected> = after.collect();
    assert_eq!(seen.len(), after.len(), "joined at {join}: missed or invented");
    for (seen, truth) in seen.iter().zip(after) {
        assert_same(seen, truth);
        assert!(seen.code.is_none_or(|code| code == truth.code), "joined at {join}: {seen:?}");
        let message = seen.message.as_ref();
        assert!(message.is_none_or(|m| *m == truth.message), "joined at {join}: {seen:?}");
        if truth.code != 0 {
            tally.pulls += 1;
            tally.codes += usize::from(seen.code.is_some());
            tally.messages += usize::from(message.is_some());
        }
    }
    assert_eq!(decoder.in_flight().count(), 0, "joined at {join}");
    assert!(!decoder.rules_out_pulls(2), "joined at {join}");
    tally.ruled_out += usize::from(decoder.rules_out_pulls(1));
}

fn sweep(name: &str) {
    let (lines, truth) = (lines(name), expected(name));
    let starts = starts(&lines, &truth);
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut tally = Tally::default();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= lines.len() {
                return tally;
            }
            join(&lines, &truth, &starts, at, &mut tally);
        }
    };
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let sum = |of: fn(&Tally) -> usize| tallies.iter().map(of).sum::<usize>();
    let (failed, codes, messages) = (sum(|t| t.pulls), sum(|t| t.codes), sum(|t| t.messages));
    println!(
        "{name}: {} joins, runtime service ruled out after {}",
        lines.len(),
        sum(|t| t.ruled_out)
    );
    println!("{name}: {failed} failed pulls, {codes} with code, {messages} with message");
    // Without the rule on the third and fourth field there is almost no text.
    assert!(messages * 5 > failed, "{messages} of {failed}");
}

#[test]
fn joined_late_at_every_record_of_containerd() {
    sweep("containerd-2.4.2");
}

#[test]
fn joined_late_at_every_record_of_cri_o() {
    sweep("cri-o-1.36.3");
}

#[test]
fn no_password_is_ever_held() {
    for name in RECORDINGS {
        let lines = lines(name);
        let plain: Vec<u8> = lines.iter().flat_map(|line| line.data.clone()).collect();
        assert!(tells_secret(&String::from_utf8_lossy(&plain)), "the recording has none");
        let secret = |line: &&Line| tells_secret(&String::from_utf8_lossy(&line.data));
        let with_secret: Vec<usize> = (0..lines.len()).filter(|at| secret(&&lines[*at])).collect();
        for joined in [0, 1, 100, with_secret[0], with_secret[0] + 1] {
            let mut decoder = Decoder::new();
            for (at, line) in lines.iter().enumerate().skip(joined) {
                let seen = decoder.feed(&line.record());
                if !seen.is_empty() || with_secret.contains(&at) {
                    assert!(!tells_secret(&format!("{seen:?}")));
                    assert!(!tells_secret(&format!("{decoder:?}")));
                }
            }
        }
        // Cut within the password, and joined there.
        for at in with_secret {
            let line = &lines[at];
            for cut in (0..line.data.len()).step_by(7) {
                let mut decoder = Decoder::new();
                for line in lines.iter().take(at).filter(|l| l.connection == line.connection) {
                    decoder.feed(&line.record());
                }
                let mut late = Decoder::new();
                let mut record = line.record();
                (record.data, _) = line.data.split_at(cut);
                for decoder in [&mut decoder, &mut late] {
                    decoder.feed(&record);
                    assert!(!tells_secret(&format!("{decoder:?}")), "cut at {cut}");
                }
                record.offset += cut as u64;
                (_, record.data) = line.data.split_at(cut);
                for decoder in [&mut decoder, &mut late, &mut Decoder::new()] {
                    let seen = decoder.feed(&record);
                    assert!(!tells_secret(&format!("{seen:?}{decoder:?}")), "cut at {cut}");
                }
            }
        }
    }
}

/// The same bytes in records of other sizes.
fn recut(lines: &[Line], size: usize) -> Vec<Line> {
    let cut = |line: &Line| {
        let parts = line.data.chunks(size).enumerate();
        let parts = parts.map(|(at, data)| Line {
            offset: line.offset + (at * size) as u64,
            data: data.to_vec(),
            ..line.clone()
        });
        parts.collect::<Vec<_>>()
    };
    lines.iter().flat_map(cut).collect()
}

#[test]
fn it_does_not_matter_how_the_bytes_are_cut() {
    for name in RECORDINGS {
        let lines = image_lines(name);
        let truth = decode(&mut Decoder::new(), &lines);
        for size in [1, 2, 5, 9, 13, 100, 1000] {
            let seen = decode(&mut Decoder::new(), &recut(&lines, size));
            assert_eq!(seen, truth, "{name} in records of {size} bytes");
        }
    }
}

/// Whatever is said of a call is right, or unknown.
fn assert_not_wrong(seen: &Exchange, truth: &[Exchange], at: usize) {
    let same = |t: &&Exchange| t.stream == seen.stream;
    let truth = truth.iter().find(same).unwrap_or_else(|| panic!("invented at {at}: {seen:?}"));
    let texts = |e: &Exchange| {
        let Pull { image, namespace, pod, pod_uid } = e.pull.clone();
        [image, namespace, pod, pod_uid, e.message.clone(), e.code.map(|code| code.to_string())]
    };
    for (seen, truth) in texts(seen).iter().zip(&texts(truth)) {
        assert!(seen.is_none() || seen == truth, "at {at}: {seen:?} for {truth:?}");
    }
    assert_eq!(seen.outcome, truth.outcome, "at {at}");
}

/// A join in the middle of frames: whatever is seen is right, and it settles soon.
#[test]
fn joined_within_frames_nothing_is_wrong() {
    for name in RECORDINGS {
        let lines = image_lines(name);
        let truth = decode(&mut Decoder::new(), &lines);
        let cut = recut(&lines, 61);
        for at in (0..cut.len()).step_by(3) {
            let seen = decode(&mut Decoder::new(), cut.get(at..).unwrap());
            for seen in &seen {
                assert_not_wrong(seen, &truth, at);
            }
            let later = truth.iter().filter(|t| t.start_us > cut[at].t_us + 30_000_000).count();
            assert!(seen.len() >= later, "{name} joined at {at}: {} of {later}", seen.len());
        }
    }
}

/// Records lost here and there: nothing wrong, nothing invented.
#[test]
fn with_any_one_record_lost_nothing_is_wrong() {
    for name in RECORDINGS {
        let lines = image_lines(name);
        let truth = decode(&mut Decoder::new(), &lines);
        for lost in 0..lines.len() {
            let mut decoder = Decoder::new();
            let rest = lines.iter().enumerate().filter(|(at, _)| *at != lost).map(|(_, l)| l);
            let seen = decode(&mut decoder, rest);
            assert!(decoder.counters().gaps <= 1);
            for seen in &seen {
                assert_not_wrong(seen, &truth, lost);
            }
            let unsure = decoder.in_flight().count();
            assert!(seen.len() + 2 >= truth.len(), "{name} without {lost}: {} seen", seen.len());
            assert!(unsure <= 1 && decoder.in_flight().all(|pull| pull.unsure));
        }
    }
}

/// Records that were lost, nobody knows where: then there is a gap of unknown length everywhere.
#[test]
fn with_any_one_record_hidden_nothing_is_wrong() {
    for name in RECORDINGS {
        let lines = image_lines(name);
        let truth = decode(&mut Decoder::new(), &lines);
        for hidden in 1..lines.len() {
            let mut decoder = Decoder::new();
            let (before, rest) = lines.split_at(hidden);
            let mut seen = decode(&mut decoder, before);
            let (lost, after) = rest.split_first().unwrap();
            let moved = |line: &Line| {
                let missing = if line.direction == lost.direction { lost.data.len() } else { 0 };
                let offset = line.offset - missing as u64;
                let started = before.iter().any(|before| before.direction == line.direction);
                // What begins after it seems to have been joined late.
                let gap = if started { UNKNOWN_GAP } else { 1 };
                Line { offset: offset + gap, ..line.clone() }
            };
            seen.extend(decode(&mut decoder, &after.iter().map(moved).collect::<Vec<_>>()));
            for seen in &seen {
                assert_not_wrong(seen, &truth, hidden);
            }
            assert_eq!(decoder.counters().missing_bytes, 0, "how many is unknown");
            assert!(seen.len() + 2 >= truth.len(), "{name} without {hidden}: {} seen", seen.len());
            assert!(decoder.in_flight().all(|pull| pull.unsure));
        }
    }
}
