//! The tables that say who is ended when.

use jiff::SignedDuration;

use super::parse;
use crate::{
    classify::{Class, Disposition},
    config::{
        Action, Annotations, Bounds, Breaker, Caps, InForce, MaxAttempts, Mode, RestartPolicy,
    },
};

fn limit(attempts: u32, minutes: i64) -> InForce {
    InForce {
        max_attempts: MaxAttempts::Number(attempts),
        min_elapsed: SignedDuration::from_mins(minutes),
    }
}

#[test]
fn an_empty_file_has_the_documented_defaults() {
    let config = parse("").unwrap();
    assert_eq!(config.limits.of_disposition(Disposition::Permanent), limit(5, 1));
    assert_eq!(config.limits.of_disposition(Disposition::Ambiguous), limit(8, 1));
    for disposition in [Disposition::Transient, Disposition::NodeFault] {
        let never = InForce { max_attempts: MaxAttempts::Never, ..limit(1, 1) };
        assert_eq!(config.limits.of_disposition(disposition), never);
    }
    assert_eq!(config.scopes, []);
    let bounds = Bounds { min: 1, max: 100 };
    assert_eq!(config.annotations, Annotations { max_attempts: Some(bounds), mode: true });
    let window = SignedDuration::from_mins(10);
    assert_eq!(config.caps, Caps { per_node: 30, per_namespace: 20, window });
    let hold = SignedDuration::from_mins(30);
    assert_eq!(config.breaker, Breaker { images: 5, window, hold });
}

#[test]
fn every_key_can_be_set() {
    let config = parse(
        r#"
        [limits]
        max_attempts = 3
        min_elapsed = "2m"
        [limits.ambiguous]
        max_attempts = 9
        [limits.transient]
        max_attempts = 40
        min_elapsed = "6h"
        [limits.node_fault]
        max_attempts = "never"
        [limits.class.rate_limited]
        max_attempts = 30
        [[scopes]]
        name = "ci"
        namespaces = ["ci-*"]
        labels = "team=build,!keep"
        owners = ["Job", "none"]
        restart_policies = ["Never", "OnFailure", "Always"]
        images = ["r.example/team/*"]
        registries = ["*.example"]
        priority_classes = ["batch-*"]
        action = "report"
        mode = "dry-run"
        limits = { max_attempts = 2, class.dns.max_attempts = 12 }
        [[scopes]]
        name = "rest"
        [annotations]
        max_attempts = { min = 2, max = 50 }
        mode = false
        [caps]
        per_node = 3
        per_namespace = 2
        window = "1h"
        [breaker]
        images = 0
        window = "5m"
        hold = "1h"
        "#,
    )
    .unwrap();
    assert_eq!(config.limits.of_disposition(Disposition::Ambiguous), limit(9, 2));
    assert_eq!(config.limits.of_cause(Class::Dns, Disposition::Transient), limit(40, 360));
    assert_eq!(config.limits.of_cause(Class::RateLimited, Disposition::Transient), limit(30, 360));
    let [ci, rest] = config.scopes.as_slice() else { panic!("two scopes") };
    assert_eq!((ci.name.as_str(), ci.action, ci.mode), ("ci", Action::Report, Some(Mode::DryRun)));
    assert_eq!(ci.labels.as_ref().unwrap().to_string(), "team=build,!keep");
    assert_eq!(ci.restart_policies.as_ref().unwrap()[2], RestartPolicy::Always);
    assert_eq!(ci.limits.of_cause(Class::Dns, Disposition::Transient), limit(12, 1));
    assert_eq!((rest.action, rest.mode, &rest.namespaces), (Action::Fail, None, &None));
    let bounds = Bounds { min: 2, max: 50 };
    assert_eq!(config.annotations, Annotations { max_attempts: Some(bounds), mode: false });
    assert_eq!(config.caps.per_namespace, 2);
    assert_eq!((config.breaker.images, config.breaker.hold), (0, SignedDuration::from_hours(1)));
}

#[test]
fn bounds_may_be_given_in_part_or_refused() {
    let of = |text: &str| parse(&format!("[annotations]\nmax_attempts = {text}")).unwrap();
    assert_eq!(of("{ max = 9 }").annotations.max_attempts, Some(Bounds { min: 1, max: 9 }));
    assert_eq!(of("true").annotations.max_attempts, Some(Bounds::default()));
    assert_eq!(of("false").annotations.max_attempts, None);
}

