use super::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn selects(selector: &str, pairs: &[(&str, &str)]) -> bool {
    LabelSelector::parse(selector).expect(selector).matches(&labels(pairs))
}

#[test]
fn every_form_selects_as_kubectl_does() {
    let pod = [("team", "build"), ("tier", "a"), ("example.com/kind", ""), ("x-y_z.1", "V_1.2-b")];
    for (selector, selected) in [
        ("team=build", true),
        ("team==build", true),
        ("team=other", false),
        ("team!=other", true),
        ("team!=build", false),
        ("absent!=build", true),
        ("team", true),
        ("absent", false),
        ("!absent", true),
        ("!team", false),
        ("! absent", true),
        ("tier in (a, b)", true),
        ("tier in(b,c)", false),
        ("tier notin (b)", true),
        ("tier notin (a,b)", false),
        ("absent notin (a)", true),
        ("absent in (a)", false),
        ("example.com/kind=", true),
        ("example.com/kind", true),
        ("x-y_z.1 = V_1.2-b", true),
        ("team=build,tier in (a,b),!keep", true),
        ("team=build,tier in (a,b),!team", false),
    ] {
        assert_eq!(selects(selector, &pod), selected, "{selector}");
    }
}

#[test]
fn what_is_no_selector_is_refused_and_named() {
    for (selector, part) in [
        ("", "``"),
        ("team=build,", "``"),
        ("team=a=b", "`team=a=b`"),
        ("team in a", "`team in a`"),
        ("team in (a", "`team in (a`"),
        ("team of (a)", "`team of (a)`"),
        ("in (a)", "`in (a)`"),
        ("team > 3", "`team > 3`"),
        ("!", "`!`"),
        ("-team", "`-team`"),
        ("team-", "`team-`"),
        ("/team", "`/team`"),
        ("Example.com/team", "`Example.com/team`"),
        ("a/b/c", "`a/b/c`"),
        ("team=ä", "`team=ä`"),
        ("ok,tier=a b", "`tier=a b`"),
    ] {
        let error = LabelSelector::parse(selector).expect_err(selector);
        assert!(error.contains(part) && error.contains("!keep"), "{selector}: {error}");
    }
    let long = format!("team={}", "x".repeat(64));
    assert!(LabelSelector::parse(&long).is_err());
}

#[test]
fn the_text_can_be_read_again() {
    for text in ["a=b", "a!=b", "a in (b,c)", "a notin (b)", "a", "!a", "a=b,!c"] {
        let selector = LabelSelector::parse(text).unwrap();
        assert_eq!(selector.to_string(), text);
    }
}

#[test]
fn fewer_requirements_cover_more() {
    let parse = |text| LabelSelector::parse(text).unwrap();
    assert!(parse("a=b").covers(&parse("c,a=b")));
    assert!(!parse("c,a=b").covers(&parse("a=b")));
    assert!(!parse("a=b").covers(&parse("a=c")));
}
