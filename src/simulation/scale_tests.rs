use std::{cmp::Reverse, collections::BinaryHeap};

use jiff::SignedDuration;

use super::*;
use crate::fixtures::start;

const PODS: usize = 1000;
const NAMESPACES: usize = 50;
const REGISTRIES: usize = 40;
const HOUR: i64 = 3600;
/// When a kubelet tries, in seconds after the pod was added; then about every five minutes.
const ATTEMPTS: [i64; 7] = [1, 15, 40, 88, 174, 338, 640];
const LATER: i64 = 302;

fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

/// Every third pod's registry is busy; the others' images do not exist.
fn is_missing(pod: usize) -> bool {
    !pod.is_multiple_of(3)
}

fn call(pod: usize, second: i64) -> Call {
    let image = format!("r{}.example/team/app{pod}:1", pod % REGISTRIES);
    let error = if is_missing(pod) {
        format!("rpc error: code = NotFound desc = failed to resolve image: {image}: not found")
    } else {
        let host = format!("r{}.example", pod % REGISTRIES);
        format!("unexpected status from HEAD request to https://{host}/v2/app/manifests/1: 503")
    };
    Call {
        // The order of UIDs is not that of the pods.
        key: PullKey { pod_uid: format!("{:04}", pod * 7919 % PODS), image },
        namespace: format!("ns-{}", pod % NAMESPACES),
        pod: format!("pod-{pod}"),
        started: after(second),
        ended: after(second),
        error: Some(error),
    }
}

/// What an hour has come to.
struct Played {
    simulation: Simulation,
    calls: u64,
    /// Bytes that the ledger would hold for each failing pod, at the most.
    kept: usize,
}

/// A pod is added every second; it calls as long as it is not ended.
fn play(toml: &str) -> Played {
    let settings = Settings::new(crate::config::parse(toml).unwrap());
    let mut simulation = Simulation::new(settings, start());
    let mut next: BinaryHeap<_> =
        (0..PODS).map(|pod| Reverse((pod as i64 + ATTEMPTS[0], pod, 0))).collect();
    let (mut calls, mut kept, mut looked) = (0, 0, 0);
    while let Some(Reverse((second, pod, attempt))) = next.pop().filter(|next| next.0.0 <= HOUR) {
        let call = call(pod, second);
        let key = call.key.clone();
        simulation.pass(call.ended);
        if simulation.fate(&key).is_some_and(Fate::is_verdict) {
            continue;
        }
        simulation.hear(call);
        calls += 1;
        let pause = match ATTEMPTS.get(attempt..attempt + 2) {
            Some(times) => times[1] - times[0],
            None => LATER,
        };
        next.push(Reverse((second + pause, pod, attempt + 1)));
        if second / 300 > looked {
            looked = second / 300;
            kept = kept.max(bytes(simulation.fuse()) / simulation.fuse().attempts().iter().count());
        }
    }
    simulation.pass(after(HOUR));
    Played { simulation, calls, kept }
}

fn bytes(fuse: &Fuse) -> usize {
    let tallies: Vec<_> = fuse.attempts().iter().collect();
    serde_json::to_string(&(tallies, fuse.breaker(), fuse.caps())).unwrap().len()
}

/// Times of the verdicts, in their order, with pod and namespace.
fn verdicts(simulation: &Simulation) -> Vec<(Timestamp, usize, String)> {
    let verdict = |fate: &Fate| match fate.outlook {
        Outlook::Fail { at } => {
            let number = fate.pod.trim_start_matches("pod-").parse().unwrap();
            Some((at, number, fate.namespace.clone()))
        }
        _ => None,
    };
    let mut verdicts: Vec<_> = simulation.fates().filter_map(verdict).collect();
    verdicts.sort();
    verdicts
}

fn most_in_any_window(verdicts: &[(Timestamp, usize, String)], of: Option<&str>) -> usize {
    let mine = || verdicts.iter().filter(|(_, _, name)| of.is_none_or(|of| name == of));
    let window = SignedDuration::from_mins(10);
    mine()
        .map(|(from, ..)| mine().filter(|(at, ..)| at >= from && *at < *from + window).count())
        .max()
        .unwrap_or_default()
}

#[test]
fn a_thousand_failing_pods_are_ended_in_their_order_and_no_faster_than_the_caps_allow() {
    let Played { simulation, calls, kept } = play("[breaker]\nimages = 0");
    let verdicts = verdicts(&simulation);
    assert_eq!(most_in_any_window(&verdicts, None), 30);
    // From the first one's fifth attempt on: six windows, the last one not over.
    assert_eq!(verdicts.len(), 6 * 30);
    assert!(verdicts.iter().map(|(_, pod, _)| pod).is_sorted(), "none is overtaken: {verdicts:?}");
    assert!(verdicts.iter().all(|(_, pod, _)| is_missing(*pod)));
    assert_eq!(verdicts[0].0, after(1 + ATTEMPTS[4] + 5));
    assert_eq!(simulation.fates().count(), PODS);
    // One look for each call, and at all who wait when there is room again.
    let most = calls + (verdicts.len() as u64 + 1) * PODS as u64;
    assert!(simulation.judgements() <= most, "{} for {calls} calls", simulation.judgements());
    assert!(kept < 4096, "{kept} bytes for each pod");
}

#[test]
fn no_namespace_of_a_thousand_failing_pods_goes_beyond_its_own_cap() {
    let toml = "[breaker]\nimages = 0\n[caps]\nper_node = 1000\nper_namespace = 2";
    let Played { simulation, .. } = play(toml);
    let verdicts = verdicts(&simulation);
    for namespace in 0..NAMESPACES {
        let name = format!("ns-{namespace}");
        assert_eq!(most_in_any_window(&verdicts, Some(&name)), 2, "{name}");
    }
}

#[test]
fn forty_registries_that_fail_all_at_once_hold_every_verdict_and_then_let_go() {
    let Played { simulation, calls, .. } = play("[breaker]\nimages = 5\nhold = \"30m\"");
    let verdicts = verdicts(&simulation);
    // The fifth image of the first registry began to fail here.
    let opened = (4 * REGISTRIES) as i64 + ATTEMPTS[0];
    assert!(verdicts[0].0 >= after(opened + 30 * 60), "{:?}", verdicts[0]);
    assert_eq!(most_in_any_window(&verdicts, None), 30);
    let most = calls + (verdicts.len() + 4 * REGISTRIES) as u64 * PODS as u64;
    assert!(simulation.judgements() <= most, "{} for {calls} calls", simulation.judgements());
}
