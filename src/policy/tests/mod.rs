use jiff::SignedDuration;

use super::*;
use crate::{
    attempts::Causes,
    classify::Class,
    fixtures::{failed, pod, start, tally},
};

mod limits;
mod protection;
mod scopes;
mod wishes;

/// Longer than any limit.
const LONG: i64 = 100_000;

fn policy(toml: &str) -> Policy {
    Policy::new(&crate::config::parse(toml).expect(toml))
}

/// Pending, restartPolicy Never, in namespace batch; its image img cannot be pulled.
fn stuck() -> PodFacts {
    pod(Some(failed()))
}

fn changed(change: impl FnOnce(&mut PodFacts)) -> PodFacts {
    let mut pod = stuck();
    change(&mut pod);
    pod
}

fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

/// A tally of attempts that failed of these, in this order.
fn failed_of(causes: &[(Class, u32)]) -> Tally {
    let each = causes.iter().flat_map(|(class, times)| (0..*times).map(|_| Judged::from(*class)));
    let mut noted = Causes::default();
    let mut attempts = 0;
    for cause in each {
        attempts += 1;
        noted.set_last(attempts, cause);
    }
    Tally { attempts, causes: noted, ..tally(1) }
}

/// What happens, long after the first attempt, to this pod with these attempts.
fn fate(toml: &str, pod: &PodFacts, tally: &Tally) -> Decision {
    policy(toml).judge(pod, "img", tally, after(LONG)).decision
}
