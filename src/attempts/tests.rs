use proptest::prelude::*;

use super::*;
use crate::fixtures::{failed, key, pod, start, tally, trouble};

fn backing_off() -> ImageState {
    ImageState::BackingOff(trouble("Back-off pulling image"))
}

fn observe(all: &mut Attempts, state: ImageState, second: i64) -> Vec<Change> {
    all.observe(&pod(Some(state)), at(second))
}

fn at(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

fn attempts(all: &Attempts) -> u32 {
    all.get(&key()).map_or(0, |t| t.attempts)
}

#[test]
fn each_step_into_a_failure_is_one_attempt() {
    let mut all = Attempts::default();
    assert_eq!(observe(&mut all, failed(), 1), [Change::Counted(key())]);
    assert_eq!(observe(&mut all, failed(), 2), [], "the same outcome seen again");
    assert_eq!(observe(&mut all, backing_off(), 3), [Change::Moved(key())]);
    assert_eq!(observe(&mut all, backing_off(), 4), []);
    assert_eq!(observe(&mut all, failed(), 15), [Change::Counted(key())]);
    let tally = all.get(&key()).unwrap();
    assert_eq!((tally.attempts, tally.span()), (2, SignedDuration::from_secs(14)));
    assert_eq!(tally.trouble.message, "not found", "the back-off's text is not the cause");
}

#[test]
fn a_back_off_whose_attempts_were_not_seen_counts_nothing() {
    let mut all = Attempts::default();
    assert_eq!(observe(&mut all, backing_off(), 1), []);
    assert_eq!(attempts(&all), 0);
}

#[test]
fn a_success_resets_and_the_next_failure_is_the_first() {
    let mut all = Attempts::default();
    observe(&mut all, failed(), 1);
    observe(&mut all, backing_off(), 2);
    observe(&mut all, failed(), 15);
    let [Change::Reset(reset, tally)] = &observe(&mut all, ImageState::Pulled, 20)[..] else {
        panic!("one reset")
    };
    assert_eq!((reset, tally.attempts), (&key(), 2));
    assert_eq!(observe(&mut all, ImageState::Pulled, 21), []);
    observe(&mut all, failed(), 99);
    assert_eq!(all.get(&key()).unwrap().first_attempt, at(99));
}

#[test]
fn a_restart_does_not_count_the_same_outcome_twice() {
    let mut before = Attempts::default();
    observe(&mut before, failed(), 1);
    let mut after = Attempts::new(before.tallies, before.came);
    assert_eq!(observe(&mut after, failed(), 60), []);
    observe(&mut after, backing_off(), 61);
    observe(&mut after, failed(), 62);
    assert_eq!(attempts(&after), 2);
}

#[test]
fn a_refusal_counts_on_the_kubelets_schedule_while_it_lasts() {
    let mut all = Attempts::default();
    observe(&mut all, ImageState::Refused(trouble("bad name")), 0);
    let mut counted_at = Vec::new();
    while attempts(&all) < 8 {
        let due = all.next_tick().unwrap();
        assert_eq!(all.tick(due - SignedDuration::from_secs(1)), []);
        assert_eq!(all.tick(due), [Change::Counted(key())]);
        counted_at.push((due - at(0)).get_seconds());
    }
    assert_eq!(counted_at, [10, 30, 70, 150, 310, 610, 910]);
    observe(&mut all, ImageState::Pulled, 2000);
    assert_eq!((all.tick(at(9999)), all.next_tick()), (vec![], None));
}

#[test]
fn a_refusal_ends_with_the_pod_and_with_a_corrected_image() {
    let ended = PodFacts { phase: "Failed".into(), ..pod(None) };
    for later in [ended, pod(None)] {
        let mut all = Attempts::default();
        observe(&mut all, ImageState::Refused(trouble("bad name")), 0);
        assert_eq!(all.observe(&later, at(5)), [Change::Moved(key())]);
        assert_eq!((all.tick(at(9999)), all.next_tick(), attempts(&all)), (vec![], None, 1));
    }
}

#[test]
fn pods_that_are_gone_are_forgotten() {
    let mut all = Attempts::default();
    observe(&mut all, failed(), 1);
    assert_eq!(all.retain(|uid| uid == "uid-1"), []);
    let gone: Vec<_> = all.retain(|_| false).into_iter().map(|(key, _)| key).collect();
    assert_eq!(gone, [key()]);
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
                1 => Some(failed()),
                2 => Some(backing_off()),
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

#[test]
fn the_attempts_to_come_are_told_by_the_kubelets_back_off() {
    let after = |tally: &Tally, more: u32| {
        tally.attempt_after(more).map(|at| at.duration_since(tally.last_attempt).as_secs())
    };
    let first = tally(1);
    assert_eq!([1, 2, 3].map(|more| after(&first, more)), [Some(10), Some(30), Some(70)]);
    assert_eq!(after(&tally(5), 1), Some(160));
    assert_eq!(after(&tally(6), 2), Some(600));
    assert_eq!(after(&first, 20), Some(10 + 20 + 40 + 80 + 160 + 15 * 300));
    assert_eq!(after(&first, u32::MAX), None, "past the end of time");
}
