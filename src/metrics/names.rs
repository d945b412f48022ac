//! Bounds the values of a label that strangers choose. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

/// The value for all names that have no series of their own.
pub const OTHER: &str = "other";

/// Traffic of this long ago counts half.
const HALF_LIFE: SignedDuration = SignedDuration::from_hours(1);
/// A name without traffic for this long loses its series.
const GONE_AFTER: SignedDuration = SignedDuration::from_hours(6);
/// A name must have this much more traffic than the least of those with series of their own to take
/// its place, so that two alike do not change places all the time.
const MORE_THAN: f64 = 2.0;
/// Names whose traffic is remembered, for each that has series of its own.
const REMEMBERED: usize = 4;

/// The names with the most traffic; the rest is [`OTHER`].
#[derive(Debug)]
pub struct Names {
    most: usize,
    named: BTreeSet<String>,
    traffic: BTreeMap<String, Traffic>,
}

#[derive(Debug, Clone, Copy)]
struct Traffic {
    score: f64,
    at: Timestamp,
}

impl Traffic {
    fn now(self, now: Timestamp) -> f64 {
        // A clock that goes back ages nothing.
        let age = now.duration_since(self.at).as_secs_f64().max(0.0);
        self.score * 0.5_f64.powf(age / HALF_LIFE.as_secs_f64())
    }
}

impl Names {
    /// At most this many.
    pub fn new(most: usize) -> Self {
        Self { most, named: BTreeSet::new(), traffic: BTreeMap::new() }
    }

    /// The value of the label for this name.
    pub fn label<'a>(&self, name: &'a str) -> &'a str {
        if self.named.contains(name) { name } else { OTHER }
    }

    /// Notes traffic of this name. Returns the name that lost its place by that.
    pub fn count(&mut self, name: &str, now: Timestamp) -> Option<String> {
        let before = self.traffic.get(name).map_or(0.0, |traffic| traffic.now(now));
        let score = before + 1.0;
        self.traffic.insert(name.to_owned(), Traffic { score, at: now });
        self.make_room(name, now);
        if self.named.contains(name) || self.most == 0 {
            return None;
        }
        let lost = if self.named.len() < self.most {
            None
        } else {
            let (least, weakest) = self.weakest(now)?;
            if score < MORE_THAN * least {
                return None;
            }
            self.named.remove(&weakest);
            Some(weakest)
        };
        self.named.insert(name.to_owned());
        lost
    }

    /// Drops the names without traffic, and all that are too many. Returns those that had series.
    pub fn sweep(&mut self, most: usize, now: Timestamp) -> Vec<String> {
        self.most = most;
        self.traffic.retain(|_, traffic| now.duration_since(traffic.at) < GONE_AFTER);
        let mut lost: Vec<String> =
            self.named.extract_if(.., |name| !self.traffic.contains_key(name)).collect();
        while self.named.len() > most
            && let Some((_, weakest)) = self.weakest(now)
        {
            self.named.remove(&weakest);
            lost.push(weakest);
        }
        lost
    }

    fn score(&self, name: &str, now: Timestamp) -> f64 {
        self.traffic.get(name).map_or(0.0, |traffic| traffic.now(now))
    }

    fn weakest(&self, now: Timestamp) -> Option<(f64, String)> {
        let scores = self.named.iter().map(|name| (self.score(name, now), name));
        scores.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(score, name)| (score, name.clone()))
    }

    /// Forgets the least of those without series, but never `name`.
    fn make_room(&mut self, name: &str, now: Timestamp) {
        while self.traffic.len() > self.most.saturating_mul(REMEMBERED).max(1) {
            let others = self.traffic.iter().filter(|(other, _)| {
                other.as_str() != name && !self.named.contains(other.as_str())
            });
            let least = others.min_by(|a, b| a.1.now(now).total_cmp(&b.1.now(now)));
            let Some(least) = least.map(|(least, _)| least.clone()) else { return };
            self.traffic.remove(&least);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::start;

    fn hours(hours: i64) -> SignedDuration {
        SignedDuration::from_hours(hours)
    }

    #[test]
    fn who_has_more_traffic_takes_the_place_of_who_has_least() {
        let (mut names, now) = (Names::new(2), start());
        for name in ["a", "a", "a", "b", "b"] {
            assert_eq!(names.count(name, now), None);
        }
        assert_eq!(names.count("c", now), None, "not twice the traffic of b");
        assert_eq!((names.label("a"), names.label("b"), names.label("c")), ("a", "b", OTHER));
        for _ in 0..2 {
            assert_eq!(names.count("c", now), None);
        }
        assert_eq!(names.count("c", now), Some("b".into()));
        assert_eq!((names.label("b"), names.label("c")), (OTHER, "c"));
    }

    #[test]
    fn old_traffic_counts_less_and_without_any_a_name_goes() {
        let (mut names, now) = (Names::new(1), start());
        for _ in 0..8 {
            names.count("old", now);
        }
        assert_eq!(names.count("new", now + hours(4)), Some("old".into()), "8 have become a half");
        assert_eq!(names.sweep(1, now + hours(9)), Vec::<String>::new());
        assert_eq!(names.sweep(1, now + hours(10)), ["new"]);
        assert_eq!(names.label("new"), OTHER);
    }

    #[test]
    fn a_stranger_who_invents_names_fills_nothing() {
        let (mut names, now) = (Names::new(3), start());
        for number in 0..1000 {
            names.count("real", now);
            names.count(&format!("invented-{number}"), now);
        }
        assert_eq!(names.label("real"), "real");
        assert!(names.named.len() == 3 && names.traffic.len() <= 13, "{names:?}");
        assert_eq!(names.sweep(1, now).len(), 2, "fewer are allowed now");
        assert_eq!(names.label("real"), "real");
    }

    #[test]
    fn none_means_none() {
        let mut names = Names::new(0);
        assert_eq!(names.count("a", start()), None);
        assert_eq!(names.label("a"), OTHER);
    }
}
