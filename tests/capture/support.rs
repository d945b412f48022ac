//! A private socket pair, and what the capture hears of it.

use std::{
    collections::HashMap,
    io::Read,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use memchr::memmem;
use pullfuse::{
    capture::{Capture, Direction, Heard, Match, Options, Record},
    config,
};
use tempfile::TempDir;
use tokio::time::timeout;

/// Connections by number, each with the bytes of both directions.
type Streams = HashMap<(u64, Direction), Vec<u8>>;

pub struct Pair {
    pub folder: TempDir,
    pub listener: UnixListener,
}

impl Pair {
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let listener = UnixListener::bind(folder.path().join("cri.sock")).unwrap();
        Self { folder, listener }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("cri.sock")
    }

    /// A client and what the server accepted.
    pub fn connect(&self) -> (UnixStream, UnixStream) {
        let client = UnixStream::connect(self.path()).unwrap();
        (client, self.listener.accept().unwrap().0)
    }
}

/// The mode may be given, so that a machine that offers several can try each.
pub fn options(endpoints: Vec<PathBuf>) -> Options {
    let mode = match std::env::var("PULLFUSE_TEST_CAPTURE").as_deref() {
        Ok("fentry") => config::Capture::Fentry,
        Ok("tracepoint") => config::Capture::Tracepoint,
        _ => config::Capture::Auto,
    };
    Options { mode, ..Options::new(endpoints) }
}

pub async fn hear(path: &Path, by: Match) -> Capture {
    let mut options = options(vec![path.to_owned()]);
    options.by = by;
    options.ring_bytes = 64 << 20;
    let capture = Capture::start(options).await.unwrap();
    eprintln!("mode {:?}, refused {:?}", capture.mode(), capture.refused());
    capture
}

/// Hears what is sent until nothing more comes.
pub async fn drain(capture: &mut Capture) -> Vec<Record> {
    let mut all = Vec::new();
    while let Ok(heard) = timeout(Duration::from_millis(300), capture.next()).await {
        if let Heard::Sent(record) = heard.unwrap() {
            all.push(record);
        }
    }
    // What a gap is owed to.
    eprintln!("{}", capture.counters());
    all
}

/// Puts the records together; a gap fails.
pub fn streams(records: Vec<Record>) -> Streams {
    let whole = pieces(records).into_iter().map(|(direction, pieces)| {
        assert_eq!(pieces.len(), 1, "a gap or an overlap");
        (direction, pieces.concat())
    });
    whole.collect()
}

/// Puts the records together, up to each gap; the first piece is what comes before any.
pub fn pieces(records: Vec<Record>) -> HashMap<(u64, Direction), Vec<Vec<u8>>> {
    let mut ends = HashMap::new();
    let mut all = HashMap::new();
    for record in records {
        let direction = (record.connection, record.direction);
        let pieces = all.entry(direction).or_insert_with(|| vec![Vec::new()]);
        let end = ends.insert(direction, record.offset + record.data.len() as u64).unwrap_or(0);
        match pieces.last_mut().filter(|_| end == record.offset) {
            Some(piece) => piece.extend(record.data),
            None => pieces.push(record.data),
        }
    }
    all
}

/// Whether these are pieces of what was sent, in its order.
pub fn are_pieces_of(pieces: &[Vec<u8>], mut sent: &[u8]) -> bool {
    pieces.iter().all(|piece| {
        let at = memmem::find(sent, piece);
        sent = at.map_or(&[], |at| &sent[at + piece.len()..]);
        at.is_some()
    })
}

/// Bytes that say where they belong: no piece looks like another.
pub fn pattern(seed: u64, length: usize) -> Vec<u8> {
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
pub fn reader(mut end: UnixStream) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        end.read_to_end(&mut all).unwrap();
        all
    })
}

async fn next(capture: &mut Capture) -> Heard {
    timeout(Duration::from_secs(5), capture.next()).await.unwrap().unwrap()
}

/// The next bytes.
pub async fn drain_one(capture: &mut Capture) -> Record {
    loop {
        if let Heard::Sent(record) = next(capture).await {
            return record;
        }
    }
}

/// The connection that ends next.
pub async fn closed(capture: &mut Capture) -> u64 {
    loop {
        if let Heard::Closed { connection, .. } = next(capture).await {
            return connection;
        }
    }
}
