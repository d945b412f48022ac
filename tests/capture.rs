//! The kernel side against a private socket pair: what it hands over is compared with what was sent.
//!
//! Needs root, and a kernel with BTF.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]
#![allow(missing_docs, reason = "nobody links to a test")]

use std::{
    collections::HashMap,
    io::{IoSlice, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use pullfuse::capture::{Capture, Direction, Match, Options, Record};
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
use tempfile::TempDir;
use tokio::time::timeout;

/// Connections by number, each with the bytes of both directions.
type Streams = HashMap<(u64, Direction), Vec<u8>>;

struct Pair {
    folder: TempDir,
    listener: UnixListener,
}

impl Pair {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let listener = UnixListener::bind(folder.path().join("cri.sock")).unwrap();
        Self { folder, listener }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("cri.sock")
    }

    /// A client and what the server accepted.
    fn connect(&self) -> (UnixStream, UnixStream) {
        let client = UnixStream::connect(self.path()).unwrap();
        (client, self.listener.accept().unwrap().0)
    }
}

async fn hear(path: &Path, by: Match) -> Capture {
    let mut options = Options::new(vec![path.to_owned()]);
    options.by = by;
    options.ring_bytes = 64 << 20;
    let capture = Capture::start(options).await.unwrap();
    eprintln!("mode {:?}, refused {:?}", capture.mode(), capture.refused());
    capture
}

/// Hears until nothing more comes.
async fn drain(capture: &mut Capture) -> Vec<Record> {
    let mut all = Vec::new();
    while let Ok(record) = timeout(Duration::from_millis(300), capture.next()).await {
        all.push(record.unwrap());
    }
    all
}

/// Puts the records together; a gap fails.
fn streams(records: Vec<Record>) -> Streams {
    let mut streams = Streams::new();
    for record in records {
        let stream = streams.entry((record.connection, record.direction)).or_default();
        assert_eq!(record.offset, stream.len() as u64, "a gap or an overlap");
        stream.extend(record.data);
    }
    streams
}

/// Bytes that say where they belong: no piece looks like another.
fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(length).collect()
}

/// Reads everything that is sent to this end, on a thread of its own.
fn reader(mut end: UnixStream) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        end.read_to_end(&mut all).unwrap();
        all
    })
}

const SIZES: [usize; 14] =
    [1, 2, 7, 100, 4095, 4096, 16_383, 16_384, 16_385, 32_768, 65_536, 100_000, 500_000, 1 << 20];

#[tokio::test]
async fn every_way_and_size_of_sending_is_heard_byte_for_byte() {
    let pair = Pair::new();
    let mut capture = hear(&pair.path(), Match::Inode).await;
    let (client, server) = pair.connect();
    let got = reader(server);
    let mut sent = Vec::new();
    for (round, size) in SIZES.into_iter().enumerate() {
        let bytes = pattern(round as u64 + 1, size);
        (&client).write_all(&bytes).unwrap();
        sent.extend(&bytes);

        let n = send(&client, &bytes, SendFlags::empty()).unwrap();
        sent.extend(&bytes[..n]);

        // Segments of odd sizes, an empty one among them.
        let (a, rest) = bytes.split_at(size / 3);
        let (b, c) = rest.split_at(rest.len() / 2);
        let segments = [a, b, &[], c].map(IoSlice::new);
        let n = (&client).write_vectored(&segments).unwrap();
        sent.extend(&bytes[..n]);
        let n =
            sendmsg(&client, &segments, &mut SendAncillaryBuffer::default(), SendFlags::empty())
                .unwrap();
        sent.extend(&bytes[..n]);
    }
    drop(client);
    assert!(got.join().unwrap() == sent, "the socket itself lost something");
    let heard = streams(drain(&mut capture).await);
    assert_eq!(heard.len(), 1, "{:?}", heard.keys());
    let ((_, direction), bytes) = heard.into_iter().next().unwrap();
    assert_eq!(direction, Direction::ToServer);
    assert!(bytes == sent, "heard {} bytes, sent {}", bytes.len(), sent.len());
    eprintln!("{:?}", capture.counters());
}
