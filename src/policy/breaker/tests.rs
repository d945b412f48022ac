use jiff::SignedDuration;

use super::*;
use crate::fixtures::start;

/// Three images within ten minutes open it, for half an hour.
fn settings() -> config::Breaker {
    config::Breaker {
        images: 3,
        window: SignedDuration::from_mins(10),
        hold: SignedDuration::from_mins(30),
    }
}

fn at(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

/// What the changes were and why.
fn told(transitions: &[Transition]) -> Vec<(&str, &'static str, Why)> {
    transitions.iter().map(|t| (t.registry.as_str(), t.to.as_str(), t.why)).collect()
}

impl Breaker {
    fn fails(&mut self, image: &str, second: i64) -> Vec<Transition> {
        self.fails_at(image, None, second)
    }

    fn fails_at(&mut self, image: &str, host: Option<&str>, second: i64) -> Vec<Transition> {
        let failure = Failure { image, host, cause: Class::NotFound.into() };
        self.failed(&settings(), failure, at(second))
    }

    fn comes(&mut self, image: &str, second: i64) -> Vec<Transition> {
        self.succeeded(&settings(), image, at(second))
    }

    fn held(&self, image: &str, last_attempt: i64, second: i64) -> bool {
        self.holds(&settings(), image, None, at(last_attempt), at(second)).is_some()
    }
}

/// Three images of r failed at 0, 1 and 2.
fn open() -> Breaker {
    let mut breaker = Breaker::default();
    assert_eq!(breaker.fails("r.example/a", 0), []);
    assert_eq!(breaker.fails("r.example/b", 1), []);
    let transitions = breaker.fails("r.example/c", 2);
    assert_eq!(told(&transitions), [("r.example", "open", Why::ManyFail)]);
    assert_eq!(transitions[0].images, ["r.example/a", "r.example/b", "r.example/c"]);
    breaker
}

#[test]
fn many_images_that_begin_to_fail_hold_every_verdict_of_their_registry() {
    let breaker = open();
    assert!(breaker.held("r.example/a", 2, 3));
    assert!(breaker.held("r.example/never-seen", 2, 3));
    assert!(!breaker.held("s.example/a", 2, 3));
    assert_eq!(breaker.troubled().map(|(key, _)| key).collect::<Vec<_>>(), ["r.example"]);
}

#[test]
fn one_image_of_many_pods_is_one_sign() {
    let mut breaker = Breaker::default();
    for second in 0..50 {
        assert_eq!(breaker.fails("r.example/a", second), []);
    }
    assert!(!breaker.held("r.example/a", 49, 50));
}

#[test]
fn a_success_between_them_shows_that_the_registry_is_well() {
    let mut breaker = Breaker::default();
    breaker.fails("r.example/a", 0);
    breaker.fails("r.example/b", 1);
    breaker.comes("r.example/good", 2);
    assert_eq!(breaker.fails("r.example/c", 3), []);
    assert_eq!(breaker.fails("r.example/a", 4), [], "it began to fail before the success");
}

#[test]
fn an_image_that_came_may_begin_to_fail_again() {
    let mut breaker = Breaker::default();
    breaker.fails("r.example/a", 0);
    breaker.comes("r.example/a", 1);
    breaker.fails("r.example/a", 2);
    breaker.fails("r.example/b", 3);
    assert_eq!(told(&breaker.fails("r.example/c", 4)), [("r.example", "open", Why::ManyFail)]);
}

#[test]
fn images_that_began_to_fail_long_ago_are_no_outage() {
    let mut breaker = Breaker::default();
    breaker.fails("r.example/a", 0);
    breaker.fails("r.example/b", 1);
    for second in [300, 599] {
        breaker.fails("r.example/a", second);
        breaker.fails("r.example/b", second);
    }
    assert_eq!(breaker.fails("r.example/c", 700), []);
}

#[test]
fn what_asks_no_registry_says_nothing_about_one() {
    let mut breaker = Breaker::default();
    for class in [
        Class::NoSpace,
        Class::RuntimeDown,
        Class::InvalidReference,
        Class::NeverPull,
        Class::ShortName,
        Class::KubeletQps,
    ] {
        for image in ["r.example/a", "r.example/b", "r.example/c"] {
            let failure = Failure { image, host: None, cause: class.into() };
            assert_eq!(breaker.failed(&settings(), failure, at(0)), [], "{class:?}");
        }
    }
    let disposition = Disposition::NodeFault;
    for image in ["r.example/a", "r.example/b", "r.example/c"] {
        let cause = Judged { class: Class::Dns, disposition };
        let failure = Failure { image, host: None, cause };
        assert_eq!(breaker.failed(&settings(), failure, at(0)), []);
    }
    assert_eq!(breaker, Breaker::default());
}

#[test]
fn half_open_only_who_fails_again_is_judged() {
    let mut breaker = open();
    let transitions = breaker.comes("r.example/good", 100);
    assert_eq!(told(&transitions), [("r.example", "half_open", Why::Succeeded)]);
    assert!(breaker.held("r.example/a", 2, 101), "its last attempt was in the outage");
    assert!(breaker.held("r.example/a", 100, 101), "it may have been");
    assert_eq!(breaker.fails("r.example/a", 110), []);
    assert!(!breaker.held("r.example/a", 110, 111));
    assert!(breaker.held("r.example/b", 2, 111));
}

#[test]
fn half_open_many_that_fail_again_open_it_again_and_a_second_success_closes_it() {
    let mut breaker = open();
    breaker.comes("r.example/good", 100);
    breaker.fails("r.example/a", 110);
    breaker.fails("r.example/a", 111);
    breaker.fails("r.example/b", 112);
    let transitions = breaker.fails("r.example/new", 113);
    assert_eq!(told(&transitions), [("r.example", "open", Why::FailAgain)]);
    breaker.comes("r.example/good", 200);
    let transitions = breaker.comes("r.example/good", 201);
    assert_eq!(told(&transitions), [("r.example", "closed", Why::SucceededAgain)]);
}

#[test]
fn closed_by_successes_a_pod_is_judged_once_it_has_tried_again() {
    let mut breaker = open();
    breaker.comes("r.example/a", 100);
    breaker.comes("r.example/b", 101);
    assert_eq!(breaker.troubled().count(), 0);
    assert!(breaker.held("r.example/c", 2, 102), "its image may have come back as well");
    let mut healed = breaker.clone();
    healed.comes("r.example/c", 103);
    assert!(healed.held("r.example/unseen", 2, 104), "though no image is known to fail");
    assert!(!breaker.held("r.example/c", 110, 111));
    assert!(breaker.held("r.example/c", 2, 699));
    assert!(!breaker.held("r.example/c", 2, 700), "the kubelet has tried again by then");
    breaker.advance(&settings(), at(4000));
    assert_eq!(breaker, Breaker::default());
}

#[test]
fn a_short_window_does_not_end_pods_that_the_kubelet_has_not_tried_again() {
    let short = config::Breaker { window: SignedDuration::from_secs(10), ..settings() };
    let mut breaker = open();
    breaker.succeeded(&short, "r.example/good", at(100));
    let transitions = breaker.advance(&short, at(110));
    assert_eq!(told(&transitions), [("r.example", "closed", Why::StayedWell)]);
    let holds = |second| breaker.holds(&short, "r.example/a", None, at(2), at(second)).is_some();
    assert!(holds(111) && holds(399) && !holds(700));
}

#[test]
fn half_open_for_a_window_it_closes() {
    let mut breaker = open();
    breaker.comes("r.example/good", 100);
    assert_eq!(breaker.next(&settings()), Some(at(700)));
    assert_eq!(breaker.advance(&settings(), at(699)), []);
    let transitions = breaker.advance(&settings(), at(700));
    assert_eq!(told(&transitions), [("r.example", "closed", Why::StayedWell)]);
}

#[test]
fn without_any_success_it_holds_once_and_no_longer() {
    let mut breaker = open();
    assert_eq!(breaker.next(&settings()), Some(at(2 + 1800)));
    assert!(breaker.held("r.example/a", 1700, 1801));
    assert!(!breaker.held("r.example/a", 1700, 1802), "even before it is told that time passed");
    let transitions = breaker.advance(&settings(), at(1802));
    assert_eq!(told(&transitions), [("r.example", "closed", Why::HoldPassed)]);
    for second in [1803, 2100, 2400] {
        for image in ["r.example/a", "r.example/b", "r.example/c"] {
            assert_eq!(breaker.fails(image, second), [], "it failed before");
        }
    }
    breaker.fails("r.example/d", 2401);
    breaker.fails("r.example/e", 2402);
    let transitions = breaker.fails("r.example/f", 2403);
    assert_eq!(told(&transitions), [("r.example", "open", Why::ManyFail)]);
}

#[test]
fn an_image_that_began_to_fail_while_it_was_open_counts_no_more_than_the_others() {
    let mut breaker = open();
    for image in ["r.example/d", "r.example/e", "r.example/f"] {
        breaker.fails(image, 1700);
    }
    breaker.advance(&settings(), at(1802));
    for image in ["r.example/d", "r.example/e", "r.example/f"] {
        assert_eq!(breaker.fails(image, 1900), []);
    }
}

#[test]
fn a_mirror_that_fails_is_told_from_the_registry_that_it_serves() {
    let mut breaker = Breaker::default();
    for (second, image) in ["nginx", "docker.io/library/redis:7", "r.example/a"].iter().enumerate()
    {
        let transitions = breaker.fails_at(image, Some("Mirror.example:5000"), second as i64);
        let opened = [("mirror.example:5000", "open", Why::ManyFail)];
        assert_eq!(told(&transitions), if second == 2 { &opened[..] } else { &[] });
    }
    assert!(breaker.held("nginx", 0, 10), "it failed to come from there");
    assert!(!breaker.held("postgres", 0, 10), "that one did not");
    let held = |host| breaker.holds(&settings(), "postgres", Some(host), at(0), at(10));
    assert_eq!(held("mirror.example:5000").unwrap().registry, "mirror.example:5000");
    let transitions = breaker.comes("docker.io/library/busybox", 20);
    assert_eq!(told(&transitions), [("mirror.example:5000", "half_open", Why::Succeeded)]);
}

#[test]
fn an_image_that_no_pod_wants_any_more_is_forgotten() {
    let mut breaker = Breaker::default();
    breaker.fails("r.example/a", 0);
    breaker.advance(&settings(), at(3599));
    assert_ne!(breaker, Breaker::default());
    breaker.advance(&settings(), at(3600));
    assert_eq!(breaker, Breaker::default());
}

#[test]
fn with_0_images_nothing_is_held_not_even_what_was() {
    let mut breaker = open();
    let off = config::Breaker { images: 0, ..settings() };
    let transitions = breaker.advance(&off, at(3));
    assert_eq!(told(&transitions), [("r.example", "closed", Why::TurnedOff)]);
    for image in ["r.example/d", "r.example/e", "r.example/f"] {
        let failure = Failure { image, host: None, cause: Class::NotFound.into() };
        assert_eq!(breaker.failed(&off, failure, at(4)), []);
    }
    assert_eq!(breaker.holds(&off, "r.example/d", None, at(4), at(5)), None);
}

#[test]
fn strange_names_are_bounded_and_end_no_hold() {
    let mut breaker = open();
    for number in 0..1000 {
        breaker.fails(&format!("host-{number}.example/a"), 3);
    }
    assert!(breaker.held("r.example/a", 3, 4));
    for number in 0..1000 {
        breaker.fails_at("r.example/a", Some(&format!("{number}\n")), 3);
    }
    breaker.fails(&format!("r.example/{}", "x".repeat(5000)), 3);
    breaker.fails_at("r.example/a", Some(&"x".repeat(5000)), 3);
    for number in 0..1000 {
        breaker.fails(&format!("r.example/img-{number}"), 4);
    }
    assert!(breaker.held("r.example/a", 3, 5));
    assert!(serde_json::to_string(&breaker).unwrap().len() < 100_000);
}

#[test]
fn every_change_is_a_sentence_that_names_the_registry_and_what_follows() {
    let mut breaker = open();
    let mut all = breaker.comes("r.example/good", 10);
    all.extend(breaker.comes("r.example/good", 11));
    all.extend({
        let mut breaker = Breaker::default();
        ["a", "b", "c"]
            .iter()
            .flat_map(|i| breaker.fails(&format!("r.example/{i}"), 0))
            .collect::<Vec<_>>()
    });
    all.extend(open().advance(&settings(), at(9999)));
    assert_eq!(all.len(), 4);
    for transition in all {
        let text = transition.text();
        assert!(text.contains("r.example") && text.contains("pod"), "{text}");
    }
}

#[test]
fn closed_by_hand_nothing_is_held_and_the_same_images_do_not_open_it_again() {
    let mut breaker = open();
    let released = breaker.release(&settings(), "R.example", 1000, at(10)).into_iter();
    let released: Vec<_> = released.collect();
    assert_eq!(told(&released), [("r.example", "closed", Why::ByHand { uid: 1000 })]);
    assert!(released[0].text().contains("user 1000"), "{}", released[0].text());
    assert!(!breaker.held("r.example/a", 2, 11));
    for image in ["r.example/a", "r.example/b", "r.example/c"] {
        assert_eq!(breaker.fails(image, 20), [], "it failed before");
    }
    assert_eq!(breaker.release(&settings(), "r.example", 0, at(21)), None, "nothing is held");
    assert_eq!(breaker.release(&settings(), "s.example", 0, at(21)), None);
}

#[test]
fn closed_by_hand_nobody_waits_for_another_attempt() {
    let mut breaker = open();
    breaker.comes("r.example/good", 100);
    breaker.comes("r.example/better", 110);
    assert!(breaker.held("r.example/a", 2, 111), "it has not tried since");
    assert!(breaker.release(&settings(), "r.example", 0, at(112)).is_some());
    assert!(!breaker.held("r.example/a", 2, 113));
}
