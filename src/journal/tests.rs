use super::*;
use crate::fixtures::{key, start, tally};

fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

fn change(kind: Kind, at: i64) -> Change {
    Change::of_image(after(at), kind, &key(), &tally(1), "text")
}

fn numbers(journal: &Journal, since: i64) -> Vec<u64> {
    journal.since(after(since)).map(|(number, _)| number).collect()
}

#[test]
fn repeated_attempts_are_told_and_not_kept() {
    let mut journal = Journal::default();
    assert_eq!(journal.push(change(Kind::Failing, 0)), (0, true));
    assert_eq!(journal.push(change(Kind::Attempt, 10)), (1, false));
    assert_eq!(journal.push(change(Kind::Verdict, 20)), (2, true));
    assert_eq!(numbers(&journal, 0), [0, 2]);
    assert_eq!(numbers(&journal, 20), [2]);
    assert_eq!(journal.next(), 3);
}

#[test]
fn it_goes_on_after_a_restart_and_says_since_when_nothing_is_missing() {
    let mut journal = Journal::default();
    assert_eq!(journal.complete_since(after(5)), after(5), "nothing is known");
    journal.push(change(Kind::Started, 0));
    journal.push(change(Kind::Failing, 10));
    let mut journal = Journal::new(journal.kept);
    assert_eq!(journal.push(change(Kind::Started, 20)), (2, true));
    assert_eq!(journal.complete_since(after(30)), after(0));
    let tomorrow = 24 * 3600 + 15;
    assert_eq!(journal.trim(after(tomorrow)), [0, 1]);
    assert_eq!(journal.complete_since(after(tomorrow)), after(15));
}

#[test]
fn it_is_bounded_and_says_so() {
    let mut journal = Journal::default();
    for at in 0..i64::try_from(MOST).unwrap() + 5 {
        journal.push(change(Kind::Failing, at));
        journal.trim(after(at));
    }
    assert_eq!(numbers(&journal, 0).len(), MOST);
    assert_eq!(journal.complete_since(after(9999)), after(5));
    let long = Change::of_node(start(), Kind::Config, &"ä".repeat(5000));
    assert!(long.text.len() <= LONGEST_TEXT);
}

#[test]
fn what_concerns_the_node_concerns_every_namespace() {
    let node = Change::of_node(start(), Kind::Config, "text");
    let pod = change(Kind::Failing, 0);
    assert!(node.concerns("other") && node.concerns(""));
    assert!(pod.concerns("batch") && pod.concerns("") && !pod.concerns("other"));
}
