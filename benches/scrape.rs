//! What one scrape of `/metrics` costs the agent: time of its thread on a processor, for a quiet node, a
//! busy one, and one whose series are at their bounds. The scraper is a thread of its own, and not counted.
#![allow(clippy::unwrap_used, reason = "a benchmark ends where it fails")]
#![allow(missing_docs, reason = "nobody links to a benchmark")]

use std::{
    fs,
    hint::black_box,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use pullfuse::{
    metrics::{Kind, PREFIX, Spec, table},
    serve::{Health, Server},
};

/// Registries with failed attempts, classes of each, namespaces of each.
const NODES: [(&str, [usize; 3]); 3] =
    [("quiet node", [0, 0, 1]), ("busy node", [10, 3, 1]), ("at the bounds", [22, 31, 1])];
const BUCKETS: [f64; 11] = [0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0];
const FORMATS: [(&str, &str); 2] =
    [("OpenMetrics", "application/openmetrics-text"), ("text", "text/plain")];

/// Values of a label on such a node.
fn values(label: &str, [registries, classes, namespaces]: [usize; 3]) -> Vec<String> {
    let named = |name: &str, number| (0..number).map(|n| format!("{name}{n}")).collect();
    match label {
        "registry" => named("registry-of-team.example.com:5000/", registries),
        "class" => named("connection_refused", classes),
        "pod_namespace" if namespaces == 1 => vec![String::new()],
        "pod_namespace" => named("team-namespace-", namespaces),
        "source" => vec!["wire".into()],
        "write" => named("status", 2),
        _ => named("value_", 3),
    }
}

/// Every combination of the labels' values.
fn combinations(labels: &[&str], node: [usize; 3]) -> Vec<Vec<String>> {
    labels.iter().fold(vec![Vec::new()], |all, label| {
        let values = values(label, node);
        let with = |one: &Vec<String>| {
            values
                .iter()
                .map(|value| [&one[..], std::slice::from_ref(value)].concat())
                .collect::<Vec<_>>()
        };
        all.iter().flat_map(with).collect()
    })
}

/// Registers a family with its series.
fn register(registry: &mut Registry, spec: &Spec, node: [usize; 3]) {
    macro_rules! series {
        ($new:expr) => {{
            let series = spec.series(registry, $new);
            for values in combinations(spec.labels, node) {
                let values: Vec<_> = values.iter().map(String::as_str).collect();
                match values[..] {
                    [] => drop(series.with([])),
                    [a] => drop(series.with([a])),
                    [a, b] => drop(series.with([a, b])),
                    [a, b, c] => drop(series.with([a, b, c])),
                    [a, b, c, d] => drop(series.with([a, b, c, d])),
                    _ => unreachable!("no family has more labels"),
                }
            }
        }};
    }
    match spec.kind {
        Kind::Counter => series!(Counter::<u64>::default),
        Kind::Gauge | Kind::Info => series!(Gauge::<i64>::default),
        Kind::Histogram => series!(|| Histogram::new(BUCKETS)),
    }
}

/// An agent's server on a thread of its own, as in the agent; returns its address and its thread.
fn serve(node: [usize; 3]) -> (SocketAddr, i32) {
    let mut registry = Registry::with_prefix(PREFIX);
    let health = Health::new(&mut registry, &["pods"]);
    let others = table::ALL.iter().filter(|spec| spec.name != table::DEGRADED.name);
    others.for_each(|spec| register(&mut registry, spec, node));
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio.block_on(async {
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let server = Server::bind(port).await.unwrap();
            tell.send((port, rustix::thread::gettid().as_raw_nonzero().get())).unwrap();
            server.run(Arc::new(registry), health).await.unwrap();
        });
    });
    told.recv().unwrap()
}

/// How long a thread of this process was on a processor.
fn on_processor(thread: i32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

/// Scrapes as Prometheus does, over one connection.
struct Scraper {
    answers: BufReader<TcpStream>,
    question: String,
    body: Vec<u8>,
}

impl Scraper {
    fn connect(address: SocketAddr, accept: &str) -> Self {
        let question = format!("GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n");
        let answers = BufReader::new(TcpStream::connect(address).unwrap());
        answers.get_ref().set_nodelay(true).unwrap();
        Self { answers, question, body: Vec::new() }
    }

    fn scrape(&mut self) -> &[u8] {
        self.answers.get_mut().write_all(self.question.as_bytes()).unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.answers.read_line(&mut line).unwrap();
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().unwrap();
                }
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        self.body.resize(length, 0);
        self.answers.read_exact(&mut self.body).unwrap();
        &self.body
    }
}

fn scrape(c: &mut Criterion) {
    let mut group = c.benchmark_group("scrape");
    for (name, node) in NODES {
        let (address, thread) = serve(node);
        for (format, accept) in FORMATS {
            let mut scraper = Scraper::connect(address, accept);
            let body = scraper.scrape();
            let series = body.split(|byte| *byte == b'\n');
            let series = series.filter(|line| line.first().is_some_and(|first| *first != b'#'));
            println!("{name}, {format}: {} series, {} bytes", series.count(), body.len());
            group.throughput(Throughput::Bytes(body.len() as u64));
            group.bench_function(BenchmarkId::new(format, name), |bencher| {
                bencher.iter_custom(|times| {
                    let before = on_processor(thread);
                    (0..times).for_each(|_| _ = black_box(scraper.scrape()));
                    on_processor(thread) - before
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, scrape);
criterion_main!(benches);
