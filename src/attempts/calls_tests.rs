use proptest::prelude::*;

use super::*;
use crate::{
    fixtures::{key, pod, start, trouble},
    pods::ImageState,
};

fn at(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

fn call(started: i64, ended: i64, error: Option<&str>) -> Call {
    Call {
        key: key(),
        namespace: "batch".into(),
        pod: "p".into(),
        started: at(started),
        ended: at(ended),
        error: error.map(str::to_owned),
    }
}

fn fails(all: &mut Attempts, started: i64, ended: i64) -> Option<Change> {
    all.observe_call(call(started, ended, Some("")))
}

fn shows(all: &mut Attempts, state: ImageState, second: i64) -> Vec<Change> {
    all.observe(&pod(Some(state)), at(second))
}

fn failed() -> ImageState {
    ImageState::Failed(trouble("from the status"))
}

fn backing_off() -> ImageState {
    ImageState::BackingOff(trouble("Back-off"))
}

fn attempts(all: &Attempts) -> u32 {
    all.get(&key()).map_or(0, |tally| tally.attempts)
}

#[test]
fn several_credentials_are_one_attempt() {
    let mut all = Attempts::default();
    assert_eq!(fails(&mut all, 0, 1), Some(Change::Counted(key())));
    assert_eq!(fails(&mut all, 1, 2), Some(Change::Moved(key())));
    assert_eq!(fails(&mut all, 13, 14), Some(Change::Counted(key())));
    assert_eq!(attempts(&all), 2);
}

#[test]
fn what_the_status_shows_of_a_counted_call_is_no_second_attempt_and_tells_the_text() {
    let mut all = Attempts::default();
    fails(&mut all, 0, 1);
    assert_eq!(shows(&mut all, failed(), 2), [Change::Moved(key())]);
    assert_eq!(all.get(&key()).unwrap().trouble.message, "from the status");
    shows(&mut all, backing_off(), 12);
    fails(&mut all, 15, 16);
    // However late, as after an absence of the API server.
    assert_eq!(shows(&mut all, failed(), 90), [Change::Moved(key())]);
    assert_eq!(attempts(&all), 2);
    assert_eq!(all.get(&key()).unwrap().source, Source::Wire);
}

#[test]
fn the_status_may_be_seen_before_the_call() {
    let mut all = Attempts::default();
    assert_eq!(shows(&mut all, failed(), 2), [Change::Counted(key())]);
    assert_eq!(fails(&mut all, 0, 1), Some(Change::Moved(key())));
    shows(&mut all, backing_off(), 12);
    assert_eq!(fails(&mut all, 15, 16), Some(Change::Counted(key())));
    assert_eq!(attempts(&all), 2);
}

#[test]
fn a_status_that_lags_behind_by_several_attempts_counts_none_of_them_again() {
    let mut all = Attempts::default();
    for attempt in 0..3 {
        fails(&mut all, attempt * 15, attempt * 15 + 1);
    }
    for shown in 0..3 {
        assert_eq!(shows(&mut all, failed(), 60 + shown), [Change::Moved(key())]);
        shows(&mut all, backing_off(), 60 + shown);
    }
    assert_eq!(attempts(&all), 3);
}

#[test]
fn what_the_status_still_shows_when_the_image_has_come_is_no_attempt() {
    let mut all = Attempts::default();
    fails(&mut all, 0, 1);
    assert!(matches!(all.observe_call(call(15, 16, None)), Some(Change::Reset(..))));
    assert_eq!(shows(&mut all, failed(), 17), [], "the first attempt, told late");
    assert_eq!(shows(&mut all, backing_off(), 18), []);
    assert_eq!(shows(&mut all, failed(), 19), [], "a label was changed meanwhile");
    // Another container needs the image too, and now it is gone.
    assert_eq!(fails(&mut all, 20, 21), Some(Change::Counted(key())));
    shows(&mut all, failed(), 22);
    assert_eq!(attempts(&all), 1);
}

#[test]
fn a_success_heard_long_ago_hides_no_attempt_that_only_the_status_shows() {
    for pulled in [true, false] {
        let mut all = Attempts::default();
        fails(&mut all, 0, 1);
        all.observe_call(call(15, 16, None));
        if pulled {
            shows(&mut all, ImageState::Pulled, 17);
        }
        assert_eq!(
            shows(&mut all, failed(), if pulled { 18 } else { 90 }),
            [Change::Counted(key())]
        );
    }
}

#[test]
fn a_status_seen_late_on_a_busy_node_is_of_the_calls_before_it() {
    let mut all = Attempts::default();
    // Only now it is the agent's turn, which then happens to look at the pod's status first.
    for _ in 0..2 {
        assert_eq!(shows(&mut all, failed(), 70), [Change::Counted(key())]);
        shows(&mut all, backing_off(), 70);
    }
    for attempt in 0..2 {
        let started = attempt * 15;
        // With one credential and with another.
        assert_eq!(fails(&mut all, started, started + 1), Some(Change::Moved(key())));
        assert_eq!(fails(&mut all, started + 1, started + 2), Some(Change::Moved(key())));
    }
    let tally = all.get(&key()).unwrap();
    assert_eq!((tally.attempts, tally.first_attempt, tally.last_attempt), (2, at(1), at(16)));
    assert_eq!(fails(&mut all, 45, 46), Some(Change::Counted(key())));
}

#[test]
fn the_status_fills_in_what_the_wire_missed() {
    let mut all = Attempts::default();
    fails(&mut all, 0, 1);
    shows(&mut all, failed(), 2);
    shows(&mut all, backing_off(), 12);
    // A gap: the second call was not seen.
    assert_eq!(shows(&mut all, failed(), 17), [Change::Counted(key())]);
    shows(&mut all, backing_off(), 30);
    fails(&mut all, 40, 41);
    shows(&mut all, failed(), 42);
    assert_eq!(attempts(&all), 3);
}

#[test]
fn a_success_on_the_wire_resets() {
    let mut all = Attempts::default();
    fails(&mut all, 0, 1);
    let Some(Change::Reset(reset, tally)) = all.observe_call(call(15, 16, None)) else { panic!() };
    assert_eq!((reset, tally.attempts, tally.source), (key(), 1, Source::Wire));
    assert_eq!(all.observe_call(call(30, 31, None)), None);
}

/// As it is kept in the ledger.
fn restarted(all: &Attempts) -> Attempts {
    let kept: Vec<_> = all.tallies.iter().collect();
    let text = serde_json::to_string(&(kept, all.came())).unwrap();
    let (tallies, came): (Vec<(PullKey, Tally)>, _) = serde_json::from_str(&text).unwrap();
    Attempts::new(tallies.into_iter().collect(), came)
}

#[test]
fn a_status_of_before_the_success_counts_nothing_not_even_after_a_restart() {
    for restarts in [false, true] {
        let again = |all| if restarts { restarted(&all) } else { all };
        let mut all = Attempts::default();
        fails(&mut all, 0, 1);
        all.observe_call(call(15, 16, None));
        all = again(all);
        assert_eq!(shows(&mut all, failed(), 20), []);
        all = again(all);
        assert_eq!(shows(&mut all, failed(), 600), [], "a watch that was closed tells it again");
        shows(&mut all, backing_off(), 601);
        all = again(all);
        assert_eq!(attempts(&all), 0);
        assert_eq!(shows(&mut all, failed(), 680), [Change::Counted(key())]);
        all = again(all);
        assert_eq!(shows(&mut all, failed(), 690), []);
        assert_eq!(attempts(&all), 1);
    }
}

#[test]
fn what_the_status_showed_already_at_the_success_is_no_attempt_after_it() {
    let mut all = Attempts::default();
    fails(&mut all, 0, 1);
    shows(&mut all, failed(), 2);
    all.observe_call(call(15, 16, None));
    assert_eq!(shows(&mut all, failed(), 600), []);
}

#[test]
fn soon_after_a_success_only_calls_count_for_nobody_knows_of_when_a_status_is() {
    for restarts in [false, true] {
        let again = |all| if restarts { restarted(&all) } else { all };
        let mut all = Attempts::default();
        fails(&mut all, 0, 1);
        all.observe_call(call(15, 16, None));
        fails(&mut all, 30, 31);
        // That of the first attempt, then that of the second, and one told again.
        for at in [32, 34, 50] {
            all = again(all);
            shows(&mut all, failed(), at);
            shows(&mut all, backing_off(), at + 1);
            assert_eq!(attempts(&all), 1);
        }
        assert_eq!(all.get(&key()).unwrap().trouble, trouble("from the status"));
        fails(&mut all, 60, 61);
        all = again(all);
        shows(&mut all, failed(), 90);
        shows(&mut all, backing_off(), 91);
        assert_eq!(attempts(&all), 2);
        assert_eq!(shows(&mut all, failed(), 230), [Change::Counted(key())], "nobody heard it");
        assert_eq!(attempts(&all), 3);
    }
}

#[test]
fn a_call_soon_after_a_success_is_counted_once_however_late_its_status() {
    for restarts in [false, true] {
        let mut all = Attempts::default();
        fails(&mut all, 0, 1);
        all.observe_call(call(15, 16, None));
        fails(&mut all, 30, 31);
        if restarts {
            all = restarted(&all);
        }
        assert_eq!(shows(&mut all, failed(), 95), [Change::Moved(key())]);
        assert_eq!(attempts(&all), 1);
    }
}

#[test]
fn what_a_pod_no_longer_shows_it_may_show_anew() {
    let mut all = Attempts::default();
    fails(&mut all, 0, 1);
    shows(&mut all, failed(), 2);
    all.observe_call(call(15, 16, None));
    all.observe(&pod(None), at(100));
    assert_eq!(shows(&mut all, failed(), 110), [Change::Counted(key())]);
}

#[test]
fn a_refusal_needs_no_call_so_no_success_hides_it() {
    let mut all = Attempts::default();
    fails(&mut all, 0, 1);
    all.observe_call(call(15, 16, None));
    let refused = || ImageState::Refused(trouble("never"));
    assert_eq!(shows(&mut all, refused(), 20), [Change::Counted(key())]);
    assert!(all.next_tick().is_some());
    fails(&mut all, 40, 41);
    assert_eq!((attempts(&all), all.next_tick()), (2, None), "now the calls count");
}

#[test]
fn another_success_is_as_good_as_the_first() {
    let mut all = Attempts::default();
    fails(&mut all, 0, 1);
    all.observe_call(call(15, 16, None));
    all.observe_call(call(64, 65, None));
    assert_eq!(shows(&mut all, failed(), 100), []);
}

#[test]
fn a_success_that_is_dated_in_the_future_hides_no_attempt() {
    let mut all = Attempts::default();
    fails(&mut all, 0, 1);
    all.observe_call(call(1_000_000, 1_000_001, None));
    assert_eq!(shows(&mut all, failed(), 20), [Change::Counted(key())]);
}

proptest! {
    /// Wire and status each tell every attempt in order, and the agent takes in either whenever it
    /// has the time.
    #[test]
    fn how_long_the_agent_waits_for_its_turn_counts_no_attempt_twice_and_loses_none(
        calls in prop::collection::vec(1..=3i64, 1..20),
        turns in prop::collection::vec((any::<bool>(), 0..100i64), 0..200),
    ) {
        let mut all = Attempts::default();
        let (mut told, mut shown, mut now) = (0, 0, 0);
        let ended = |attempt: usize| attempt as i64 * 15 + calls[attempt];
        let tell = |all: &mut Attempts, attempt: usize| {
            for call in 0..calls[attempt] {
                let started = attempt as i64 * 15 + call;
                fails(all, started, started + 1);
            }
        };
        let show = |all: &mut Attempts, now: i64| {
            shows(all, failed(), now);
            shows(all, backing_off(), now);
        };
        for (status, later) in turns {
            now += later;
            if status && shown < calls.len() && ended(shown) <= now {
                show(&mut all, now);
                shown += 1;
            } else if !status && told < calls.len() && ended(told) <= now {
                tell(&mut all, told);
                told += 1;
            }
            prop_assert_eq!(attempts(&all) as usize, told.max(shown));
        }
    }

    /// Attempts at least 10 s apart, each of one to three calls, each seen by the wire, the
    /// status or both: every one of them counts once.
    #[test]
    fn each_attempt_counts_once_whoever_saw_it(
        seen in prop::collection::vec((any::<bool>(), any::<bool>(), 1..=3i64, 0..3i64), 1..20),
    ) {
        let mut all = Attempts::default();
        let mut expected = 0;
        for (number, &(wire, status, calls, lag)) in seen.iter().enumerate() {
            let now = number as i64 * 15;
            if wire {
                for call in 0..calls {
                    fails(&mut all, now + call, now + call);
                }
            }
            if status {
                shows(&mut all, failed(), now + calls + lag);
                shows(&mut all, backing_off(), now + 12);
            }
            expected += u32::from(wire || status);
            // A status that never showed a call must not swallow a later attempt of its own: it
            // may, once, and then the count is one short, never one too many.
            prop_assert!(attempts(&all) <= expected);
            if seen.iter().take(number + 1).all(|&(wire, status, ..)| wire || !status) {
                prop_assert_eq!(attempts(&all), expected);
            }
        }
    }
}
