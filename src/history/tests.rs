use super::*;
use crate::fixtures::{key, start};

fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

/// The kubelet's own instants of attempts.
fn episode(class: Class, attempts: usize, ended: Option<(i64, End)>) -> Episode {
    let instants = [1, 15, 40, 88, 174, 338, 640];
    let attempt = |at: &i64| Attempt { at: after(*at), class };
    Episode {
        key: key(),
        namespace: "batch".into(),
        pod: "p".into(),
        attempts: instants.iter().take(attempts).map(attempt).collect(),
        dry_run: None,
        ended: ended.map(|(at, end)| (after(at), end)),
    }
}

fn limits(max_attempts: u32) -> Question {
    Question { max_attempts, min_elapsed: SignedDuration::from_secs(60), class: None }
}

#[test]
fn other_limits_are_tried_on_what_happened() {
    let mut history = History::default();
    history.push(episode(Class::NotFound, 6, Some((400, End::Recovered))));
    history.push(episode(Class::NotFound, 6, Some((500, End::Deleted))));
    history.push(episode(Class::NotFound, 5, Some((180, End::Failed))));
    history.push(episode(Class::NotFound, 2, Some((20, End::Recovered))));
    history.push(episode(Class::Registry5xx, 7, Some((900, End::Recovered))));
    let stuck = episode(Class::Unauthorized, 5, None);
    let ask = |question| history.what_if([&stuck].into_iter(), &question, after(1000));

    let five = ask(limits(5));
    assert_eq!((five.episodes, five.would_fail), (5, 4), "503 never counts");
    assert_eq!((five.recovered, five.deleted, five.failed, five.still_stuck), (1, 1, 1, 1));
    // Since 174 s: deleted after 500, ended after 180, now it is 1000.
    assert_eq!(five.waiting_saved, SignedDuration::from_secs(326 + 6 + 826));
    assert_eq!(five.by_class[&Class::NotFound], (3, 1));
    assert_eq!(five.regrets, [("batch/p".to_owned(), "img".to_owned(), after(174))]);

    let seven = ask(limits(7));
    assert_eq!(seven.would_fail, 0);
    let outage = Question { class: Some(Class::Registry5xx), ..limits(5) };
    assert_eq!((ask(outage).would_fail, ask(outage).recovered), (1, 1), "asked for by name");
    // The time is reached only at 61 s, when the second episode was already over.
    let two = ask(limits(2));
    assert_eq!((two.would_fail, two.recovered), (4, 1));
    assert_eq!(ask(limits(0)), Answer { episodes: 5, ..Answer::default() }, "no limit at all");
}

#[test]
fn what_is_too_old_or_too_much_is_dropped() {
    let mut history = History::default();
    for at in [10, 20, 30, 40] {
        history.push(episode(Class::NotFound, 1, Some((at, End::Deleted))));
    }
    assert_eq!(history.trim(3, SignedDuration::from_secs(1000), after(50)), [0]);
    assert_eq!(history.trim(3, SignedDuration::from_secs(25), after(50)), [1]);
    assert_eq!(history.iter().count(), 2);
    assert_eq!(history.push(episode(Class::NotFound, 1, None)), 4, "numbers are not used again");
}
