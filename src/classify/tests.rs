use super::*;
use crate::config::{Config, parse};

fn cause(message: &str) -> Cause {
    Classifier::new(&[]).classify(&Failure { message, ..Failure::default() })
}

fn class(message: &str) -> Class {
    cause(message).class
}

fn ruled(rules: &str, failure: &Failure<'_>) -> Cause {
    let Config { rules, .. } = parse(rules).unwrap();
    Classifier::new(&rules).classify(failure)
}

#[test]
fn the_table_compiles() {
    let classifier = Classifier::new(&[]);
    assert_eq!(classifier.patterns.len(), classifier.rules.len());
}

#[test]
fn an_images_name_is_no_cause() {
    for name in [
        "not-found/503:timeout",
        "denied",
        "timeout:denied",
        "r.corp/no-space-left-on-device/x509:401",
        "unauthorized.example:429/toomanyrequests@sha256:404",
    ] {
        let refused = format!(
            "Failed to pull image \"{name}\": rpc error: code = Unknown desc = failed to pull and \
             unpack image \"{name}\": failed to resolve reference \"{name}\": failed to do request: \
             Head \"https://{name}\": dial tcp 10.0.0.1:503: connect: connection refused"
        );
        assert_eq!(class(&refused), Class::ConnectionRefused, "{refused}");
        let strange = format!("Back-off pulling image \"{name}\": ErrImagePull: frobnicated");
        assert_eq!(class(&strange), Class::Unknown, "{strange}");
        let missing = format!(
            "initializing source docker://{name}: reading manifest timeout in {name}/x: manifest \
             unknown"
        );
        assert_eq!(class(&missing), Class::NotFound, "{missing}");
    }
}

#[test]
fn a_name_that_times_out_in_dns_is_dns() {
    let text =
        "dial tcp: lookup r.io on 10.0.0.2:53: read udp 10.0.0.3:1->10.0.0.2:53: i/o timeout";
    assert_eq!(class(text), Class::Dns);
}

#[test]
fn of_several_credentials_the_one_that_says_most_counts() {
    let both = |one: &str, other: &str| {
        let text = format!(
            "Failed to pull image \"r.io/x:1\": [rpc error: code = Unknown desc = {one}, rpc error: \
             code = Unknown desc = {other}]"
        );
        class(&text)
    };
    let (missing, denied) = ("manifest unknown", "unauthorized: authentication required");
    let (broken, strange) = ("unexpected status: 503", "frobnicated");
    for (one, other, class) in [
        (missing, denied, Class::NotFound),
        (denied, broken, Class::Registry5xx),
        (missing, broken, Class::Registry5xx),
        (denied, strange, Class::Unauthorized),
        (missing, "write /x: no space left on device", Class::NoSpace),
    ] {
        assert_eq!(both(one, other), class);
        assert_eq!(both(other, one), class);
    }
}

#[test]
fn a_mirror_counts_only_where_the_registry_leaves_doubt() {
    let text = |mirror: &str, registry: &str| {
        format!("(Mirrors also failed: [m.corp/x:1: {mirror}]): r.io/x:1: {registry}")
    };
    let (busy, missing) = ("received unexpected HTTP status: 503", "manifest unknown");
    assert_eq!(class(&text(busy, missing)), Class::NotFound);
    assert_eq!(class(&text(missing, busy)), Class::Registry5xx);
    assert_eq!(class(&text(missing, "authentication required")), Class::Unauthorized);
    assert_eq!(class(&text(busy, "authentication required")), Class::Registry5xx);
}

#[test]
fn what_a_broken_registry_says_of_itself_is_not_the_nodes_fault() {
    let text = "unexpected status code https://r.io/v2/x: 500 Internal Server Error - Server \
        message: unknown: write /data: no space left on device";
    assert_eq!(class(text), Class::Registry5xx);
}

#[test]
fn not_found_is_believed_of_a_registry_only() {
    for text in [
        "failed to pull and unpack image \"r.io/x:1\": content digest sha256:00ff: not found",
        "failed to stat snapshot sha256:00ff: not found",
        "lease \"abc\": not found",
        "snapshotter \"stargz\" not found: not found",
        "no pull hosts: not found",
        "no match for platform in manifest: not found",
    ] {
        assert_ne!(class(text), Class::NotFound, "{text}");
    }
}

#[test]
fn the_nodes_own_pause_image_is_the_nodes_fault() {
    let found = cause(
        "failed to get sandbox image \"r.io/pause:3\": failed to pull image \"r.io/pause:3\": failed \
         to resolve reference \"r.io/pause:3\": r.io/pause:3: not found",
    );
    assert_eq!((found.class, found.disposition), (Class::NotFound, Disposition::NodeFault));
    assert!(found.advice.contains("sandbox_image"), "{}", found.advice);
}

