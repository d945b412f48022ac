//! The fuse over any sequence of calls, versions of pods, time and restarts. Few rounds by default;
//! `PULLFUSE_FUZZ_ROUNDS=10000 cargo test --lib fuse::property` runs long.

mod node;

use jiff::SignedDuration;
use proptest::prelude::*;

use self::node::{CLEAR, IMAGES, Node, PASSING, PODS, PROTECTED, Shown, worded};
use super::*;

fn rounds() -> ProptestConfig {
    let rounds =
        std::env::var("PULLFUSE_FUZZ_ROUNDS").map_or(512, |rounds| rounds.parse().unwrap());
    ProptestConfig::with_cases(rounds)
}

/// Something that a node's agent sees, so many seconds after what it saw before.
type Event = (i64, usize, usize, Seen);

#[derive(Debug, Clone)]
enum Seen {
    /// A call for each credential, one second after the other; the text is perhaps not told.
    Fails(Vec<&'static str>, bool),
    Comes,
    Status(Shown),
    Restart,
}

/// Of many pods and images, or of so few that much happens to each.
fn events(texts: &'static [&'static str], restarts: u32) -> impl Strategy<Value = Vec<Event>> {
    let places = prop::sample::select(vec![(PODS.len(), IMAGES.len()), (1, 2)]);
    places.prop_flat_map(move |places| events_of(places, texts, restarts))
}

fn events_of(
    (pods, images): (usize, usize),
    texts: &'static [&'static str],
    restarts: u32,
) -> impl Strategy<Value = Vec<Event>> {
    let known = || prop::collection::vec(prop::sample::select(texts), 1..4);
    // Only where any text may be meant, none may be missing.
    let any = texts == CLEAR;
    let told = if any { prop::bool::weighted(0.9) } else { prop::bool::weighted(1.0) };
    let seen = prop_oneof![
        12 => (known(), told).prop_map(|(texts, told)| Seen::Fails(texts, told)),
        2 => Just(Seen::Comes),
        6 => prop::sample::select(texts).prop_map(|text| Seen::Status(Shown::Failed(worded(text)))),
        6 => Just(Seen::Status(Shown::BackingOff)),
        u32::from(any) => Just(Seen::Status(Shown::Refused)),
        1 => Just(Seen::Status(Shown::Pulled)),
        restarts => Just(Seen::Restart),
    ];
    prop::collection::vec((0..200i64, 0..pods, 0..images, seen), 0..80)
}

impl Node {
    fn sees(&mut self, (pause, pod, image, seen): &Event) {
        self.pass(*pause);
        match seen {
            Seen::Fails(texts, told) => {
                for (number, text) in texts.iter().enumerate() {
                    self.pass(i64::from(number > 0));
                    self.hear(*pod, *image, Some(if *told { text } else { "" }));
                }
            }
            Seen::Comes => self.hear(*pod, *image, None),
            Seen::Status(shown) => self.show(*pod, *image, shown.clone()),
            Seen::Restart => self.restart(),
        }
    }
}

/// Limits that short sequences reach, and a breaker and caps that speak up.
const STRICT: &str = "[limits]\nmax_attempts = 2\nmin_elapsed = \"30s\"\n\
    [limits.ambiguous]\nmax_attempts = 3\n\
    [breaker]\nimages = 3\nwindow = \"2m\"\nhold = \"4m\"\n\
    [caps]\nper_node = 2\nper_namespace = 2\nwindow = \"5m\"";
/// As little patience as can be had, for causes that count.
const AT_ONCE: &str = "[limits]\nmax_attempts = 1\nmin_elapsed = \"0s\"\n\
    [limits.ambiguous]\nmax_attempts = 1\n[breaker]\nimages = 0";

