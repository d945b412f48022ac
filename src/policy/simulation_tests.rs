//! Counting, judging, breaker and caps together, over any sequence of calls.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::{
    breaker::{Breaker, Failure},
    caps::Caps,
    *,
};
use crate::{
    attempts::{Attempts, Call, PullKey},
    classify::Class,
    fixtures::{failed, pod, start},
};

const IMAGES: [&str; 3] = ["r.example/a", "r.example/b", "s.example/a"];
const PODS: [&str; 3] = ["one", "two", "three"];
const CLASSES: [Class; 6] = [
    Class::NotFound,
    Class::Signature,
    Class::Unknown,
    Class::Forbidden,
    Class::RateLimited,
    Class::NoSpace,
];
const TRANSIENT: [Class; 4] = [Class::RateLimited, Class::Registry5xx, Class::Dns, Class::Timeout];

/// A call that ended, so many seconds after the one before; none tells of a restart.
type Event = (i64, usize, usize, Option<Result<(), Class>>);

fn events(classes: &'static [Class], restarts: u32) -> impl Strategy<Value = Vec<Event>> {
    let ended = prop_oneof![
        12 => prop::sample::select(classes).prop_map(|class| Some(Err(class))),
        1 => Just(Some(Ok(()))),
        restarts => Just(None),
    ];
    prop::collection::vec((10..200i64, 0..PODS.len(), 0..IMAGES.len(), ended), 0..120)
}

/// A node with one agent.
struct Node {
    config: Config,
    policy: Policy,
    attempts: Attempts,
    breaker: Breaker,
    caps: Caps,
    now: Timestamp,
    verdicts: Vec<(Timestamp, PullKey)>,
}

impl Node {
    fn new(toml: &str) -> Self {
        let config = crate::config::parse(toml).unwrap();
        Self {
            policy: Policy::new(&config),
            config,
            attempts: Attempts::default(),
            breaker: Breaker::default(),
            caps: Caps::default(),
            now: start(),
            verdicts: Vec::new(),
        }
    }

    /// What the ledger keeps, and nothing else.
    fn restart(&mut self) {
        let tallies: Vec<_> = self.attempts.iter().collect();
        let text =
            serde_json::to_string(&(tallies, self.attempts.came(), &self.breaker, &self.caps))
                .unwrap();
        let (tallies, came, breaker, caps): (Vec<(PullKey, Tally)>, _, _, _) =
            serde_json::from_str(&text).unwrap();
        self.attempts = Attempts::new(tallies.into_iter().collect(), came);
        (self.breaker, self.caps) = (breaker, caps);
    }

    /// Takes in one call; returns the ruling, if there is anything to judge.
    fn hear(&mut self, (pause, pod, image, ended): &Event) -> Option<Ruling> {
        self.now += SignedDuration::from_secs(*pause);
        let (image, uid, now) = (IMAGES[*image], PODS[*pod], self.now);
        let key = PullKey { pod_uid: uid.into(), image: image.into() };
        let Some(ended) = ended else {
            self.restart();
            return None;
        };
        self.attempts.observe_call(Call {
            key: key.clone(),
            namespace: "batch".into(),
            pod: uid.into(),
            started: now,
            ended: now,
            error: ended.err().map(|class| class.as_str().into()),
        });
        let Err(class) = *ended else {
            self.breaker.succeeded(&self.config.breaker, image, now);
            return None;
        };
        self.attempts.set_cause(&key, class.into());
        let failure = Failure { image, host: None, cause: class.into() };
        self.breaker.failed(&self.config.breaker, failure, now);
        let mut pod = pod_with_all_images();
        pod.uid = uid.into();
        let tally = self.attempts.get(&key)?;
        let ruling = self.policy.judge(&pod, image, tally, now);
        let held = self.breaker.holds(&self.config.breaker, image, None, tally.last_attempt, now);
        if ruling.decision == Decision::Fail
            && held.is_none()
            && self.caps.allow(&self.config.caps, "batch", now).is_ok()
        {
            self.caps.record(&self.config.caps, "batch", now);
            self.attempts.retain(|known| known != uid);
            self.verdicts.push((now, key));
        }
        Some(ruling)
    }
}

fn pod_with_all_images() -> PodFacts {
    let mut pod = pod(None);
    pod.images = IMAGES.iter().map(|image| ((*image).to_owned(), failed())).collect();
    pod
}

/// Configurations in which transient causes never end a pod.
const PATIENT: [&str; 3] = [
    "",
    "[limits]\nmax_attempts = 1\nmin_elapsed = \"0s\"\n[breaker]\nimages = 0",
    "[[scopes]]\nname = \"s\"\nlimits = { max_attempts = 1, ambiguous.max_attempts = 1 }",
];

