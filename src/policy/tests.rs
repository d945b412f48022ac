use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::fixtures::{failed, pod, start, tally};

fn stuck_pod() -> PodFacts {
    pod(Some(failed()))
}

fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

#[test]
fn both_count_and_time_must_be_reached() {
    let limits = Limits { max_attempts: 3, min_elapsed: SignedDuration::from_secs(60) };
    let of =
        |attempts, seconds| decide(&stuck_pod(), "img", &tally(attempts), &limits, after(seconds));
    assert_eq!(of(2, 999), Decision::Leave(Because::BelowLimit));
    assert_eq!(of(3, 59), Decision::Wait(after(60)));
    assert_eq!(of(3, 60), Decision::Fail);
}

#[test]
fn whoever_is_protected_is_left_alone_however_often_it_failed() {
    type Protect = fn(&mut PodFacts);
    let cases: [(Because, Protect); 11] = [
        (Because::MirrorPod, |p| p.mirror = true),
        (Because::ProtectedNamespace, |p| p.namespace = "kube-system".into()),
        (Because::ProtectedPriority, |p| p.priority_class = "system-node-critical".into()),
        (Because::ProtectedPriority, |p| p.priority_class = "system-cluster-critical".into()),
        (Because::RestartPolicyAlways, |p| p.restart_policy = "Always".into()),
        (Because::Deleting, |p| p.deleting = true),
        (Because::NotPending, |p| p.phase = "Running".into()),
        (Because::NotPending, |p| p.phase = "Succeeded".into()),
        (Because::NotPending, |p| p.phase = String::new()),
        (Because::NotFailing, |p| p.images.clear()),
        (Because::NotFailing, |p| {
            p.images.insert("img".into(), ImageState::Pulled);
        }),
    ];
    for (because, change) in cases {
        let mut pod = stuck_pod();
        change(&mut pod);
        assert_eq!(
            decide(&pod, "img", &tally(99), &Limits::default(), after(9999)),
            Decision::Leave(because)
        );
    }
}

proptest! {
    #[test]
    fn no_verdict_below_either_limit(
        attempts in 0..20u32, max in 1..20u32, elapsed in 0..500i64, min in 0..500i64,
    ) {
        let limits = Limits { max_attempts: max, min_elapsed: SignedDuration::from_secs(min) };
        let decision = decide(&stuck_pod(), "img", &tally(attempts), &limits, after(elapsed));
        prop_assert_eq!(decision == Decision::Fail, attempts >= max && elapsed >= min);
    }
}