proptest! {
    #![proptest_config(rounds())]

    #[test]
    fn causes_that_pass_never_end_a_pod(
        events in events(&PASSING, 1), config in prop::sample::select(&["", STRICT, AT_ONCE][..]),
    ) {
        let mut node = Node::new(config);
        for event in &events {
            node.sees(event);
        }
        prop_assert_eq!(node.verdicts, []);
    }

    #[test]
    fn no_verdict_speaks_against_what_is_seen(
        events in events(&CLEAR, 1), config in prop::sample::select(&[STRICT, AT_ONCE][..]),
    ) {
        let mut node = Node::new(config);
        for event in &events {
            let before = node.verdicts.len();
            node.sees(event);
            for verdict in &node.verdicts[before..] {
                prop_assert!(!PROTECTED.contains(&verdict.key.pod_uid.as_str()));
                prop_assert!(verdict.status_fails, "its status shows the image pulled: {verdict:?}");
                prop_assert!(!verdict.outage, "its registry is out of order: {verdict:?}");
            }
        }
    }

    #[test]
    fn a_success_always_resets(
        events in events(&CLEAR, 1), pod in 0..PODS.len(), image in 0..IMAGES.len(),
        by_call in any::<bool>(),
    ) {
        let mut node = Node::new("limits.max_attempts = \"never\"");
        for event in &events {
            node.sees(event);
        }
        let came = if by_call { Seen::Comes } else { Seen::Status(Shown::Pulled) };
        node.sees(&(1, pod, image, came));
        prop_assert_eq!(node.attempts(pod, image), 0);
        node.sees(&(30, pod, image, Seen::Fails(vec![CLEAR[0]], true)));
        prop_assert_eq!(node.attempts(pod, image), 1);
    }

    #[test]
    fn a_restart_at_any_point_changes_no_verdict(
        events in events(&CLEAR, 4), config in prop::sample::select(&["", STRICT, AT_ONCE][..]),
    ) {
        let (mut restarted, mut steady) = (Node::new(config), Node::new(config));
        for event in &events {
            restarted.sees(event);
            match event {
                (pause, _, _, Seen::Restart) => steady.pass(*pause),
                event => steady.sees(event),
            }
            prop_assert_eq!(&restarted.verdicts, &steady.verdicts);
        }
    }
}

proptest! {
    #![proptest_config(rounds())]

    #[test]
    fn a_clock_that_is_set_changes_no_verdict(
        events in events(&CLEAR, 1), steps in prop::collection::vec(-48..48i64, 80),
        config in prop::sample::select(&["", STRICT, AT_ONCE][..]),
    ) {
        let (mut set, mut steady) = (Node::new(config), Node::new(config));
        let mut off = SignedDuration::ZERO;
        for (event, hours) in events.iter().zip(steps) {
            if hours % 3 == 0 {
                let by = SignedDuration::from_hours(hours);
                set.set_clock(by);
                off += by;
            }
            set.sees(event);
            steady.sees(event);
            set.set_clock(-off);
            prop_assert_eq!(&set.verdicts, &steady.verdicts);
            set.set_clock(off);
        }
    }
}

/// One attempt as it really was, at least ten seconds after the one before of the same image.
#[derive(Debug, Clone)]
struct Attempt {
    pause: i64,
    pod: usize,
    image: usize,
    /// What each credential met; `None`: the pull succeeded.
    texts: Option<Vec<&'static str>>,
    by_call: bool,
    by_status: bool,
    restart: bool,
    /// If a success came shortly before, the status shows a failure of before that only now.
    late: bool,
}

fn attempts(always_heard: bool) -> impl Strategy<Value = Vec<Attempt>> {
    let texts = prop::collection::vec(prop::sample::select(&CLEAR[..]), 1..3);
    let attempt = (
        10..200i64,
        0..2usize,
        0..2usize,
        prop::option::weighted(0.9, texts),
        any::<[bool; 3]>(),
        prop::bool::weighted(0.2),
    );
    let attempt = attempt.prop_map(move |(pause, pod, image, texts, seen, restart)| {
        let [by_call, by_status, late] = seen;
        let by_call = by_call || always_heard || texts.is_none();
        Attempt { pause, pod, image, texts, by_call, by_status, restart, late }
    });
    prop::collection::vec(attempt, 0..60)
}

