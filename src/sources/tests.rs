use super::*;
use crate::fixtures::start;

fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

fn seconds(seconds: i64) -> Option<SignedDuration> {
    Some(SignedDuration::from_secs(seconds))
}

fn fails(sources: &mut Sources, image: &str, host: Option<&str>, class: Class, at: i64) {
    sources.failed(Failure { image, host, cause: class.into() }, after(at));
}

#[test]
fn an_image_counts_its_failures_until_it_comes() {
    let mut sources = Sources::default();
    fails(&mut sources, "r.example/a:1", None, Class::Unknown, 1);
    fails(&mut sources, "r.example/a:1", Some("m.example"), Class::Registry5xx, 2);
    let image = sources.images["r.example/a:1"].clone();
    assert_eq!((image.failures, image.class), (2, Some(Class::Registry5xx)));
    assert_eq!((image.host.as_deref(), image.last_success), (Some("m.example"), None));
    sources.came("r.example/a:1", seconds(3), after(9));
    sources.came("r.example/a:1", None, after(12));
    let image = sources.images["r.example/a:1"].clone();
    assert_eq!((image.failures, image.last_success), (0, Some(after(12))));
    assert_eq!((image.last_pull, image.last_failure), (seconds(3), Some(after(2))));
}

#[test]
fn a_registry_is_up_when_it_answers_be_it_that_there_is_no_such_image() {
    let mut sources = Sources::default();
    let down = |sources: &Sources| sources.registries["r.example"].down;
    for (class, expected) in [
        (Class::NotFound, false),
        (Class::Registry5xx, true),
        (Class::Unauthorized, false),
        (Class::ConnectionRefused, true),
        (Class::ContentLock, false),
        (Class::X509, true),
    ] {
        fails(&mut sources, "r.example/a:1", None, class, 1);
        assert_eq!(down(&sources), expected, "{class:?}");
    }
    sources.came("r.example/b:1", None, after(2));
    assert!(!down(&sources));
    fails(&mut sources, "r.example/a:1", None, Class::NoSpace, 3);
    assert_eq!(sources.registries["r.example"].last_failure, Some(after(1)), "the node's fault");
}

#[test]
fn a_mirror_has_its_own_failures_and_no_successes() {
    let mut sources = Sources::default();
    fails(&mut sources, "docker.io/library/a:1", Some("M.example:5000"), Class::Dns, 1);
    sources.came("a:1", seconds(2), after(2));
    let mirror = &sources.registries["m.example:5000"];
    assert_eq!(mirror.mirror_of, ["docker.io".to_owned()].into());
    assert_eq!(mirror.numbers(after(3)), Numbers { succeeded: 0, failed: 1, median: None });
    let own = &sources.registries["docker.io"];
    assert!(own.mirror_of.is_empty());
    assert_eq!(own.numbers(after(3)), Numbers { succeeded: 1, failed: 0, median: seconds(2) });
}

#[test]
fn numbers_are_those_of_the_last_day_and_the_median_is_no_mean() {
    let mut sources = Sources::default();
    for took in [1, 100, 2] {
        sources.came("r.example/a:1", seconds(took), after(took));
    }
    fails(&mut sources, "r.example/a:1", None, Class::Dns, 100);
    let numbers = sources.registries["r.example"].numbers(after(100));
    assert_eq!(numbers, Numbers { succeeded: 3, failed: 1, median: seconds(2) });
    let numbers = sources.registries["r.example"].numbers(after(24 * 3600 + 50));
    assert_eq!(numbers, Numbers { succeeded: 1, failed: 1, median: seconds(100) });
}

#[test]
fn strangers_names_fill_no_memory_and_what_fails_stays_longest() {
    let mut sources = Sources::default();
    fails(&mut sources, "old.example/fails:1", None, Class::NotFound, 0);
    for n in 0..2000 {
        sources.came(&format!("r{n}.example/a:{n}"), None, after(n + 1));
    }
    fails(&mut sources, &"x".repeat(5000), Some(&"h".repeat(5000)), Class::NotFound, 1);
    assert_eq!(sources.images.len(), MOST_IMAGES);
    assert!(sources.images.contains_key("old.example/fails:1"));
    assert_eq!(sources.registries.len(), MOST_REGISTRIES);
    let text = serde_json::to_string(&sources).unwrap();
    assert_eq!(serde_json::from_str::<Sources>(&text).unwrap(), sources);
}
