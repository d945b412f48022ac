//! Compares what was recorded with what passed over the connection.
//!
//! In: a recording, the connection's bytes, the credentials in it. Out: where the recording joined,
//! and how many credentials are blanked in it; panics at any other difference. Touches the file.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};

use pullfuse::{recording::Recording, wire::Direction};

use crate::client::{Passed, Tee};

const PREFACE: usize = 24;
const FRAME_HEADER: usize = 9;
const DATA: u8 = 0;
const MARKER: &[u8] = b"MARKER-SECRET";

/// How a recording differs from what passed.
pub(crate) struct Compared {
    /// What had passed before the first byte that was recorded.
    pub(crate) joined: Passed,
    /// Credentials that passed and are blanked.
    pub(crate) blanked: usize,
}

/// The recording must be the end of what passed, but for credentials of the same length.
pub(crate) fn compare(recording: &Path, tee: &Tee, secrets: &[Vec<u8>]) -> Compared {
    let mut streams = read(recording);
    let mut heard = |direction| streams.remove(&direction).unwrap();
    let (to_runtime, to_kubelet) = (heard(Direction::ToRuntime), heard(Direction::ToKubelet));
    let before = |tee: &[u8], heard: &[u8]| tee.len().checked_sub(heard.len()).unwrap();
    let joined = (before(&tee.to_runtime, &to_runtime), before(&tee.to_kubelet, &to_kubelet));
    eprintln!("{} and {} bytes compared", to_runtime.len(), to_kubelet.len());
    assert!(to_kubelet == tee.to_kubelet[joined.1..], "the runtime's bytes differ");

    let secrets = secrets_in(&tee.to_runtime, secrets);
    let mut expected = tee.to_runtime.clone();
    for at in secrets.iter().flatten().filter(|at| **at >= joined.0) {
        // What stands there instead is not the tee's business, but it must not be a credential.
        let filler = to_runtime[at - joined.0];
        assert!([0, 0x78, 0x80].contains(&filler), "a byte of a credential is left: {filler:#x}");
        expected[*at] = filler;
    }
    let differing = to_runtime.iter().zip(&expected[joined.0..]).position(|(a, b)| a != b);
    assert_eq!(differing, None, "the client's bytes differ");
    assert!(!to_runtime.windows(MARKER.len()).any(|bytes| bytes == MARKER));
    Compared { joined, blanked: secrets.len() }
}

/// The recording's only connection, by direction.
fn read(path: &Path) -> HashMap<Direction, Vec<u8>> {
    let mut recording = Recording::open(path).unwrap();
    let mut streams = HashMap::<_, Vec<u8>>::new();
    let mut connections = HashSet::new();
    while let Some(line) = recording.next_line().unwrap() {
        connections.insert(line.connection);
        let stream = streams.entry(line.direction).or_default();
        assert_eq!(line.offset, stream.len() as u64, "a gap or an overlap");
        stream.extend(line.data);
    }
    assert_eq!(connections.len(), 1, "connections heard");
    streams
}

/// Where the bytes of each secret are; frames may cut a request, and so a secret, anywhere.
fn secrets_in(to_runtime: &[u8], secrets: &[Vec<u8>]) -> Vec<Vec<usize>> {
    let mut found = Vec::new();
    for places in bodies(to_runtime) {
        let body: Vec<u8> = places.iter().map(|place| to_runtime[*place]).collect();
        let Some(marker) = body.windows(MARKER.len()).position(|bytes| bytes == MARKER) else {
            continue;
        };
        // The user's name comes first, behind its field's number and length.
        let at = marker - 2;
        let secret = secrets.iter().find(|secret| body[at..].starts_with(secret)).unwrap();
        found.push(places[at..at + secret.len()].to_vec());
    }
    found
}

/// For each request the places of its body's bytes.
fn bodies(to_runtime: &[u8]) -> Vec<Vec<usize>> {
    let mut bodies = BTreeMap::<u32, Vec<usize>>::new();
    let mut at = PREFACE;
    while let Some(header) = to_runtime.get(at..at + FRAME_HEADER) {
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let stream = u32::from_be_bytes(header[5..9].try_into().unwrap());
        let payload = at + FRAME_HEADER..at + FRAME_HEADER + length;
        at = payload.end;
        if header[3] == DATA {
            bodies.entry(stream).or_default().extend(payload);
        }
    }
    assert_eq!(at, to_runtime.len(), "the connection ends within a frame");
    bodies.into_values().collect()
}
