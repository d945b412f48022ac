//! What counting and judging cost, for a node with many failing pods.
#![allow(clippy::unwrap_used, reason = "a benchmark ends where it fails")]
#![allow(missing_docs, reason = "nobody links to a benchmark")]

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiff::{SignedDuration, Timestamp};
use pullfuse::{
    attempts::{Call, PullKey},
    config,
    fuse::Fuse,
    pods::{ImageState, PodFacts, Trouble},
    settings::Settings,
    simulation::Simulation,
};

const REGISTRIES: usize = 40;

fn settings() -> Settings {
    Settings::new(config::parse("[breaker]\nimages = 0").unwrap())
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

fn image(pod: usize) -> String {
    format!("r{}.example/team/app{pod}:1", pod % REGISTRIES)
}

fn error(pod: usize) -> String {
    let image = image(pod);
    format!(
        "rpc error: code = NotFound desc = failed to pull and unpack image \"{image}\": failed to \
         resolve image: {image}: not found"
    )
}

fn call(pod: usize, seconds: i64) -> Call {
    Call {
        key: PullKey { pod_uid: format!("uid-{pod}"), image: image(pod) },
        namespace: format!("ns-{}", pod % 50),
        pod: format!("pod-{pod}"),
        started: at(seconds),
        ended: at(seconds),
        error: Some(error(pod)),
    }
}

fn facts(pod: usize) -> PodFacts {
    let trouble = Trouble { reason: "ErrImagePull".into(), message: error(pod) };
    let (namespace, name) = (format!("ns-{}", pod % 50), format!("pod-{pod}"));
    PodFacts {
        images: [(image(pod), ImageState::Failed(trouble))].into(),
        ..PodFacts::pending(&namespace, &name, &format!("uid-{pod}"))
    }
}

/// A fuse that has seen that many pods fail once.
fn fuse(pods: usize, settings: &Settings) -> Fuse {
    let mut fuse = Fuse::default();
    for pod in 0..pods {
        fuse.observe_call(call(pod, 0), settings, at(0));
    }
    fuse
}

fn benches(criterion: &mut Criterion) {
    let settings = settings();
    let mut group = criterion.benchmark_group("judge");
    for pods in [100, 1000] {
        group.throughput(Throughput::Elements(pods as u64));
        let all: Vec<PodFacts> = (0..pods).map(facts).collect();
        group.bench_with_input(BenchmarkId::new("first-call", pods), &pods, |b, &pods| {
            b.iter(|| black_box(fuse(pods, &settings)));
        });
        group.bench_with_input(BenchmarkId::new("later-call", pods), &pods, |b, &pods| {
            let calls = || (0..pods).map(|pod| call(pod, 60)).collect::<Vec<_>>();
            b.iter_batched(
                || (fuse(pods, &settings), calls()),
                |(mut fuse, calls)| {
                    for call in calls {
                        black_box(fuse.observe_call(call, &settings, at(60)));
                    }
                    fuse
                },
                BatchSize::LargeInput,
            );
        });
        group.bench_with_input(BenchmarkId::new("judgement", pods), &all, |b, all| {
            let mut fuse = fuse(pods, &settings);
            b.iter(|| {
                for pod in all {
                    black_box(fuse.judge(pod, &settings, at(600)));
                }
            });
        });
    }
    group.finish();
    hour(criterion);
}

/// An hour of a thousand failing pods, caps and all.
fn hour(criterion: &mut Criterion) {
    const PODS: usize = 1000;
    const ATTEMPTS: [i64; 17] =
        [1, 15, 40, 88, 174, 338, 640, 942, 1244, 1546, 1848, 2150, 2452, 2754, 3056, 3358, 3600];
    let mut calls: Vec<Call> = (0..PODS)
        .flat_map(|pod| ATTEMPTS.map(|second| call(pod, second + pod as i64 % 60)))
        .collect();
    calls.sort_by_key(|call| call.ended);
    let mut group = criterion.benchmark_group("hour");
    group.sample_size(10).throughput(Throughput::Elements(calls.len() as u64));
    group.bench_function("calls-of-1000-pods", |b| {
        b.iter_batched(
            || calls.clone(),
            |calls| {
                let mut simulation = Simulation::new(settings(), at(0));
                calls.into_iter().for_each(|call| simulation.hear(call));
                simulation.judgements()
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
