use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::transition::{Change, State, Why};
use crate::{clock::moved, config};

/// Failing images of one registry that are kept in mind; more than a node has pods.
const MOST_IMAGES: usize = 256;
/// The kubelet tries a failing image every five minutes; after this long no pod wants it any more.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// After a registry came back, every pod has tried again within this time: the kubelet's longest
/// back-off, and as much again for pulls that wait for each other.
const TRIED_AGAIN_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// What is known of one registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Registry {
    state: State,
    /// When it came back, as long as pods may not have tried again since.
    #[serde(default)]
    back_since: Option<Timestamp>,
    /// When it was heard of last.
    seen: Timestamp,
    /// By image name: many pods that want one image are one sign.
    failing: BTreeMap<String, Failing>,
}

/// An image that fails to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Failing {
    /// The registry in the image's own name.
    registry: Option<String>,
    /// Since when it counts towards an outage; `None`: it does not, because it failed already
    /// before the last success or the last hold.
    counts_since: Option<Timestamp>,
    last_attempt: Timestamp,
}

impl Registry {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { state: State::Closed, back_since: None, seen: now, failing: BTreeMap::new() }
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    pub(super) fn seen(&self) -> Timestamp {
        self.seen
    }

    pub(super) fn knows(&self, image: &str) -> bool {
        self.failing.contains_key(image)
    }

    /// Whether images of that registry fail to come from this one.
    pub(super) fn serves(&self, registry: &Option<String>) -> bool {
        self.failing.values().any(|failing| failing.registry == *registry)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Closed && self.failing.is_empty() && self.back_since.is_none()
    }

    pub(super) fn forget(&mut self, image: &str) {
        self.failing.remove(image);
    }

    /// When its state ends by time alone.
    pub(super) fn ends(&self, settings: &config::Breaker) -> Option<Timestamp> {
        let (since, longest) = match self.state {
            State::Closed => return None,
            State::Open { since } => (since, settings.hold),
            State::HalfOpen { since } => (since, settings.window),
        };
        Some(since.checked_add(longest).unwrap_or(Timestamp::MAX))
    }

    /// Until when a pod's last attempt is no reason to end it, and whether that is because it was
    /// made before the registry came back.
    pub(super) fn holds(
        &self,
        settings: &config::Breaker,
        last_attempt: Timestamp,
    ) -> Option<(Timestamp, bool)> {
        if let State::Open { .. } = self.state {
            return self.ends(settings).map(|until| (until, false));
        }
        let back_since = self.back_since.filter(|since| last_attempt <= *since)?;
        Some((tried_again(back_since, settings), true))
    }

    /// Moves every time, because the clock was set.
    pub(super) fn shift(&mut self, by: SignedDuration) {
        if let State::Open { since } | State::HalfOpen { since } = &mut self.state {
            *since = moved(*since, by);
        }
        self.seen = moved(self.seen, by);
        self.back_since = self.back_since.map(|since| moved(since, by));
        for failing in self.failing.values_mut() {
            failing.last_attempt = moved(failing.last_attempt, by);
            failing.counts_since = failing.counts_since.map(|since| moved(since, by));
        }
    }

    /// To be called before anything else is done at this time.
    pub(super) fn advance(&mut self, settings: &config::Breaker, now: Timestamp) -> Option<Change> {
        self.not_after(now);
        let kept = FORGOTTEN_AFTER.max(settings.window);
        self.failing.retain(|_, failing| now.duration_since(failing.last_attempt) < kept);
        for failing in self.failing.values_mut() {
            let recent = |since: &Timestamp| now.duration_since(*since) <= settings.window;
            failing.counts_since = failing.counts_since.filter(recent);
        }
        self.back_since = self
            .back_since
            .filter(|since| settings.images > 0 && tried_again(*since, settings) > now);
        let over = self.ends(settings).is_some_and(|end| end <= now);
        match self.state {
            State::Closed => None,
            _ if settings.images == 0 => self.turn(State::Closed, Why::TurnedOff, settings, now),
            State::Open { .. } if over => self.turn(State::Closed, Why::HoldPassed, settings, now),
            State::HalfOpen { .. } if over => {
                self.turn(State::Closed, Why::StayedWell, settings, now)
            }
            State::Open { .. } | State::HalfOpen { .. } => None,
        }
    }

