use jiff::SignedDuration;

use super::*;
use crate::{
    classify::{Class, Disposition},
    fixtures::{cause, start, tally},
    metrics::{Kind, table::ALL},
};

fn key(image: &str) -> PullKey {
    PullKey { pod_uid: format!("uid of {image}"), image: image.into() }
}

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text
}

fn config(registries: u32, namespaces: bool) -> config::Metrics {
    config::Metrics { registries, namespaces }
}

fn metrics(config: &config::Metrics) -> (Metrics, Registry) {
    let mut registry = Registry::with_prefix(crate::metrics::PREFIX);
    (Metrics::new(&mut registry, config), registry)
}

fn missing(host: Option<&str>) -> Cause {
    let (class, disposition) = (Class::NotFound, Disposition::Permanent);
    Cause { class, disposition, host: host.map(str::to_owned), ..cause() }
}

#[test]
fn attempts_are_told_apart_by_the_host_that_failed() {
    let (metrics, registry) = metrics(&config(20, false));
    let tally = tally(1);
    metrics.attempt(&key("r.example/a:1"), &tally, &missing(None), start());
    metrics.attempt(&key("r.example/b:1"), &tally, &missing(Some("m.example")), start());
    metrics.attempt(&key("UPPER CASE"), &tally, &missing(None), start());
    let seen = text(&registry);
    for (name, number) in [("r.example", 1), ("m.example", 1), ("none", 1)] {
        let labels = format!("class=\"not_found\",source=\"pod-status\",registry=\"{name}\"");
        let line = format!("pullfuse_attempts_total{{{labels}}} {number}\n");
        assert!(seen.contains(&line), "lacks {line}{seen}");
        let line = format!("pullfuse_failing_images{{registry=\"{name}\"}} 1\n");
        assert!(seen.contains(&line), "lacks {line}{seen}");
    }
    metrics.fails_no_more(&key("r.example/a:1"));
    assert!(!text(&registry).contains("pullfuse_failing_images{registry=\"r.example\"}"));
}

#[test]
fn no_more_series_than_allowed_whatever_pods_ask_for() {
    let (metrics, registry) = metrics(&config(3, true));
    let before = text(&registry).lines().count();
    for number in 0..500 {
        let mut tally = tally(1);
        tally.namespace = format!("ns{}", number % 300);
        let image = format!("r{}.example/a:1", number % 250);
        metrics.attempt(&key(&image), &tally, &missing(None), start());
        metrics.breakers([(format!("r{number}.example").as_str(), "open")].into_iter());
    }
    let seen = text(&registry);
    let registries = seen.lines().filter_map(|line| line.split("registry=\"").nth(1));
    let registries: std::collections::BTreeSet<_> =
        registries.filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(registries.len(), 4, "{registries:?}");
    let lines = seen.lines().count() - before;
    assert!(lines <= 2 * 4 * 101 + 20, "{lines} more lines");
}

#[test]
fn series_of_registries_that_are_gone_end() {
    let (metrics, registry) = metrics(&config(20, true));
    metrics.attempt(&key("gone.example/a:1"), &tally(1), &missing(None), start());
    metrics.verdict("fail", "held", "batch");
    let later = start() + SignedDuration::from_hours(5);
    metrics.attempt(&key("here.example/a:1"), &tally(1), &missing(None), later);
    metrics.fails_no_more(&key("gone.example/a:1"));
    metrics.sweep(start() + SignedDuration::from_hours(6));
    let seen = text(&registry);
    assert!(!seen.contains("gone.example") && seen.contains("here.example"), "{seen}");
    assert!(seen.contains("outcome=\"held\",pod_namespace=\"batch\"} 1"), "{seen}");
    metrics.configure(&config(20, false), later);
    let seen = text(&registry);
    assert!(!seen.contains("pod_namespace"), "{seen}");
}

#[test]
fn every_family_of_the_table_is_registered_as_what_it_is() {
    let (metrics, mut registry) = metrics(&config(20, false));
    // Families without series are not shown.
    metrics.attempt(&key("r.example/a:1"), &tally(1), &missing(None), start());
    metrics.capture_mode(None);
    metrics.heard(&capture::Counters::default(), &wire::Counters::default());
    metrics.breaker_changed("open");
    metrics.breakers([("r.example", "open")].into_iter());
    metrics.held_back([("breaker", 1), ("per_node", 0), ("per_namespace", 0), ("unheard", 0)]);
    let health = crate::serve::Health::new(&mut registry, &["pods"]);
    health.set("pods", crate::serve::Condition::Good("fine".into()));
    super::super::register(&mut registry, Default::default(), "/nowhere".into())
        .with(["status", "ok"])
        .observe(1.0);
    super::super::reload::Metrics::new(&mut registry);
    crate::act::Metrics::new(&mut registry);
    registry.register_collector(Box::new(crate::pulls::Pulls::default()));
    let seen = text(&registry);
    let mut shown: Vec<&str> =
        seen.lines().filter_map(|line| line.strip_prefix("# TYPE pullfuse_")).collect();
    let mut declared: Vec<String> = ALL
        .iter()
        .map(|spec| {
            let kind = match spec.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
                Kind::Info => "info",
            };
            format!("{} {kind}", spec.name)
        })
        .collect();
    shown.sort_unstable();
    declared.sort_unstable();
    assert_eq!(shown, declared);
}
