use jiff::SignedDuration;

use super::*;
use crate::{
    fixtures::start,
    fuse::{By, Held},
    policy::Because,
};

const MISSING: &str = "rpc error: code = NotFound desc = failed to resolve image: not found";
const BUSY: &str = "unexpected status from HEAD request to https://r.example/v2/: 503";

fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

fn simulation(toml: &str) -> Simulation {
    Simulation::new(Settings::new(crate::config::parse(toml).unwrap()), start())
}

fn key(pod: &str, image: &str) -> PullKey {
    PullKey { pod_uid: pod.into(), image: format!("r.example/{image}") }
}

impl Simulation {
    fn hears(&mut self, pod: &str, image: &str, at: i64, error: Option<&str>) {
        self.hear(Call {
            key: key(pod, image),
            namespace: "batch".into(),
            pod: pod.into(),
            started: after(at),
            ended: after(at),
            error: error.map(str::to_owned),
        });
    }

    fn outlook(&self, pod: &str, image: &str) -> Outlook {
        self.fate(&key(pod, image)).unwrap().outlook.clone()
    }
}

#[test]
fn a_verdict_falls_when_the_time_is_over_even_between_calls() {
    let mut all = simulation("[limits]\nmax_attempts = 2\nmin_elapsed = \"1m\"");
    all.hears("p", "gone", 1, Some(MISSING));
    assert_eq!(all.outlook("p", "gone"), Outlook::Leave(Because::BelowLimit));
    all.hears("p", "gone", 20, Some(MISSING));
    assert_eq!(all.outlook("p", "gone"), Outlook::Wait { until: after(61) });
    all.pass(after(60));
    assert_eq!(all.outlook("p", "gone"), Outlook::Wait { until: after(61) });
    all.pass(after(500));
    assert_eq!(all.outlook("p", "gone"), Outlook::Fail { at: after(61) });
    assert_eq!(all.fuse().attempts().iter().count(), 0, "an ended pod is forgotten");
}

#[test]
fn a_verdict_stays_and_what_comes_after_it_speaks_against_it() {
    let mut all = simulation("[limits]\nmax_attempts = 1\nmin_elapsed = \"0s\"");
    all.hears("p", "sidecar", 0, Some(BUSY));
    all.hears("p", "gone", 1, Some(MISSING));
    all.hears("p", "gone", 20, Some(MISSING));
    all.hears("p", "gone", 40, None);
    let fate = all.fate(&key("p", "gone")).unwrap();
    // As soon as it is sure that there is no other credential.
    assert_eq!((&fate.outlook, fate.attempts), (&Outlook::Fail { at: after(6) }, 1));
    assert_eq!(fate.came, Some(after(40)));
    assert_eq!(all.outlook("p", "sidecar"), Outlook::Leave(Because::NotPending));
}

#[test]
fn what_came_is_told_apart_by_whether_it_failed_before() {
    let mut all = simulation("");
    all.hears("p", "late", 1, Some(MISSING));
    all.hears("p", "late", 15, None);
    all.hears("p", "good", 16, None);
    let fate = |image| all.fate(&key("p", image)).unwrap();
    assert_eq!((&fate("late").outlook, fate("late").attempts), (&Outlook::Recovered, 1));
    assert_eq!((&fate("good").outlook, fate("good").attempts), (&Outlook::Pulled, 0));
    all.hears("p", "late", 30, Some(MISSING));
    let fate = all.fate(&key("p", "late")).unwrap();
    assert_eq!((fate.attempts, fate.came), (1, None), "it fails anew");
}

#[test]
fn no_pod_is_ended_while_a_pull_for_it_goes_on() {
    let mut all = simulation("[limits]\nmax_attempts = 1\nmin_elapsed = \"1m\"");
    all.hears("p", "gone", 0, Some(MISSING));
    all.set_pulling(["p".into()].into());
    all.pass(after(100));
    // Its time came while a pull went on, of any image.
    all.hears("p", "slow", 110, Some(BUSY));
    assert_eq!(all.outlook("p", "gone"), Outlook::Pulling);
    all.set_pulling(BTreeSet::new());
    all.pass(after(120));
    assert!(matches!(all.outlook("p", "gone"), Outlook::Fail { at } if at == after(110)));
}

#[test]
fn the_end_of_an_outage_and_room_under_a_cap_are_awaited() {
    let mut all = simulation(
        "[limits]\nmax_attempts = 1\nmin_elapsed = \"0s\"\n[breaker]\nimages = 2\nhold = \"30m\"\n\
         [caps]\nper_node = 1\nwindow = \"5m\"",
    );
    all.hears("z", "a", 0, Some(BUSY));
    all.hears("z", "b", 1, Some(MISSING));
    all.hears("a", "c", 2, Some(MISSING));
    all.pass(after(10));
    let Outlook::Held(Held { by: By::Breaker { registry, .. }, until }) = all.outlook("z", "b")
    else {
        panic!("held")
    };
    assert_eq!((registry.as_str(), until), ("r.example", after(1801)));
    all.pass(after(1801));
    assert_eq!(all.outlook("z", "b"), Outlook::Fail { at: after(1801) }, "the first to fail");
    let Outlook::Held(held) = all.outlook("a", "c") else { panic!("held") };
    assert_eq!((held.by.as_str(), held.until), ("per_node", after(2101)));
    all.pass(after(9999));
    assert_eq!(all.outlook("a", "c"), Outlook::Fail { at: after(2101) });
}

#[test]
fn a_dry_run_says_each_verdict_once_and_goes_on_counting() {
    let mut all =
        simulation("mode = \"dry-run\"\n[limits]\nmax_attempts = 1\nmin_elapsed = \"0s\"");
    all.hears("p", "gone", 1, Some(MISSING));
    all.hears("p", "gone", 20, Some(MISSING));
    let fate = all.fate(&key("p", "gone")).unwrap();
    assert!(fate.dry_run);
    assert_eq!((&fate.outlook, fate.attempts), (&Outlook::Fail { at: after(6) }, 1));
    assert_eq!(all.fuse().attempts().get(&key("p", "gone")).unwrap().attempts, 2);
}
