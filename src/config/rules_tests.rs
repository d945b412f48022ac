use crate::{
    classify::{Class, Code, Disposition},
    config::parse,
};

#[test]
fn a_rule_has_conditions_and_results() {
    let config = parse(
        r#"
        [[rules]]
        name = "scanner"
        match = "(?i)held back by scanner"
        registry = "*.example.com"
        code = "NotFound"
        class = "forbidden"
        disposition = "permanent"
        advice = "ask security"
        [[rules]]
        code = 14
        disposition = "node_fault"
        "#,
    )
    .unwrap();
    let [first, second] = &config.rules[..] else { panic!("{:?}", config.rules) };
    assert_eq!(first.name.as_deref(), Some("scanner"));
    assert_eq!((first.code, first.class), (Some(Code::NotFound), Some(Class::Forbidden)));
    assert_eq!(first.disposition, Some(Disposition::Permanent));
    assert_eq!((second.code, second.class), (Some(Code::Unavailable), None));
}

/// Each wrong rule, and the words a user needs to mend it.
#[test]
fn a_wrong_rule_is_refused_with_key_line_and_what_is_allowed() {
    let huge = format!("match = \"{}\"\nclass = \"dns\"", r"(?:\\p{L}{100}){100}");
    for (text, words) in [
        ("class = \"dns\"", &["rules[0]", "line 1", "condition", "match", "registry", "code"][..]),
        ("match = \"x\"", &["rules[0]", "line 1", "result", "class", "disposition"]),
        ("match = \"\"\nclass = \"dns\"", &["rules[0].match", "line 2", "every text"]),
        (
            "match = \"a(\"\nclass = \"dns\"",
            &["rules[0].match", "line 2", "unclosed group", "(?i)"],
        ),
        (&huge, &["rules[0].match", "line 2", "split it"]),
        ("match = 3\nclass = \"dns\"", &["rules[0].match", "line 2", "string"]),
        ("registry = \"[a\"\nclass = \"dns\"", &["rules[0].registry", "line 2", "no pattern"]),
        ("registry = \"r.io/x\"\nclass = \"dns\"", &["rules[0].registry", "line 2", "no host"]),
        (
            "code = \"Missing\"\nclass = \"dns\"",
            &["rules[0].code", "line 2", "NotFound", "0 to 16"],
        ),
        ("code = 17\nclass = \"dns\"", &["rules[0].code", "line 2", "0 to 16"]),
        (
            "match = \"x\"\nclass = \"missing\"",
            &["rules[0].class", "line 3", "missing", "not_found"],
        ),
        (
            "match = \"x\"\ndisposition = \"maybe\"",
            &["rules[0].disposition", "line 3", "permanent", "node_fault"],
        ),
        ("match = \"x\"\nclas = \"dns\"", &["rules[0]", "line 3", "clas", "class"]),
    ] {
        let text = format!("[[rules]]\n{text}\n");
        let error = parse(&text).expect_err(&text);
        for word in words {
            assert!(error.contains(word), "{text:?}: the error lacks {word:?}: {error}");
        }
    }
}
