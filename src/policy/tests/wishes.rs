use super::*;

fn asks(attempts: Option<&str>, mode: Option<&str>) -> PodFacts {
    changed(|p| {
        p.asked.max_attempts = attempts.map(str::to_owned);
        p.asked.mode = mode.map(str::to_owned);
    })
}

const BELOW: Decision = Decision::Leave(Because::BelowLimit);

#[test]
fn a_pod_may_ask_for_more_or_fewer_attempts() {
    assert_eq!(fate("", &asks(Some("2"), None), &tally(2)), Decision::Fail);
    assert_eq!(
        fate("", &asks(Some("2"), None), &failed_of(&[(Class::Unknown, 2)])),
        Decision::Fail
    );
    assert_eq!(fate("", &asks(Some("50"), None), &tally(49)), BELOW);
    assert_eq!(fate("", &asks(Some("50"), None), &tally(50)), Decision::Fail);
}

#[test]
fn no_wish_makes_fail_what_never_does() {
    let pod = asks(Some("1"), None);
    for class in [Class::Dns, Class::NoSpace] {
        assert!(matches!(fate("", &pod, &failed_of(&[(class, 99)])), Decision::Leave(_)));
    }
    let never = "[limits]\nmax_attempts = \"never\"";
    assert_eq!(fate(never, &pod, &tally(99)), Decision::Leave(Because::NeverLimit));
    let patient = "[limits.class.dns]\nmax_attempts = 30";
    assert_eq!(fate(patient, &pod, &failed_of(&[(Class::Dns, 29)])), BELOW);
}

#[test]
fn a_number_that_is_none_or_not_allowed_is_said_and_the_default_holds() {
    let bounds = "[annotations]\nmax_attempts = { min = 2, max = 50 }";
    for text in ["1", "51", "0", "-3", "", "five", "3.5", "99999999999999", "٣"] {
        let pod = asks(Some(text), None);
        let ruling = policy(bounds).judge(&pod, "img", &tally(4), after(LONG));
        assert_eq!((ruling.decision, ruling.limit), (BELOW, Some(5)), "{text}");
        let [sentence] = ruling.bad_annotations.as_slice() else { panic!("{text}: not said") };
        for words in ["pullfuse.io/max-attempts", text, "2 to 50"] {
            assert!(sentence.contains(words), "lacks {words}: {sentence}");
        }
    }
    let good = policy(bounds).judge(&asks(Some(" 2 "), None), "img", &tally(4), after(LONG));
    assert_eq!((good.decision, good.bad_annotations), (Decision::Fail, vec![]));
    let most = policy(bounds).judge(&asks(Some("50"), None), "img", &tally(4), after(LONG));
    assert_eq!((most.limit, most.bad_annotations), (Some(50), vec![]));
}

#[test]
fn a_mode_only_makes_it_milder() {
    let ignored = Decision::Leave(Because::IgnoredByAnnotation);
    let reported = Decision::Report(Because::ReportedByAnnotation);
    assert_eq!(fate("", &asks(None, Some("ignore")), &tally(9)), ignored);
    assert_eq!(fate("", &asks(None, Some("report")), &tally(9)), reported);
    let with = |action: &str, mode| {
        let toml = format!("[[scopes]]\nname = \"s\"\naction = \"{action}\"");
        fate(&toml, &asks(None, Some(mode)), &tally(9))
    };
    assert_eq!(with("report", "ignore"), ignored);
    assert_eq!(with("report", "report"), Decision::Report(Because::ReportedByScope));
    assert_eq!(with("ignore", "report"), Decision::Leave(Because::IgnoredByScope));
}

#[test]
fn a_mode_that_is_none_is_said_and_the_default_holds() {
    for text in ["fail", "Ignore", "", "enforce"] {
        let ruling = policy("").judge(&asks(None, Some(text)), "img", &tally(9), after(LONG));
        assert_eq!(ruling.decision, Decision::Fail);
        let [sentence] = ruling.bad_annotations.as_slice() else { panic!("{text}: not said") };
        for words in ["pullfuse.io/mode", text, "ignore", "report"] {
            assert!(sentence.contains(words), "lacks {words}: {sentence}");
        }
    }
}

#[test]
fn an_admin_may_hear_neither() {
    let deaf = "[annotations]\nmax_attempts = false\nmode = false";
    let pod = asks(Some("2"), Some("ignore"));
    assert_eq!(fate(deaf, &pod, &tally(4)), BELOW);
    let ruling = policy(deaf).judge(&pod, "img", &tally(5), after(LONG));
    assert_eq!(ruling.decision, Decision::Fail);
    assert_eq!(ruling.bad_annotations.len(), 2);
    assert!(ruling.bad_annotations.iter().all(|sentence| sentence.contains("not allowed")));
}