/// Strict limits, so that short sequences reach them; and a breaker and caps that speak up.
const STRICT: &str = "[limits]\nmax_attempts = 3\nmin_elapsed = \"1m\"\n\
    [limits.ambiguous]\nmax_attempts = 4\n[limits.class.rate_limited]\nmax_attempts = 5\n\
    [breaker]\nimages = 2\nwindow = \"2m\"\nhold = \"4m\"\n\
    [caps]\nper_node = 2\nper_namespace = 2\nwindow = \"5m\"";

proptest! {
    #[test]
    fn transient_causes_alone_never_end_a_pod(
        events in events(&TRANSIENT, 1), toml in prop::sample::select(&PATIENT[..]),
    ) {
        let mut node = Node::new(toml);
        for event in &events {
            if let Some(ruling) = node.hear(event) {
                prop_assert_eq!(ruling.decision, Decision::Leave(Because::Transient));
            }
        }
        prop_assert_eq!(node.verdicts, []);
    }

    /// Counted apart from the code under test: since the last success of the image in the pod there
    /// were as many attempts as the limit says, and at least one of the class that decided.
    #[test]
    fn no_verdict_without_the_attempts_that_the_limits_ask_for(events in events(&CLASSES, 1)) {
        let mut node = Node::new(STRICT);
        let mut since_success = BTreeMap::<(usize, usize), Vec<Class>>::new();
        for event in &events {
            let (_, pod, image, ended) = *event;
            let seen = since_success.entry((pod, image)).or_default();
            match ended {
                Some(Ok(())) => seen.clear(),
                Some(Err(class)) => seen.push(class),
                None => {}
            }
            let verdicts = node.verdicts.len();
            node.hear(event);
            if node.verdicts.len() == verdicts {
                continue;
            }
            let seen = seen.clone();
            let number = |classes: &[Class]| seen.iter().filter(|c| classes.contains(c)).count();
            match seen.last() {
                Some(Class::NotFound | Class::Signature) => {
                    prop_assert!(number(&CLASSES[..2]) >= 3);
                }
                Some(Class::Unknown | Class::Forbidden) => prop_assert!(number(&CLASSES[..4]) >= 4),
                Some(Class::RateLimited) => prop_assert!(number(&[Class::RateLimited]) >= 5),
                last => prop_assert!(false, "ended for {last:?}"),
            }
            since_success.retain(|(of, _), _| *of != pod);
        }
    }

    #[test]
    fn a_restart_at_any_point_changes_no_verdict(events in events(&CLASSES, 3)) {
        let (mut restarted, mut steady) = (Node::new(STRICT), Node::new(STRICT));
        for event in &events {
            let ruling = restarted.hear(event);
            let expected = match event {
                (pause, _, _, None) => {
                    steady.now += SignedDuration::from_secs(*pause);
                    None
                }
                event => steady.hear(event),
            };
            prop_assert_eq!(ruling, expected);
        }
        prop_assert_eq!(restarted.verdicts, steady.verdicts);
    }
}

/// The properties above would also hold for a policy that never ends a pod; this one does.
#[test]
fn one_image_that_is_missing_among_healthy_ones_ends_its_pod() {
    let mut node = Node::new("");
    for attempt in 0..5 {
        assert_eq!(node.verdicts, [], "after {attempt} attempts");
        node.hear(&(30, 1, 1, Some(Ok(()))));
        node.hear(&(30, 0, 0, Some(Err(Class::NotFound))));
    }
    let [(_, key)] = node.verdicts.as_slice() else { panic!("no verdict") };
    assert_eq!((key.pod_uid.as_str(), key.image.as_str()), (PODS[0], IMAGES[0]));
}

/// A mirror that answers 404 to everything, and then heals.
#[test]
fn images_that_are_missing_all_at_once_are_held_until_the_registry_heals() {
    let mut node = Node::new("[breaker]\nimages = 2\nhold = \"2h\"");
    for _ in 0..20 {
        for image in [0, 1] {
            node.hear(&(30, image, image, Some(Err(Class::NotFound))));
        }
    }
    assert_eq!(node.verdicts, []);
    node.hear(&(1, 2, 0, Some(Ok(()))));
    node.hear(&(1, 0, 0, Some(Ok(()))));
    node.hear(&(60, 1, 1, Some(Err(Class::NotFound))));
    let [(_, key)] = node.verdicts.as_slice() else { panic!("no verdict") };
    assert_eq!(key.image, IMAGES[1], "it is missing still, and the registry is well");
}
