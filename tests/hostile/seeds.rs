//! What each reader understands, made of the data of other tests. From these damage and fuzzing start.

use std::io::Read as _;

use flate2::read::GzDecoder;
use k8s_openapi::api::core::v1::Pod;
use prost::Message;
use pullfuse::{
    local::v1,
    recording::{Line, Recording},
    wire::Direction,
};
use serde_json::Value;
use tempfile::NamedTempFile;

/// Longest seed: from longer ones a change seldom leads anywhere.
const LONGEST: usize = 8000;

const CONFIGS: [&[u8]; 5] = [
    include_bytes!("../data/damage/config.toml"),
    include_bytes!("../../daemonset/config.toml"),
    include_bytes!("../../daemonset/components/dry-run/config.toml"),
    include_bytes!("../../daemonset/components/no-ebpf/config.toml"),
    include_bytes!("../../daemonset/components/status-only/config.toml"),
];
const POD: &[u8] = include_bytes!("../data/damage/pod.json");
const VERDICT: &[u8] = include_bytes!("../data/damage/verdict.json");
const BATCH: &[u8] = include_bytes!("../data/damage/batch.jsonl");
const MESSAGES: [&str; 5] = [
    include_str!("../data/pull_errors.jsonl"),
    include_str!("../data/pull_errors_measured.jsonl"),
    include_str!("../data/pull_errors_more.jsonl"),
    include_str!("../data/wire/containerd-2.4.2.expect.jsonl"),
    include_str!("../data/wire/cri-o-1.36.3.expect.jsonl"),
];
const RECORDINGS: [&[u8]; 2] = [
    include_bytes!("../data/wire/containerd-2.4.2.wire.jsonl.gz"),
    include_bytes!("../data/wire/cri-o-1.36.3.wire.jsonl.gz"),
];
const LEDGERS: [&[u8]; 2] = [
    include_bytes!("../data/ledger/v1-first.redb.gz"),
    include_bytes!("../data/ledger/v1-0.1.redb.gz"),
];

pub fn config() -> Vec<Vec<u8>> {
    CONFIGS.map(<[u8]>::to_vec).into()
}

/// A pod as it is, one that may be ended, and what becomes of that one; for each configuration.
pub fn pod() -> Vec<Vec<u8>> {
    let mut pod: Pod = serde_json::from_slice(POD).unwrap();
    let first = serde_json::to_vec(&pod).unwrap();
    pod.metadata.deletion_timestamp = None;
    pod.metadata.annotations = None;
    let mut story = Vec::new();
    for reason in ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImagePull"] {
        let status = pod.status.as_mut().unwrap();
        let container = &mut status.container_statuses.as_mut().unwrap()[0];
        let waiting = container.state.as_mut().unwrap().waiting.as_mut().unwrap();
        waiting.reason = Some(reason.into());
        story.extend(serde_json::to_vec(&pod).unwrap());
    }
    let seed = |config: u8, pods: &[u8]| [&[config], pods].concat();
    (b'0'..=b'2').flat_map(|config| [seed(config, &first), seed(config, &story)]).collect()
}

pub fn verdict() -> Vec<Vec<u8>> {
    vec![VERDICT.to_vec()]
}

pub fn batch() -> Vec<Vec<u8>> {
    vec![BATCH.to_vec()]
}

/// Every message of a runtime that other tests know.
fn messages() -> impl Iterator<Item = String> {
    MESSAGES.iter().flat_map(|file| file.lines()).filter_map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["message"].as_str().filter(|message| !message.is_empty()).map(str::to_owned)
    })
}

pub fn message() -> Vec<Vec<u8>> {
    messages().map(|message| [b"\x80", message.as_bytes()].concat()).collect()
}

/// Some messages, and what carries credentials.
pub fn text() -> Vec<Vec<u8>> {
    let credentials = [
        "Get \"https://me:pw@r/v2/?ns=docker.io&sig=x&amp;x=1\": EOF",
        "map[Authorization:[Bearer abcdef] X-Registry-Auth:[x]] password=x, then token: y",
        "{\\\"identitytoken\\\":\\\"x\\\"} &AuthConfig{Password:x,} eyJhbGciOiJSUzI1NiJ9.x.y",
        "-----BEGIN EC PRIVATE KEY-----\nx\n-----END EC PRIVATE KEY----- ghp_0123456789abcdef",
        "\u{1b}[31mred\u{1b}[0m\t\u{9b}2J\u{202e}\r\n",
    ];
    let all = messages().step_by(7).chain(credentials.map(str::to_owned));
    all.map(|text| [&b"\x40"[..], text.as_bytes()].concat()).collect()
}

/// The lines of a recording that belong to the image service, the second connection.
fn lines(packed: &[u8]) -> Vec<Line> {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), packed).unwrap();
    let mut recording = Recording::open(file.path()).unwrap();
    let all = std::iter::from_fn(|| recording.next_line().unwrap());
    all.filter(|line| line.connection == 2).collect()
}

/// Each recording from its start and from the middle.
pub fn wire() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for lines in RECORDINGS.map(lines) {
        let starts = (0..lines.len()).step_by(40);
        for start in starts {
            let mut seed = vec![u8::from(lines[start].offset > 0)];
            for line in &lines[start..] {
                let pieces = (seed.len() % 60) as u8;
                let way = u8::from(line.direction == Direction::ToKubelet);
                for data in line.data.chunks(usize::from(u16::MAX)) {
                    seed.push(way | pieces << 2);
                    seed.extend((data.len() as u16).to_le_bytes());
                    seed.extend(data);
                }
                if seed.len() > LONGEST {
                    break;
                }
            }
            seeds.push(seed);
        }
    }
    seeds
}

/// Lines as they are, and packed.
pub fn recording() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for packed in RECORDINGS {
        let mut plain = Vec::new();
        for line in lines(packed) {
            let line = serde_json::to_vec(&line).unwrap();
            if plain.len() + line.len() > LONGEST {
                break;
            }
            plain.extend(line);
            plain.push(b'\n');
        }
        seeds.push(plain);
        seeds.push(packed[..4000].to_vec());
    }
    seeds
}

/// The files that [`ledger`](super::ledger) changes.
pub fn ledger_files() -> [Vec<u8>; 2] {
    LEDGERS.map(|packed| {
        let mut file = Vec::new();
        GzDecoder::new(packed).read_to_end(&mut file).unwrap();
        file
    })
}

/// No change; each place of the header, where the rest hangs from; a cut.
pub fn ledger() -> Vec<Vec<u8>> {
    let header = (0..=u8::MAX).step_by(8);
    let changed = header.map(|at| vec![at & 1, at, 0, 0, 8, 1, 0, 0, 0, 0, 0, 0, 0]);
    let cut = vec![1, 0, 0x80, 0, super::ledger::CUT];
    [vec![0], vec![1], cut].into_iter().chain(changed).collect()
}

pub fn answer() -> Vec<Vec<u8>> {
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
    vec![v1::ListPodsResponse { images: vec![image], ..Default::default() }.encode_to_vec()]
}
