use jiff::SignedDuration;

use super::*;
use crate::{
    attempts::Came,
    classify::Class,
    fixtures::{key, pod, start},
    pods::ImageState,
    policy::{breaker::State, caps::Cap},
};

const MISSING: &str = "rpc error: code = NotFound desc = failed to pull and unpack image \
    \"r.example/app:1\": failed to resolve reference \"r.example/app:1\": r.example/app:1: not found";
const BUSY: &str = "rpc error: code = Unknown desc = failed to resolve reference \
    \"r.example/app:1\": unexpected status from HEAD request to \
    https://r.example/v2/app/manifests/1: 503 Service Unavailable";

fn settings(toml: &str) -> Settings {
    Settings::new(crate::config::parse(toml).unwrap())
}

fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

fn call(uid: &str, image: &str, at: i64, error: Option<&str>) -> Call {
    Call {
        key: PullKey { pod_uid: uid.into(), image: image.into() },
        namespace: "batch".into(),
        pod: uid.into(),
        started: after(at),
        ended: after(at),
        error: error.map(str::to_owned),
    }
}

/// A pod whose status shows a failing pull of this image.
fn stuck(uid: &str, image: &str) -> PodFacts {
    let trouble = Trouble { reason: "ErrImagePull".into(), message: MISSING.into() };
    let images = [(image.to_owned(), ImageState::Failed(trouble))].into();
    PodFacts { uid: uid.into(), name: uid.into(), images, ..pod(None) }
}

fn judgement(fuse: &mut Fuse, pod: &PodFacts, settings: &Settings, at: i64) -> Judgement {
    let [opinion] = &fuse.judge(pod, settings, after(at))[..] else { panic!("one image") };
    opinion.judgement.clone()
}

/// An hour without an agent: the kubelet has tried a dozen times meanwhile.
#[test]
fn what_nobody_saw_is_not_guessed() {
    let settings = settings("[limits]\nmax_attempts = 3\nmin_elapsed = \"0s\"");
    let trouble = crate::fixtures::trouble(MISSING);
    let left = Tally { trouble, ..crate::fixtures::tally(2) };
    let attempts = Attempts::new([(key(), left)].into(), Came::default());
    let mut fuse = Fuse::new(attempts, Breaker::default(), Caps::default());
    let attempts = |fuse: &Fuse| fuse.attempts().get(&key()).map(|tally| tally.attempts);
    let shown = |state| pod(Some(state));
    let failed = || ImageState::Failed(crate::fixtures::trouble(MISSING));
    let backing_off = ImageState::BackingOff(crate::fixtures::trouble("Back-off"));
    // As it was left, which may be the same attempt; then something else, then another attempt.
    for (at, state, counted) in [(3600, failed(), 2), (3610, backing_off, 2), (3900, failed(), 3)] {
        fuse.observe(&shown(state), &settings, after(at));
        assert_eq!(attempts(&fuse), Some(counted), "at {at}");
    }
    let verdict = judgement(&mut fuse, &shown(failed()), &settings, 3900);
    assert_eq!(verdict, Judgement::Fail);
}

#[test]
fn a_missing_image_ends_its_pod_and_a_busy_registry_does_not() {
    let settings = settings("[limits]\nmax_attempts = 2\nmin_elapsed = \"10s\"");
    let (mut missing, mut busy) = (Fuse::default(), Fuse::default());
    for at in [1, 20, 60, 200, 500] {
        missing.observe_call(call("m", "r.example/app:1", at, Some(MISSING)), &settings, after(at));
        busy.observe_call(call("b", "r.example/app:1", at, Some(BUSY)), &settings, after(at));
    }
    let verdict = judgement(&mut missing, &stuck("m", "r.example/app:1"), &settings, 505);
    assert_eq!(verdict, Judgement::Fail);
    let verdict = judgement(&mut busy, &stuck("b", "r.example/app:1"), &settings, 500);
    assert_eq!(verdict, Judgement::Leave(Because::Transient));
}

#[test]
fn a_text_that_is_known_only_later_changes_the_cause() {
    let settings = settings("");
    let mut fuse = Fuse::default();
    // Heard late: the wire does not tell the text.
    fuse.observe_call(call("uid-1", "img", 1, Some("")), &settings, after(1));
    assert_eq!(fuse.attempts().get(&key()).unwrap().cause().class, Class::Unknown);
    let trouble = Trouble { reason: "ErrImagePull".into(), message: BUSY.into() };
    fuse.observe(&pod(Some(ImageState::Failed(trouble))), &settings, after(2));
    let tally = fuse.attempts().get(&key()).unwrap();
    assert_eq!((tally.attempts, tally.cause().class), (1, Class::Registry5xx));
    assert_eq!(tally.seen.iter().map(|seen| seen.class).collect::<Vec<_>>(), [Class::Registry5xx]);
    // The next one's text is unknown again: it is not taken for the same.
    fuse.observe_call(call("uid-1", "img", 15, Some("")), &settings, after(15));
    assert_eq!(fuse.attempts().get(&key()).unwrap().cause().class, Class::Unknown);
}

