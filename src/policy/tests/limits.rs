use proptest::prelude::*;

use super::*;

const BELOW: Decision = Decision::Leave(Because::BelowLimit);

/// The least number of attempts of this class that ends the pod; `None`: 200 do not.
fn ends_at(toml: &str, class: Class) -> Option<u32> {
    (1..=200).find(|times| fate(toml, &stuck(), &failed_of(&[(class, *times)])) == Decision::Fail)
}

#[test]
fn both_count_and_time_must_be_reached() {
    let policy = policy("[limits]\nmax_attempts = 3\nmin_elapsed = \"1m\"");
    let of = |attempts, seconds| {
        policy.judge(&stuck(), "img", &tally(attempts), after(seconds)).decision
    };
    assert_eq!(of(2, 999), BELOW);
    assert_eq!(of(3, 59), Decision::Wait(after(60)));
    assert_eq!(of(3, 60), Decision::Fail);
    assert_eq!(of(3, -60), Decision::Wait(after(60)), "the clock went back");
}

#[test]
fn each_disposition_has_its_number_and_two_never_end_a_pod() {
    assert_eq!(ends_at("", Class::NotFound), Some(5));
    assert_eq!(ends_at("", Class::Unknown), Some(8));
    assert_eq!(ends_at("", Class::RateLimited), None);
    assert_eq!(ends_at("", Class::NoSpace), None);
    let because = |class| fate("", &stuck(), &failed_of(&[(class, 99)]));
    assert_eq!(because(Class::RateLimited), Decision::Leave(Because::Transient));
    assert_eq!(because(Class::NoSpace), Decision::Leave(Because::NodeFault));
}

#[test]
fn every_number_can_be_set_and_never_means_it() {
    let toml = "[limits]\nmax_attempts = 2\n[limits.ambiguous]\nmax_attempts = 3\n\
        [limits.transient]\nmax_attempts = 4\n[limits.node_fault]\nmax_attempts = 6\n\
        [limits.class.dns]\nmax_attempts = 7\n[limits.class.x509]\nmax_attempts = \"never\"";
    assert_eq!(ends_at(toml, Class::NotFound), Some(2));
    assert_eq!(ends_at(toml, Class::Forbidden), Some(3));
    assert_eq!(ends_at(toml, Class::Timeout), Some(4));
    assert_eq!(ends_at(toml, Class::NoSpace), Some(6));
    assert_eq!(ends_at(toml, Class::Dns), Some(7));
    assert_eq!(ends_at(toml, Class::X509), None);
    assert_eq!(
        fate(toml, &stuck(), &failed_of(&[(Class::X509, 99)])),
        Decision::Leave(Because::NeverLimit)
    );
}

#[test]
fn who_is_more_patient_with_missing_images_is_so_with_doubtful_ones() {
    assert_eq!(ends_at("[limits]\nmax_attempts = 20", Class::Unknown), Some(20));
    assert_eq!(ends_at("[limits]\nmax_attempts = \"never\"", Class::Unknown), None);
    assert_eq!(ends_at("[limits]\nmax_attempts = 2", Class::Unknown), Some(8));
}

#[test]
fn a_class_may_have_a_time_of_its_own() {
    let policy = policy(
        "[limits.ambiguous]\nmin_elapsed = \"10m\"\n\
        [limits.class.not_found]\nmin_elapsed = \"1h\"",
    );
    let waits = |class| policy.judge(&stuck(), "img", &failed_of(&[(class, 9)]), start()).decision;
    assert_eq!(waits(Class::Signature), Decision::Wait(after(60)));
    assert_eq!(waits(Class::Unknown), Decision::Wait(after(600)));
    assert_eq!(waits(Class::NotFound), Decision::Wait(after(3600)));
}

#[test]
fn what_a_scope_does_not_say_it_inherits_key_by_key() {
    let toml = "[limits]\nmax_attempts = 6\nmin_elapsed = \"2m\"\n\
        [limits.class.rate_limited]\nmax_attempts = 30\n\
        [[scopes]]\nname = \"all\"\nlimits = { max_attempts = 3, class.rate_limited.min_elapsed = \"3h\" }";
    assert_eq!(ends_at(toml, Class::NotFound), Some(3));
    assert_eq!(ends_at(toml, Class::RateLimited), Some(30));
    let waits =
        |class| policy(toml).judge(&stuck(), "img", &failed_of(&[(class, 99)]), start()).decision;
    assert_eq!(waits(Class::NotFound), Decision::Wait(after(120)));
    assert_eq!(waits(Class::RateLimited), Decision::Wait(after(3 * 3600)));
}

