use proptest::prelude::*;

use super::*;

fn pod(state: Option<ImageState>) -> PodFacts {
    PodFacts {
        namespace: "ns".into(),
        name: "p".into(),
        uid: "u".into(),
        resource_version: "1".into(),
        phase: "Pending".into(),
        restart_policy: "Never".into(),
        priority_class: String::new(),
        mirror: false,
        deleting: false,
        judged: false,
        images: state.into_iter().map(|s| ("img".to_owned(), s)).collect(),
    }
}

fn trouble(message: &str) -> Trouble {
    Trouble { reason: "R".into(), message: message.into() }
}

fn failed() -> Option<ImageState> {
    Some(ImageState::Failed(trouble("no such tag")))
}

fn backing_off() -> Option<ImageState> {
    Some(ImageState::BackingOff(trouble("Back-off pulling image")))
}

fn key() -> PullKey {
    PullKey { pod_uid: "u".into(), image: "img".into() }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn attempts(all: &Attempts) -> u32 {
    all.get(&key()).map_or(0, |t| t.attempts)
}

#[test]
fn each_step_into_a_failure_is_one_attempt() {
    let mut all = Attempts::default();
    assert_eq!(all.observe(&pod(failed()), at(1)), [Change::Counted(key())]);
    assert_eq!(all.observe(&pod(failed()), at(2)), [], "the same outcome seen again");
    assert_eq!(all.observe(&pod(backing_off()), at(3)), [Change::Moved(key())]);
    assert_eq!(all.observe(&pod(backing_off()), at(4)), []);
    assert_eq!(all.observe(&pod(failed()), at(15)), [Change::Counted(key())]);
    let tally = all.get(&key()).unwrap();
    assert_eq!((tally.attempts, tally.span()), (2, SignedDuration::from_secs(14)));
    assert_eq!(tally.trouble.message, "no such tag", "the back-off's text is not the cause");
}

#[test]
fn a_back_off_whose_attempts_were_not_seen_counts_nothing() {
    let mut all = Attempts::default();
    assert_eq!(all.observe(&pod(backing_off()), at(1)), []);
    assert_eq!(attempts(&all), 0);
}

#[test]
fn a_success_resets_and_the_next_failure_is_the_first() {
    let mut all = Attempts::default();
    all.observe(&pod(failed()), at(1));
    all.observe(&pod(backing_off()), at(2));
    all.observe(&pod(failed()), at(15));
    let pulled = pod(Some(ImageState::Pulled));
    assert_eq!(all.observe(&pulled, at(20)), [Change::Reset(key(), 2)]);
    assert_eq!(all.observe(&pulled, at(21)), []);
    all.observe(&pod(failed()), at(99));
    assert_eq!(all.get(&key()).unwrap().first_attempt, at(99));
}

#[test]
fn a_restart_does_not_count_the_same_outcome_twice() {
    let mut before = Attempts::default();
    before.observe(&pod(failed()), at(1));
    let mut after = Attempts::new(before.tallies);
    assert_eq!(after.observe(&pod(failed()), at(60)), []);
    after.observe(&pod(backing_off()), at(61));
    after.observe(&pod(failed()), at(62));
    assert_eq!(attempts(&after), 2);
}

#[test]
fn a_refusal_counts_on_the_kubelets_schedule_while_it_lasts() {
    let mut all = Attempts::default();
    all.observe(&pod(Some(ImageState::Refused(trouble("bad name")))), at(0));
    let mut counted_at = Vec::new();
    while attempts(&all) < 8 {
        let due = all.next_tick().unwrap();
        assert_eq!(all.tick(due - SignedDuration::from_secs(1)), []);
        assert_eq!(all.tick(due), [Change::Counted(key())]);
        counted_at.push((due - at(0)).get_seconds());
    }
    assert_eq!(counted_at, [10, 30, 70, 150, 310, 610, 910]);
    all.observe(&pod(Some(ImageState::Pulled)), at(2000));
    assert_eq!((all.tick(at(9999)), all.next_tick()), (vec![], None));
}

#[test]
fn pods_that_are_gone_are_forgotten() {
    let mut all = Attempts::default();
    all.observe(&pod(failed()), at(1));
    assert_eq!(all.retain(|uid| uid == "u"), []);
    assert_eq!(all.retain(|_| false), [Change::Forgotten(key())]);
    assert_eq!(all.iter().count(), 0);
}

proptest! {
    /// Whatever the status shows in whatever order: the count is the number of steps into a
    /// failure since the last success, and never more than the failures seen.
    #[test]
    fn the_count_is_the_steps_into_failure(states in prop::collection::vec(0..4u8, 0..60)) {
        let mut all = Attempts::default();
        let (mut expected, mut last, mut known) = (0, 9, false);
        for (second, &state) in states.iter().enumerate() {
            let seen = match state {
                0 => Some(ImageState::Pulled),
                1 => failed(),
                2 => backing_off(),
                _ => None,
            };
            all.observe(&pod(seen), at(second as i64));
            match state {
                0 => { expected = 0; known = false; last = 9; }
                1 => { if last != 1 { expected += 1; } known = true; last = 1; }
                2 if known => last = 2,
                _ => {}
            }
            prop_assert_eq!(attempts(&all), expected);
        }
    }
}