#[test]
fn without_a_text_reason_and_code_help() {
    let classifier = Classifier::new(&[]);
    let of =
        |code, reason| classifier.classify(&Failure { code, reason, ..Failure::default() }).class;
    assert_eq!(of(None, Some("InvalidImageName")), Class::InvalidReference);
    assert_eq!(of(None, Some("ErrImageNeverPull")), Class::NeverPull);
    assert_eq!(of(None, Some("SignatureValidationFailed")), Class::Signature);
    assert_eq!(of(Some(Code::Unavailable), Some("ErrImagePull")), Class::RuntimeDown);
    assert_eq!(of(Some(Code::DeadlineExceeded), None), Class::Timeout);
    assert_eq!(of(Some(Code::NotFound), None), Class::Unknown);
    assert_eq!(of(None, None), Class::Unknown);
}

#[test]
fn a_mirror_that_failed_is_named() {
    let found = cause(
        "failed to pull and unpack image \"docker.io/library/nginx:1\": failed to resolve reference \
         \"docker.io/library/nginx:1\": unexpected status from HEAD request to \
         https://mirror.corp/v2/library/nginx/manifests/1?ns=docker.io: 403 Forbidden",
    );
    assert_eq!(found.host.as_deref(), Some("mirror.corp"));
    assert!(found.advice.contains("the mirror mirror.corp failed"), "{}", found.advice);
    assert!(found.advice.contains("docker.io itself"), "{}", found.advice);
    let own = cause("failed to resolve reference \"r.io/x:1\": r.io/x:1: not found");
    assert!(!own.advice.contains("itself"), "{}", own.advice);
}

#[test]
fn a_registry_by_its_address_is_no_mirror_but_a_proxy_is_named() {
    let of = |message| {
        let image = Some("r.io/x:1");
        Classifier::new(&[]).classify(&Failure { message, image, ..Failure::default() })
    };
    let refused = of("dial tcp 10.0.0.9:443: connect: connection refused");
    assert_eq!(refused.host.as_deref(), Some("10.0.0.9:443"));
    assert!(!refused.advice.contains("itself"), "{}", refused.advice);
    let proxy =
        of("Get \"https://r.io/v2/\": proxyconnect tcp: dial tcp 10.0.0.1:3128: i/o timeout");
    assert_eq!((proxy.class, proxy.host.as_deref()), (Class::Proxy, Some("10.0.0.1:3128")));
    assert!(proxy.advice.contains("10.0.0.1:3128, not r.io itself"), "{}", proxy.advice);
}

#[test]
fn the_users_rules_come_first_in_order() {
    let failure = Failure {
        message: "reading manifest 1 in r.corp:5000/x: manifest unknown: index is rebuilt",
        code: Some(Code::Unknown),
        ..Failure::default()
    };
    let both = ruled(
        "[[rules]]\nname = \"rebuild\"\nmatch = \"index is re\"\nclass = \"registry_5xx\"\n\
         [[rules]]\nname = \"second\"\ncode = \"Unknown\"\nclass = \"dns\"\n",
        &failure,
    );
    assert_eq!((both.class, both.rule.as_str()), (Class::Registry5xx, "rebuild"));
    assert_eq!(both.disposition, Disposition::Transient);
    assert!(both.advice.contains("registry itself fails"), "{}", both.advice);

    let by_host = ruled(
        "[[rules]]\nregistry = \"r.*\"\ndisposition = \"transient\"\nadvice = \"ask us\"\n",
        &failure,
    );
    assert_eq!((by_host.class, by_host.disposition), (Class::NotFound, Disposition::Transient));
    assert_eq!((by_host.rule.as_str(), by_host.advice.as_str()), ("rules[0]", "ask us"));

    let kubelets = Failure {
        message: "Failed to pull image \"x\": rpc error: code = NotFound desc = odd",
        ..Failure::default()
    };
    assert_eq!(ruled("[[rules]]\ncode = 5\nclass = \"dns\"\n", &kubelets).class, Class::Dns);

    let all_must_hold = ruled(
        "[[rules]]\nmatch = \"index\"\ncode = \"NotFound\"\nclass = \"dns\"\n\
         [[rules]]\nmatch = \"index\"\nregistry = \"*.io\"\nclass = \"dns\"\n",
        &failure,
    );
    assert_eq!(all_must_hold.class, Class::NotFound);
}