impl Node {
    /// Takes in whatever is seen of an attempt.
    fn takes(&mut self, attempt: &Attempt) {
        let Attempt { pause, pod, image, ref texts, by_call, by_status, restart, late } = *attempt;
        self.pass(pause);
        if late && !by_call {
            self.shows_late(pod, image);
        }
        match texts {
            None => {
                self.hear(pod, image, None);
                if late {
                    self.shows_late(pod, image);
                }
                if restart {
                    self.restart();
                }
                if by_status {
                    self.show(pod, image, Shown::Pulled);
                }
            }
            Some(texts) => {
                if by_call {
                    self.sees(&(0, pod, image, Seen::Fails(texts.clone(), true)));
                    if late {
                        self.shows_late(pod, image);
                    }
                }
                if restart {
                    self.restart();
                }
                if by_status {
                    let all: Vec<String> = texts.iter().map(|text| worded(text)).collect();
                    let joined = match &all[..] {
                        [one] => one.clone(),
                        all => format!("[{}]", all.join(", ")),
                    };
                    self.show(pod, image, Shown::Failed(joined));
                }
                if restart {
                    self.restart();
                }
                self.pass(9);
                self.show(pod, image, Shown::BackingOff);
            }
        }
    }

    fn shows_late(&mut self, pod: usize, image: usize) {
        self.show(pod, image, Shown::Failed(worded(CLEAR[0])));
        self.show(pod, image, Shown::BackingOff);
    }
}

proptest! {
    #![proptest_config(rounds())]

    /// Whoever saw it, and however often the agent restarted meanwhile. Where the socket is heard
    /// all the time, no attempt is missed either.
    #[test]
    fn each_attempt_counts_once_and_no_verdict_comes_without_enough_of_them(
        attempts in any::<bool>().prop_flat_map(|heard| (Just(heard), attempts(heard))),
    ) {
        let (always_heard, attempts) = attempts;
        let mut node = Node::new(STRICT);
        let mut truth = BTreeMap::<(usize, usize), Vec<Vec<&str>>>::new();
        let mut came = BTreeMap::<(usize, usize), Timestamp>::new();
        for attempt in &attempts {
            let before = node.verdicts.len();
            // What was due before this attempt was due without it.
            node.pass(attempt.pause);
            let due = node.verdicts.len();
            let seen = attempt.by_call || attempt.by_status;
            let place = (attempt.pod, attempt.image);
            // With some time to spare, for an attempt of several calls takes a few seconds.
            let lags = |at: &Timestamp| node.now().duration_since(*at) < SignedDuration::from_secs(50);
            let came_lately = came.get(&place).is_some_and(lags);
            // That no failure was heard before a success is all that the agent knows.
            let failed = attempt.texts.is_none() && node.attempts(attempt.pod, attempt.image) > 0;
            let fresh = came_lately || failed;
            let late = attempt.late && fresh;
            if attempt.texts.is_none() && attempt.by_status {
                came.remove(&place);
            } else if attempt.texts.is_none() && fresh {
                came.insert(place, node.now());
            }
            node.takes(&Attempt { pause: 0, late, ..attempt.clone() });
            let past = truth.clone();
            match &attempt.texts {
                None => drop(truth.remove(&(attempt.pod, attempt.image))),
                Some(texts) if seen => {
                    truth.entry((attempt.pod, attempt.image)).or_default().push(texts.clone());
                }
                Some(_) => {}
            }
            for (number, verdict) in node.verdicts.iter().enumerate().skip(before) {
                let truth = if number < due { &past } else { &truth };
                let failed = &truth[&verdict.place()];
                let lasting = failed.iter().filter(|texts| {
                    texts.iter().all(|text| !PASSING.contains(text))
                });
                prop_assert!(lasting.count() >= 2, "{verdict:?} after {failed:?}");
            }
            for (&(pod, image), failed) in &truth {
                let counted = node.attempts(pod, image) as usize;
                if node.ended(pod) {
                    continue;
                }
                prop_assert!(counted <= failed.len(), "{counted} of {failed:?}");
                prop_assert!(!always_heard || counted == failed.len(), "{counted} of {failed:?}");
            }
        }
    }
}

/// The properties above would hold as well for a fuse that ends no pod.
#[test]
fn pods_do_end() {
    let mut node = Node::new(STRICT);
    for _ in 0..3 {
        node.sees(&(40, 0, 0, Seen::Fails(vec![CLEAR[0]], true)));
        node.sees(&(1, 0, 0, Seen::Status(Shown::Failed(worded(CLEAR[0])))));
    }
    assert_eq!(node.verdicts.len(), 1);
}