/// Limits: permanent 5, ambiguous 8, rate_limited 4 by itself.
#[test]
fn of_mixed_causes_only_those_count_that_are_as_lasting_as_the_last() {
    let toml = "[limits.class.rate_limited]\nmax_attempts = 4";
    let fate = |causes: &[(Class, u32)]| fate(toml, &stuck(), &failed_of(causes));
    assert_eq!(fate(&[(Class::Unknown, 4), (Class::NotFound, 4)]), BELOW);
    assert_eq!(fate(&[(Class::Unknown, 4), (Class::NotFound, 5)]), Decision::Fail);
    assert_eq!(fate(&[(Class::NotFound, 4), (Class::Unknown, 3)]), BELOW);
    assert_eq!(fate(&[(Class::NotFound, 4), (Class::Unknown, 4)]), Decision::Fail);
    assert_eq!(fate(&[(Class::Dns, 50), (Class::NotFound, 4)]), BELOW);
    assert_eq!(
        fate(&[(Class::NotFound, 50), (Class::Dns, 1)]),
        Decision::Leave(Because::Transient),
        "the last attempt may well be the beginning of the end of it"
    );
    assert_eq!(fate(&[(Class::NotFound, 50), (Class::RateLimited, 3)]), BELOW);
    assert_eq!(fate(&[(Class::RateLimited, 4)]), Decision::Fail);
}

#[test]
fn faults_of_the_node_count_among_themselves_only() {
    let toml = "[limits.node_fault]\nmax_attempts = 3";
    let fate = |causes: &[(Class, u32)]| fate(toml, &stuck(), &failed_of(causes));
    assert_eq!(fate(&[(Class::NotFound, 4), (Class::NoSpace, 2)]), BELOW);
    assert_eq!(fate(&[(Class::NotFound, 4), (Class::NoSpace, 3)]), Decision::Fail);
}

#[test]
fn a_class_with_a_number_of_its_own_does_not_fill_the_count_of_others() {
    let toml = "[limits.class.not_found]\nmax_attempts = 30";
    let causes = [(Class::NotFound, 20), (Class::PlatformMismatch, 1)];
    assert_eq!(fate(toml, &stuck(), &failed_of(&causes)), BELOW);
}

#[test]
fn a_rule_that_calls_a_class_permanent_makes_it_count_so() {
    let mut causes = Causes::default();
    for attempt in 1..=5 {
        let judged = Judged { class: Class::Dns, disposition: Disposition::Permanent };
        causes.set_last(attempt, judged);
    }
    assert_eq!(fate("", &stuck(), &Tally { causes, ..tally(5) }), Decision::Fail);
}

#[test]
fn attempts_whose_cause_is_not_known_are_doubtful() {
    let uncaused = |attempts| Tally { causes: Causes::default(), ..tally(attempts) };
    assert_eq!(fate("", &stuck(), &uncaused(7)), BELOW);
    assert_eq!(fate("", &stuck(), &uncaused(8)), Decision::Fail);
}

#[test]
fn a_ruling_says_what_was_compared() {
    let ruling = policy("").judge(&stuck(), "img", &tally(3), start());
    assert_eq!((ruling.counted, ruling.limit, ruling.scope), (3, Some(5), None));
    let ruling = policy("").judge(&stuck(), "img", &failed_of(&[(Class::Dns, 3)]), start());
    assert_eq!(ruling.limit, None);
}

proptest! {
    #[test]
    fn no_verdict_below_either_limit(
        attempts in 0..20u32, max in 1..20u32, elapsed in 0..500i64, min in 0..500i64,
    ) {
        let toml = format!("[limits]\nmax_attempts = {max}\nmin_elapsed = \"{min}s\"");
        let ruling = policy(&toml).judge(&stuck(), "img", &tally(attempts), after(elapsed));
        let reached = attempts >= max && elapsed >= min && attempts > 0;
        prop_assert_eq!(ruling.decision == Decision::Fail, reached);
    }
}
