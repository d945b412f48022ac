//! What listening costs others: a question to a real containerd as the kubelet asks it, a unix
//! socket, and system calls that have nothing to do with it. Listening and not listening take turns.
//!
//! Needs root, and a kernel that allows the capture. `cargo bench --bench listening`
#![allow(clippy::unwrap_used, reason = "a benchmark ends where it fails")]
#![allow(missing_docs, reason = "nobody links to a benchmark")]

use std::{
    fs::File,
    hint::black_box,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use pullfuse::{
    capture::{Capture, Heard, Options},
    config::Endpoint,
    runtime::Runtime,
    wire::{Decoder, Record},
};
use pullfuse_rig::{CONTAINERD_SOCKET, FINE_IMAGE, Rig};
use tokio::sync::oneshot;

const ROUNDS: usize = 30;
const QUESTIONS: usize = 300;
const CALLS: u32 = 20_000;

/// Returns the nanoseconds that one call took.
type Operation<'a> = Box<dyn FnMut() -> f64 + 'a>;

/// A thread that listens as the agent does, until dropped.
struct Listening {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Listening {
    fn start(socket: &Path) -> Self {
        let socket = socket.to_owned();
        let (stop, stopped) = oneshot::channel();
        let (begun, ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let mut capture = Capture::start(Options::new(vec![socket])).await.unwrap();
                begun.send(capture.mode()).unwrap();
                let mut decoder = Decoder::new();
                let listening = async {
                    loop {
                        let Heard::Sent(heard) = capture.next().await.unwrap() else { continue };
                        let record = Record {
                            t_us: heard.t_us,
                            connection: heard.connection,
                            direction: heard.direction.into(),
                            offset: heard.offset,
                            data: &heard.data,
                        };
                        black_box(decoder.feed(&record));
                    }
                };
                tokio::select! {
                    () = listening => {}
                    _ = stopped => {}
                }
            });
        });
        ready.recv().unwrap();
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Nanoseconds per call.
fn each(mut call: impl FnMut()) -> f64 {
    let begin = Instant::now();
    (0..CALLS).for_each(|_| call());
    begin.elapsed().as_nanos() as f64 / f64::from(CALLS)
}

fn pair(bytes: usize) -> impl FnMut() {
    let (mut client, mut server) = UnixStream::pair().unwrap();
    let (data, mut space) = (vec![7; bytes], vec![0; bytes]);
    move || {
        client.write_all(&data).unwrap();
        server.read_exact(&mut space).unwrap();
    }
}

/// The median of many questions, in nanoseconds.
fn image_status(tokio: &tokio::runtime::Runtime, runtime: &Runtime) -> f64 {
    let asked = |_| {
        let begin = Instant::now();
        tokio.block_on(runtime.has_image(FINE_IMAGE)).unwrap();
        begin.elapsed().as_nanos() as f64
    };
    median((0..QUESTIONS).map(asked).collect())
}

fn main() {
    // `cargo test` runs every benchmark's program once; this one says nothing about right or wrong.
    if !std::env::args().any(|word| word == "--bench") {
        return;
    }
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let rig = tokio.block_on(Rig::start(pullfuse_rig::Options::default())).unwrap();
    let socket = rig.host_path(CONTAINERD_SOCKET);
    let runtime = Runtime::new(Endpoint::Unix(socket.clone()));
    tokio.block_on(runtime.probe()).unwrap();

    let mut null = File::create("/dev/null").unwrap();
    let (mut one, mut many) = (pair(1), pair(16 << 10));
    let mut operations: [(&str, Operation<'_>); 5] = [
        ("ImageStatus, asked of containerd", Box::new(|| image_status(&tokio, &runtime))),
        ("getppid", Box::new(|| each(|| _ = black_box(rustix::process::getppid())))),
        ("1 byte to /dev/null", Box::new(|| each(|| null.write_all(&[7]).unwrap()))),
        ("1 byte over another unix socket", Box::new(|| each(&mut one))),
        ("16 KiB over another unix socket", Box::new(|| each(&mut many))),
    ];
    // Per operation, not listening and listening.
    let mut taken = vec![[Vec::new(), Vec::new()]; operations.len()];
    for round in 0..ROUNDS {
        for turn in 0..2 {
            let on = (round + turn) % 2;
            let _listening = (on == 1).then(|| Listening::start(&socket));
            std::thread::sleep(Duration::from_millis(20));
            for ((_, operation), taken) in operations.iter_mut().zip(&mut taken) {
                taken[on].push(operation());
            }
        }
    }
    let listening = tokio.block_on(Capture::start(Options::new(vec![socket]))).unwrap();
    println!("mode {}, median of {ROUNDS} rounds", listening.mode().as_str());
    println!("{:<34} {:>10} {:>10} {:>6}", "operation", "off, ns", "on, ns", "ratio");
    for ((name, _), [off, on]) in operations.into_iter().zip(taken) {
        let (off, on) = (median(off), median(on));
        println!("{name:<34} {off:>10.0} {on:>10.0} {:>6.2}", on / off);
    }
    tokio.block_on(rig.stop()).unwrap();
}