#[test]
fn the_errors_of_several_credentials_are_one_cause() {
    let settings = settings("");
    let mut fuse = Fuse::default();
    fuse.observe_call(call("uid-1", "img", 1, Some(BUSY)), &settings, after(1));
    fuse.observe_call(call("uid-1", "img", 2, Some(MISSING)), &settings, after(2));
    let tally = fuse.attempts().get(&key()).unwrap();
    assert_eq!((tally.attempts, tally.cause().class), (1, Class::Registry5xx), "in doubt, mildly");
}

#[test]
fn a_verdict_waits_until_the_last_credential_has_been_tried() {
    let settings = settings("[limits]\nmax_attempts = 1\nmin_elapsed = \"0s\"");
    let pod = stuck("uid-1", "img");
    let (mut one, mut two) = (Fuse::default(), Fuse::default());
    for fuse in [&mut one, &mut two] {
        fuse.observe_call(call("uid-1", "img", 1, Some(MISSING)), &settings, after(1));
        assert_eq!(judgement(fuse, &pod, &settings, 1), Judgement::Wait(after(6)));
    }
    two.observe_call(call("uid-1", "img", 2, Some(BUSY)), &settings, after(2));
    assert_eq!(judgement(&mut one, &pod, &settings, 6), Judgement::Fail);
    let leave = Judgement::Leave(Because::Transient);
    assert_eq!(judgement(&mut two, &pod, &settings, 7), leave);
}

#[test]
fn many_images_of_one_registry_hold_each_others_verdicts_until_one_comes() {
    let settings = settings(
        "[limits]\nmax_attempts = 1\nmin_elapsed = \"0s\"\n[breaker]\nimages = 3\n[caps]\nper_node = 2",
    );
    let mut fuse = Fuse::default();
    let mut opened = 0;
    for n in 0..3 {
        let failed = call(&format!("p{n}"), &image(n), n, Some(MISSING));
        let steps = fuse.observe_call(failed, &settings, after(n));
        opened += steps.iter().filter(|step| matches!(step, Step::Breaker(_))).count();
    }
    assert_eq!(opened, 1);
    let pods: Vec<_> = (0..3).map(|n| stuck(&format!("p{n}"), &image(n))).collect();
    for pod in &pods {
        let Judgement::Held(held) = judgement(&mut fuse, pod, &settings, 10) else { panic!() };
        assert!(held.to_string().contains("r.example"), "{held}");
    }
    // Also one that has just tried again: who asks, or releases it, finds it held.
    fuse.observe_call(call("p1", &image(1), 10, Some(MISSING)), &settings, after(10));
    assert!(matches!(judgement(&mut fuse, &pods[1], &settings, 11), Judgement::Held(_)));
    // Another registry is judged as always.
    let elsewhere = MISSING.replace("r.example", "s.example");
    fuse.observe_call(call("q", "s.example/x:1", 10, Some(&elsewhere)), &settings, after(10));
    let other = stuck("q", "s.example/x:1");
    assert_eq!(judgement(&mut fuse, &other, &settings, 15), Judgement::Fail);

    fuse.observe_call(call("good", "r.example/good:1", 20, None), &settings, after(20));
    assert_eq!(states(&fuse), [State::HalfOpen { since: after(20) }]);
    assert!(matches!(judgement(&mut fuse, &pods[0], &settings, 21), Judgement::Held(_)));
    fuse.observe_call(call("p0", &image(0), 30, Some(MISSING)), &settings, after(30));
    assert_eq!(judgement(&mut fuse, &pods[0], &settings, 35), Judgement::Fail);

    // Two were ended: the cap holds the next.
    fuse.ended("batch", &settings, after(30));
    fuse.ended("batch", &settings, after(30));
    let Judgement::Held(held) = judgement(&mut fuse, &pods[0], &settings, 36) else { panic!() };
    assert_eq!((held.by, held.until), (By::Cap(Cap::PerNode), after(630)));
}

fn image(n: i64) -> String {
    format!("r.example/app{n}:1")
}

/// A breaker that is open for the registry of `image(n)`.
fn outage(settings: &Settings) -> Fuse {
    let mut fuse = Fuse::default();
    for n in 0..3 {
        let failed = call(&format!("p{n}"), &image(n), 1, Some(MISSING));
        fuse.observe_call(failed, settings, after(1));
    }
    assert!(matches!(states(&fuse)[..], [State::Open { .. }]));
    fuse
}

fn states(fuse: &Fuse) -> Vec<State> {
    fuse.breaker().troubled().map(|(_, state)| state).collect()
}

#[test]
fn one_pull_that_succeeds_is_one_sign_wherever_its_failure_was_seen() {
    let settings = settings("[breaker]\nimages = 3");
    let mut fuse = outage(&settings);
    // Seen in the status only.
    fuse.observe(&stuck("late", &image(9)), &settings, after(5));
    fuse.observe_call(call("late", &image(9), 20, None), &settings, after(20));
    assert_eq!(states(&fuse), [State::HalfOpen { since: after(20) }]);
}

