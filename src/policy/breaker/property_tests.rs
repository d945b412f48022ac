use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::fixtures::start;

const IMAGES: [&str; 6] =
    ["r.example/a", "r.example/b", "r.example/c", "r.example/d", "nginx", "s.example/a"];

#[derive(Debug, Clone)]
enum Event {
    Fails(usize, Option<&'static str>),
    Comes(usize),
    Passes(i64),
}

fn event(successes: bool) -> impl Strategy<Value = Event> {
    let image = 0..IMAGES.len();
    let host = prop::sample::select(vec![None, Some("mirror.example"), Some("r.example")]);
    let comes = if successes { 1 } else { 0 };
    prop_oneof![
        4 => (image.clone(), host).prop_map(|(image, host)| Event::Fails(image, host)),
        comes => image.prop_map(Event::Comes),
        3 => (0..400i64).prop_map(Event::Passes),
    ]
}

fn settings(images: u32) -> config::Breaker {
    config::Breaker {
        images,
        window: SignedDuration::from_mins(10),
        hold: SignedDuration::from_mins(30),
    }
}

fn step(breaker: &mut Breaker, images: u32, event: &Event, now: &mut Timestamp) -> Vec<Transition> {
    let settings = settings(images);
    match *event {
        Event::Fails(image, host) => {
            let failure = Failure { image: IMAGES[image], host, cause: Class::NotFound.into() };
            breaker.failed(&settings, failure, *now)
        }
        Event::Comes(image) => breaker.succeeded(&settings, IMAGES[image], *now),
        Event::Passes(seconds) => {
            *now += SignedDuration::from_secs(seconds);
            breaker.advance(&settings, *now)
        }
    }
}

fn again(breaker: &Breaker) -> Breaker {
    serde_json::from_str(&serde_json::to_string(breaker).unwrap()).unwrap()
}

proptest! {
    /// Without any success a registry opens only for images that began to fail since it opened last
    /// (or begin anew after an hour in which no pod wanted them), and holds no longer than it may.
    #[test]
    fn it_never_holds_for_ever(
        events in prop::collection::vec(event(false), 0..200), images in 2..4u32,
    ) {
        let (mut breaker, mut now, mut last_attempt) = (Breaker::default(), start(), start());
        let mut tried = BTreeMap::<(String, usize), Timestamp>::new();
        let mut began = BTreeMap::<String, BTreeSet<usize>>::new();
        for event in &events {
            if let Event::Fails(image, host) = *event {
                let key = host.map(str::to_owned).or(registry_of(IMAGES[image])).unwrap();
                let before = tried.insert((key.clone(), image), now);
                if before.is_none_or(|at| now.duration_since(at) >= SignedDuration::from_hours(1)) {
                    began.entry(key).or_default().insert(image);
                }
                last_attempt = now;
            }
            for transition in step(&mut breaker, images, event, &mut now) {
                if matches!(transition.to, State::Open { .. }) {
                    let began = began.remove(&transition.registry).unwrap_or_default();
                    prop_assert!(began.len() >= images as usize, "only {began:?} are new");
                }
            }
        }
        let later = now + settings(images).hold;
        for image in IMAGES {
            let held = breaker.holds(&settings(images), image, None, last_attempt, later);
            prop_assert_eq!(held, None);
        }
    }

    /// Whatever happens, and however often it restarts: it opens only after that many different
    /// images failed since the last success, and it tells every change.
    #[test]
    fn it_opens_only_for_many_images_without_a_success(
        events in prop::collection::vec((event(true), any::<bool>()), 0..200), images in 2..5u32,
    ) {
        let (mut breaker, mut now) = (Breaker::default(), start());
        let mut untouched = Breaker::default();
        // By registry: what failed there since the last success that could have helped it.
        let mut failed = BTreeMap::<String, BTreeSet<usize>>::new();
        let mut state = BTreeMap::<String, State>::new();
        for (event, restart) in &events {
            if let Event::Fails(image, host) = *event {
                let key = host.map(str::to_owned).or(registry_of(IMAGES[image])).unwrap();
                failed.entry(key).or_default().insert(image);
            }
            let before = now;
            let transitions = step(&mut breaker, images, event, &mut now);
            prop_assert_eq!(&step(&mut untouched, images, event, &mut before.clone()), &transitions);
            for transition in transitions {
                let known = state.entry(transition.registry.clone()).or_insert(State::Closed);
                prop_assert_eq!(*known, transition.from);
                *known = transition.to;
                if matches!(transition.to, State::Open { .. }) {
                    prop_assert!(failed[&transition.registry].len() >= images as usize);
                }
            }
            if let Event::Comes(image) = *event {
                let own = registry_of(IMAGES[image]);
                failed.remove(own.as_deref().unwrap());
            }
            if *restart {
                breaker = again(&breaker);
            }
            let troubled: BTreeMap<_, _> =
                breaker.troubled().map(|(key, state)| (key.to_owned(), state)).collect();
            state.retain(|_, state| *state != State::Closed);
            prop_assert_eq!(&state, &troubled);
        }
    }

    /// However the clock jumps: nothing panics, and no hold outlives its time from then on.
    #[test]
    fn a_clock_that_jumps_does_no_harm(
        events in prop::collection::vec((event(true), -1_000_000_000_i64..1_000_000_000), 0..60),
    ) {
        let (mut breaker, mut now) = (Breaker::default(), start());
        for (event, jump) in &events {
            step(&mut breaker, 2, event, &mut now);
            now = start() + SignedDuration::from_secs(*jump);
            breaker.advance(&settings(2), now);
            let ends = breaker.next(&settings(2));
            prop_assert!(ends.is_none_or(|end| end <= now + settings(2).hold));
        }
    }
}
