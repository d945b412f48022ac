//! What listening costs those who are not listened to: a system call, and sends over a unix socket
//! that has nothing to do with the runtime. On and off alternate; the least of all batches counts.
//!
//! Made for a virtual machine that counts instructions, `tests/qemu/run.sh cost`, which names the
//! mode; without one, as cargo runs every benchmark, it does nothing. `listening` measures time, and
//! beside a whole node.
#![allow(clippy::unwrap_used, reason = "a benchmark ends where it fails")]
#![allow(missing_docs, reason = "nobody links to a benchmark")]

use std::{
    hint::black_box,
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    time::Instant,
};

use pullfuse::{
    capture::{Capture, Options},
    config,
};
use tempfile::TempDir;

const ROUNDS: usize = 4;
const BATCHES: usize = 100;
/// Few, so that most batches are not interrupted.
const BATCH: u32 = 100;
const SIZES: [(&str, usize); 3] = [("1 byte", 1), ("1 KiB", 1 << 10), ("16 KiB", 16 << 10)];

/// Nanoseconds for each operation.
type Costs = [f64; 1 + SIZES.len()];

/// A connection over a socket that is bound to a file, as most on a node are.
struct Bystander {
    client: UnixStream,
    server: UnixStream,
}

impl Bystander {
    fn connect(folder: &TempDir) -> Self {
        let path = folder.path().join("bystander.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let client = UnixStream::connect(&path).unwrap();
        Self { client, server: listener.accept().unwrap().0 }
    }

    fn send(&mut self, bytes: &mut [u8]) {
        self.client.write_all(bytes).unwrap();
        self.server.read_exact(bytes).unwrap();
    }
}

fn least(mut operation: impl FnMut()) -> f64 {
    let batch = |_| {
        let begin = Instant::now();
        for _ in 0..BATCH {
            operation();
        }
        begin.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH)
    };
    (0..BATCHES).map(batch).fold(f64::INFINITY, f64::min)
}

fn measure(bystander: &mut Bystander) -> Costs {
    let mut costs = [0.0; 1 + SIZES.len()];
    costs[0] = least(|| {
        black_box(rustix::process::getppid());
    });
    for (cost, (_, size)) in costs[1..].iter_mut().zip(SIZES) {
        let mut bytes = vec![7; size];
        *cost = least(|| bystander.send(&mut bytes));
    }
    costs
}

fn keep_least(all: &mut Costs, new: Costs) {
    for (least, new) in all.iter_mut().zip(new) {
        *least = least.min(new);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mode = match std::env::args().nth(1).as_deref() {
        Some("fentry") => config::Capture::Fentry,
        Some("tracepoint") => config::Capture::Tracepoint,
        _ => return,
    };
    let folder = TempDir::new().unwrap();
    let mut bystander = Bystander::connect(&folder);
    let endpoint = folder.path().join("cri.sock");
    let _endpoint = UnixListener::bind(&endpoint).unwrap();
    let options = Options { mode, ..Options::new(vec![endpoint]) };
    let (mut off, mut on) = ([f64::INFINITY; 1 + SIZES.len()], [f64::INFINITY; 1 + SIZES.len()]);
    for round in 0..ROUNDS {
        keep_least(&mut off, measure(&mut bystander));
        let capture = Capture::start(options.clone()).await.unwrap();
        if round == 0 {
            println!("{} mode, ns per operation", capture.mode().as_str());
        }
        keep_least(&mut on, measure(&mut bystander));
        assert_eq!(capture.counters().dropped, 0);
    }
    println!("| operation | off | on | ratio |\n|---|---|---|---|");
    let names = SIZES.map(|(size, _)| format!("{size} over a unix socket, write and read"));
    let names = std::iter::once("getppid".to_owned()).chain(names);
    for ((name, off), on) in names.zip(off).zip(on) {
        println!("| {name} | {off:.0} | {on:.0} | {:.2} |", on / off);
    }
}