#[test]
fn a_success_of_long_ago_does_not_end_an_outage() {
    let settings = settings("[breaker]\nimages = 3");
    let mut fuse = outage(&settings);
    // The API server was away, so nobody knew this pod.
    fuse.observe_call(call("early", &image(9), -600, None), &settings, after(20));
    assert_eq!(states(&fuse), [State::Open { since: after(1) }]);
}

#[test]
fn other_rules_see_other_causes_also_in_what_was_counted() {
    let mut fuse = Fuse::default();
    let before = settings("");
    fuse.observe_call(call("uid-1", "img", 1, Some("blocked by scanner")), &before, after(1));
    let after_reload = settings("[[rules]]\nmatch = \"scanner\"\nclass = \"signature\"");
    fuse.look_again(&after_reload, after(2));
    assert_eq!(fuse.attempts().get(&key()).unwrap().cause().class, Class::Signature);
    let [opinion] = &fuse.judge(&stuck("uid-1", "img"), &after_reload, after(3))[..] else {
        panic!("one image")
    };
    assert_eq!(opinion.cause.class, Class::Signature);
}

#[test]
fn a_pod_fails_since_the_first_attempt_of_what_still_fails() {
    let settings = settings("");
    let mut fuse = Fuse::default();
    assert_eq!(fuse.failing_since(&"p".into()), None);
    for (uid, image, at) in [("p", "b", 20), ("p", "a", 50), ("p2", "a", 1), ("p", "b", 90)] {
        fuse.observe_call(call(uid, image, at, Some(MISSING)), &settings, after(at));
    }
    assert_eq!(fuse.failing_since(&"p".into()), Some(after(20)));
    fuse.observe_call(call("p", "b", 100, None), &settings, after(100));
    assert_eq!(fuse.failing_since(&"p".into()), Some(after(50)));
}

#[test]
fn who_is_released_waits_neither_for_an_outage_nor_for_a_cap_but_for_all_else() {
    let toml = "[limits]\nmax_attempts = 2\nmin_elapsed = \"0s\"\n[breaker]\nimages = 2\n\
        [caps]\nper_node = 1";
    let settings = settings(toml);
    let mut fuse = Fuse::default();
    let (pod, by) = (stuck("a", "r.example/a:1"), Released { uid: 1000, at: after(4) });
    for (uid, at) in [("a", 1), ("b", 2), ("a", 20)] {
        let failed = call(uid, &format!("r.example/{uid}:1"), at, Some(MISSING));
        fuse.observe_call(failed, &settings, after(at));
    }
    fuse.ended("batch", &settings, after(2));
    assert!(matches!(judgement(&mut fuse, &pod, &settings, 30), Judgement::Held(_)));
    fuse.release(&"a".into(), by);
    assert_eq!(judgement(&mut fuse, &pod, &settings, 21), Judgement::Wait(after(25)));
    assert_eq!(judgement(&mut fuse, &pod, &settings, 30), Judgement::Fail);
    // One attempt is too few, whoever wants it.
    fuse.release(&"b".into(), by);
    let few = judgement(&mut fuse, &stuck("b", "r.example/b:1"), &settings, 30);
    assert_eq!(few, Judgement::Leave(Because::BelowLimit));
    // The image came: the next count is held as any.
    fuse.observe_call(call("a", "r.example/a:1", 40, None), &settings, after(40));
    assert_eq!(fuse.released(&"a".into()), None);
}

#[test]
fn who_is_released_is_ended_where_it_would_be_reported_but_not_in_a_dry_run() {
    let mut fuse = Fuse::default();
    let text = "[limits]\nmax_attempts = 1\nmin_elapsed = \"0s\"\n";
    let enforce = settings(text);
    let pod = PodFacts { restart_policy: "Always".into(), ..stuck("a", "img") };
    fuse.observe_call(call("a", "img", 1, Some(MISSING)), &enforce, after(1));
    let report = Judgement::Report(Because::RestartPolicyAlways);
    assert_eq!(judgement(&mut fuse, &pod, &enforce, 10), report);
    fuse.release(&"a".into(), Released { uid: 0, at: after(10) });
    assert_eq!(judgement(&mut fuse, &pod, &enforce, 10), Judgement::Fail);
    let dry_run = settings(&format!("mode = \"dry-run\"\n{text}"));
    assert_eq!(judgement(&mut fuse, &pod, &dry_run, 10), report);
}

#[test]
fn it_is_told_when_a_limit_will_be_reached_and_what_then() {
    let settings = settings("[limits]\nmax_attempts = 3\nmin_elapsed = \"5m\"");
    let mut fuse = Fuse::default();
    let pod = PodFacts { restart_policy: "Always".into(), ..stuck("a", "img") };
    for (at, reached) in [(0, 300), (290, 310)] {
        fuse.observe_call(call("a", "img", at, Some(MISSING)), &settings, after(at));
        let [opinion] = &fuse.judge(&pod, &settings, after(at))[..] else { panic!("one image") };
        assert_eq!(opinion.ruling.reached_at, Some(after(reached)));
        assert_eq!(opinion.ruling.only_reported, Some(Because::RestartPolicyAlways));
    }
}