    pub(super) fn failed(
        &mut self,
        settings: &config::Breaker,
        image: &str,
        registry: Option<String>,
        now: Timestamp,
    ) -> Option<Change> {
        self.seen = now;
        let known = self.failing.get(image).map(|failing| failing.counts_since);
        if known.is_none() {
            self.make_room();
        }
        let counts_since = match self.state {
            // Only the beginning is a sign.
            State::Closed => known.unwrap_or(Some(now)),
            State::Open { .. } => None,
            // Every attempt is one: a success has just shown that it could be otherwise.
            State::HalfOpen { .. } => Some(now),
        };
        let failing = Failing { registry, counts_since, last_attempt: now };
        self.failing.insert(image.to_owned(), failing);
        let signs = self.failing.values().filter(|failing| failing.counts_since.is_some()).count();
        if signs < usize::try_from(settings.images).unwrap_or(usize::MAX) {
            return None;
        }
        let why = if self.state == State::Closed { Why::ManyFail } else { Why::FailAgain };
        self.turn(State::Open { since: now }, why, settings, now)
    }

    pub(super) fn succeeded(
        &mut self,
        settings: &config::Breaker,
        now: Timestamp,
    ) -> Option<Change> {
        self.seen = now;
        match self.state {
            State::Closed => {
                self.count_anew();
                None
            }
            State::Open { .. } => {
                self.turn(State::HalfOpen { since: now }, Why::Succeeded, settings, now)
            }
            State::HalfOpen { .. } => self.turn(State::Closed, Why::SucceededAgain, settings, now),
        }
    }

    /// Ends what holds its verdicts, if anything does. What failed so far is no sign any more, so
    /// only other images can open it again.
    pub(super) fn release(
        &mut self,
        settings: &config::Breaker,
        uid: u32,
        now: Timestamp,
    ) -> Option<Change> {
        if self.state == State::Closed && self.back_since.is_none() {
            return None;
        }
        self.back_since = None;
        self.turn(State::Closed, Why::ByHand { uid }, settings, now)
    }

    fn turn(
        &mut self,
        to: State,
        why: Why,
        settings: &config::Breaker,
        now: Timestamp,
    ) -> Option<Change> {
        let signs = self.failing.iter().filter(|(_, failing)| failing.counts_since.is_some());
        let images = signs.map(|(image, _)| image.clone()).collect();
        let from = std::mem::replace(&mut self.state, to);
        match to {
            State::Open { .. } => self.back_since = None,
            State::HalfOpen { since } => self.back_since = Some(since),
            State::Closed => {}
        }
        self.count_anew();
        Some(Change { from, to, why, images, at: now, until: self.ends(settings) })
    }

    /// What failed so far is no sign any more: only what begins to fail from now on.
    fn count_anew(&mut self) {
        for failing in self.failing.values_mut() {
            failing.counts_since = None;
        }
    }

    /// When the clock goes back, what lay in the past happened now at the latest: no hold becomes
    /// longer than it may be.
    fn not_after(&mut self, now: Timestamp) {
        if let State::Open { since } | State::HalfOpen { since } = &mut self.state {
            *since = now.min(*since);
        }
        self.seen = now.min(self.seen);
        self.back_since = self.back_since.map(|since| now.min(since));
        for failing in self.failing.values_mut() {
            failing.last_attempt = now.min(failing.last_attempt);
            failing.counts_since = failing.counts_since.map(|since| now.min(since));
        }
    }

    fn make_room(&mut self) {
        while self.failing.len() >= MOST_IMAGES {
            let oldest = self.failing.iter().min_by_key(|(_, failing)| failing.last_attempt);
            let Some(image) = oldest.map(|(image, _)| image.clone()) else { return };
            self.failing.remove(&image);
        }
    }
}

fn tried_again(back_since: Timestamp, settings: &config::Breaker) -> Timestamp {
    let within = TRIED_AGAIN_WITHIN.max(settings.window);
    back_since.checked_add(within).unwrap_or(Timestamp::MAX)
}
