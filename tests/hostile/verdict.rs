//! A record of the ledger, as JSON: left out, or harmless to tell and to judge by.

use std::{collections::BTreeMap, sync::LazyLock};

use pullfuse::{
    act::VerdictRecord,
    attempts::{Attempts, Came, Tally},
    config,
    fuse::Fuse,
    pods::{ImageState, PodFacts},
    policy::{breaker::Breaker, caps::Caps},
    settings::Settings,
};

use super::is_harmless;

static SETTINGS: LazyLock<Settings> = LazyLock::new(|| {
    let text = "[limits]\nmax_attempts = 1\nmin_elapsed = \"0s\"\n";
    Settings::new(config::parse(text).unwrap())
});

pub fn look(bytes: &[u8]) {
    let Ok(record) = serde_json::from_slice::<VerdictRecord>(bytes) else { return };
    told(&record);
    let VerdictRecord { key, tally, .. } = record;
    let again: Tally = serde_json::from_slice(&serde_json::to_vec(&tally).unwrap()).unwrap();
    assert_eq!(again, tally);
    let mut pod = PodFacts::pending(&tally.namespace, &tally.pod, &key.pod_uid);
    let now = tally.last_attempt;
    let attempts = Attempts::new(BTreeMap::from([(key.clone(), tally)]), Came::default());
    let mut fuse = Fuse::new(attempts, Breaker::default(), Caps::default());
    fuse.next_tick(&SETTINGS);
    fuse.tick(&SETTINGS, now);
    fuse.observe(&pod, &SETTINGS, now);
    fuse.judge(&pod, &SETTINGS, now);
    pod.images = BTreeMap::from([(key.image, ImageState::Pulled)]);
    fuse.observe(&pod, &SETTINGS, now);
}

/// What the pod's owner would read.
pub fn told(record: &VerdictRecord) {
    let (text, annotation) = (record.text(), record.annotation());
    assert!(text.len() <= 1024 && annotation.len() < 4096, "{text}\n{annotation}");
    let told = text + &annotation;
    assert!(is_harmless(&told) && !told.contains('\n'), "{told:?}");
}