/// Each wrong input, and the words a user needs to mend it.
#[test]
fn a_wrong_value_is_refused_with_key_and_allowed_values() {
    let scope = |line: &str| format!("[[scopes]]\nname = \"a\"\n{line}");
    for (text, words) in [
        (
            "[limits]\nmax_attempts = \"soon\"".into(),
            &["limits.max_attempts", "line 2", "never"][..],
        ),
        ("[limits]\nmax_attempts = true".into(), &["limits.max_attempts", "line 2", "never"]),
        (
            "[limits.transient]\nmax_attempts = 0".into(),
            &["limits.transient.max_attempts", "line 2", "never"],
        ),
        (
            "[limits.ambiguous]\nattempts = 1".into(),
            &["limits.ambiguous", "line 2", "max_attempts"],
        ),
        (
            "[limits.class.lost]\nmax_attempts = 1".into(),
            &["limits.class", "line 1", "lost", "not_found"],
        ),
        (
            "[limits.class.dns]\nmin_elapsed = \"2d\"".into(),
            &["limits.class.dns.min_elapsed", "line 2"],
        ),
        ("[[scopes]]\naction = \"fail\"".into(), &["scopes", "name"]),
        (scope("actions = \"fail\""), &["scopes[0]", "line 3", "actions", "action"]),
        (scope("action = \"kill\""), &["scopes[0].action", "line 3", "fail", "report", "ignore"]),
        (scope("mode = \"off\""), &["scopes[0].mode", "line 3", "enforce", "dry-run"]),
        (scope("namespaces = []"), &["scopes[0].namespaces", "line 3", "leave the key out"]),
        (scope("namespaces = \"a\""), &["scopes[0].namespaces", "line 3", "sequence"]),
        (
            scope("namespaces = [\"a\", \"[\"]"),
            &["scopes[0].namespaces[1]", "line 3", "`[`", "ci-*"],
        ),
        (scope("images = [\"\"]"), &["scopes[0].images[0]", "line 3", "empty"]),
        (scope("labels = \"a of b\""), &["scopes[0].labels", "line 3", "a of b", "!keep"]),
        (scope("owners = [\"job\"]"), &["scopes[0].owners", "line 3", "job", "\"Job\"", "none"]),
        (scope("owners = []"), &["scopes[0].owners", "line 3", "leave the key out"]),
        (
            scope("restart_policies = [\"never\"]"),
            &["scopes[0].restart_policies", "line 3", "Never", "Always"],
        ),
        (scope("limits = { max_attempts = 0 }"), &["scopes[0].limits.max_attempts", "line 3"]),
        ("[[scopes]]\nname = \"a b\"".into(), &["scopes[0].name", "line 2", "a b", "letters"]),
        ("[[scopes]]\nname = \"a\"\n[[scopes]]\nname = \"a\"".into(), &["scopes", "`a`"]),
        (
            "[annotations]\nmax_attempts = 5".into(),
            &["annotations.max_attempts", "line 2", "min = 1"],
        ),
        (
            "[annotations]\nmax_attempts = { min = 5, max = 4 }".into(),
            &["annotations.max_attempts", "line 2", "min = 5", "max = 4"],
        ),
        (
            "[annotations]\nmax_attempts = { min = 0 }".into(),
            &["annotations.max_attempts.min", "line 2", "1 or more"],
        ),
        ("[annotations]\nmode = \"yes\"".into(), &["annotations.mode", "line 2", "boolean"]),
        ("[caps]\nper_node = 0".into(), &["caps.per_node", "line 2", "1 or more"]),
        ("[caps]\nper_pod = 1".into(), &["caps", "line 2", "per_pod", "per_namespace"]),
        ("[caps]\nwindow = \"0s\"".into(), &["caps.window", "line 2", "1s"]),
        ("[breaker]\nimages = 1".into(), &["breaker.images", "line 2", "2 or more", "0"]),
        ("[breaker]\nimages = 1000".into(), &["breaker.images", "line 2", "100"]),
        ("[breaker]\nhold = \"48h\"".into(), &["breaker.hold", "line 2", "24h"]),
    ] {
        let error = parse(&text).expect_err(&text);
        for word in words {
            assert!(error.contains(word), "{text:?}: the error lacks {word:?}: {error}");
        }
    }
}
