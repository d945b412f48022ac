//! Versions of pods, one JSON object after the other, twenty seconds apart: each is judged or left out,
//! and none is ended that must not be.

use std::{collections::BTreeMap, sync::LazyLock};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use pullfuse::{
    act::VerdictRecord,
    attempts::PullKey,
    config::{self, Method},
    fuse::{Fuse, Judgement, Opinion},
    pods::{ImageState, PodFacts},
    policy::{PROTECTED_NAMESPACE, PROTECTED_PRIORITIES},
    settings::Settings,
};

use super::{is_harmless, verdict};

/// No configuration and no annotation allows fewer.
const FEWEST: u32 = 2;
/// By the first byte of the input, `0` to `2`.
const CONFIGS: [&str; 3] = [
    "[limits]\nmax_attempts = 2\nmin_elapsed = \"0s\"\n[limits.ambiguous]\nmax_attempts = 3\n\
     min_elapsed = \"0s\"\n[annotations.max_attempts]\nmin = 2\nmax = 9\n[breaker]\nimages = 0\n",
    "mode = \"dry-run\"\n[limits]\nmax_attempts = 2\nmin_elapsed = \"30s\"\n[caps]\nper_node = 1\n",
    "[limits]\nmax_attempts = 2\nmin_elapsed = \"0s\"\n[[scopes]]\nname = \"ci\"\n\
     namespaces = [\"{n,dev}*\"]\nlabels = \"team=build,!keep\"\naction = \"report\"\n\
     [[scopes]]\nname = \"all\"\nrestart_policies = [\"Never\"]\n[[rules]]\nmatch = \"x+\"\n\
     class = \"not_found\"\n",
];
static SETTINGS: LazyLock<Vec<Settings>> = LazyLock::new(|| {
    CONFIGS.iter().map(|text| Settings::new(config::parse(text).unwrap())).collect()
});

pub fn look(bytes: &[u8]) {
    let Some((&which, bytes)) = bytes.split_first() else { return };
    let settings = &SETTINGS[usize::from(which) % CONFIGS.len()];
    let mut fuse = Fuse::default();
    let mut now = Timestamp::UNIX_EPOCH;
    let mut failures = BTreeMap::<PullKey, u32>::new();
    for pod in serde_json::Deserializer::from_slice(bytes).into_iter::<Pod>() {
        let Some(pod) = pod.ok().and_then(|pod| PodFacts::read(&pod)) else { return };
        now += SignedDuration::from_secs(20);
        // What the status goes on to refuse counts again with time.
        let refused = fuse.tick(settings, now).len();
        failures.values_mut().for_each(|count| *count += u32::try_from(refused).unwrap());
        for (image, state) in &pod.images {
            let key = PullKey { pod_uid: pod.uid.clone(), image: image.clone() };
            match state {
                ImageState::Pulled => drop(failures.remove(&key)),
                ImageState::BackingOff(_) => {}
                _ => *failures.entry(key).or_default() += 1,
            }
        }
        fuse.observe(&pod, settings, now);
        for opinion in fuse.judge(&pod, settings, now) {
            look_at(&opinion, &pod, &failures);
            told(&opinion, &fuse, now);
        }
    }
}

fn look_at(opinion: &Opinion, pod: &PodFacts, failures: &BTreeMap<PullKey, u32>) {
    let seen = failures.get(&opinion.key).copied().unwrap_or_default();
    assert!(opinion.ruling.counted <= seen, "{opinion:?}\nafter {seen} failures");
    if opinion.judgement == Judgement::Fail {
        let kept = pod.mirror
            || pod.deleting
            || pod.phase != "Pending"
            || PROTECTED_PRIORITIES.contains(&pod.priority_class.as_str())
            || pod.namespace == PROTECTED_NAMESPACE && opinion.ruling.scope.is_none()
            || !["Never", "OnFailure"].contains(&pod.restart_policy.as_str());
        assert!(!kept, "{opinion:?}\n{pod:?}");
        assert!(pod.images[&opinion.key.image] != ImageState::Pulled, "{opinion:?}\n{pod:?}");
        assert!(seen >= FEWEST, "{opinion:?}\nafter {seen} failures");
    }
}

/// What people and programs would be told.
fn told(opinion: &Opinion, fuse: &Fuse, now: Timestamp) {
    let Opinion { key, cause, ruling, .. } = opinion;
    let told = ruling.bad_annotations.concat() + &cause.advice + &key.image;
    assert!(told.len() < 4000 && is_harmless(&told), "{told:?}");
    let tally = fuse.attempts().get(key).unwrap();
    let cause = cause.clone();
    verdict::told(&VerdictRecord::new(key.clone(), tally.clone(), cause, now, Method::Status));
}
