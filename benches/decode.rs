//! How fast the recordings are decoded: bytes per second, and time per exchange.
#![allow(clippy::unwrap_used, reason = "a benchmark ends where it fails")]
#![allow(missing_docs, reason = "nobody links to a benchmark")]

use std::{hint::black_box, path::PathBuf};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pullfuse::{
    recording::{Line, Recording},
    wire::Decoder,
};

fn lines(name: &str) -> Vec<Line> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/wire");
    let mut recording = Recording::open(&folder.join(format!("{name}.wire.jsonl.gz"))).unwrap();
    std::iter::from_fn(|| recording.next_line().unwrap()).collect()
}

/// Decodes everything and returns the number of exchanges.
fn decode(lines: &[Line]) -> usize {
    let mut decoder = Decoder::new();
    lines.iter().map(|line| decoder.feed(&black_box(line.record())).len()).sum()
}

fn benches(criterion: &mut Criterion) {
    for name in ["containerd-2.4.2", "cri-o-1.36.3"] {
        let all = lines(name);
        // Connection 2 is the image service's, all that is left when the other is not listened to.
        let images: Vec<Line> = all.iter().filter(|line| line.connection == 2).cloned().collect();
        let bytes = |lines: &[Line]| lines.iter().map(|line| line.data.len() as u64).sum();
        let mut group = criterion.benchmark_group("decode");
        group.throughput(Throughput::Bytes(bytes(&all)));
        group.bench_with_input(BenchmarkId::new("both-services", name), &all, |b, lines| {
            b.iter(|| decode(lines));
        });
        group.throughput(Throughput::Bytes(bytes(&images)));
        group.bench_with_input(BenchmarkId::new("image-service", name), &images, |b, lines| {
            b.iter(|| decode(lines));
        });
        group.throughput(Throughput::Elements(decode(&images) as u64));
        group.bench_with_input(BenchmarkId::new("exchanges", name), &images, |b, lines| {
            b.iter(|| decode(lines));
        });
        group.finish();
    }
}

criterion_group!(all, benches);
criterion_main!(all);
