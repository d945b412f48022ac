//! The pod that most unit tests are about: batch/p, whose image img cannot be pulled.

use jiff::Timestamp;

use crate::{
    attempts::{Causes, PullKey, Source, Stage, Tally},
    classify::{Cause, Class},
    pods::{ImageState, PodFacts, Trouble},
};

/// A fixed point in time.
pub(crate) fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

pub(crate) fn trouble(message: &str) -> Trouble {
    Trouble { reason: "ErrImagePull".into(), message: message.into() }
}

pub(crate) fn failed() -> ImageState {
    ImageState::Failed(trouble("not found"))
}

/// The pod, with what its status says about img.
pub(crate) fn pod(state: Option<ImageState>) -> PodFacts {
    PodFacts {
        resource_version: "1".into(),
        images: state.into_iter().map(|state| ("img".to_owned(), state)).collect(),
        ..PodFacts::pending("batch", "p", "uid-1")
    }
}

pub(crate) fn key() -> PullKey {
    PullKey { pod_uid: "uid-1".into(), image: "img".into() }
}

/// That many attempts, all of them at [`start`] and because the image does not exist.
pub(crate) fn tally(attempts: u32) -> Tally {
    let mut causes = Causes::default();
    for attempt in 1..=attempts {
        causes.set_last(attempt, Class::NotFound.into());
    }
    Tally {
        seen: Vec::new(),
        causes,
        namespace: "batch".into(),
        pod: "p".into(),
        attempts,
        first_attempt: start(),
        last_attempt: start(),
        trouble: trouble("not found"),
        stage: Stage::Failed,
        image_was_present: Some(false),
        source: Source::PodStatus,
        unconfirmed: 1,
        last_call: None,
    }
}

/// That the tag does not exist.
pub(crate) fn cause() -> Cause {
    Cause {
        class: Class::NotFound,
        disposition: Class::NotFound.disposition(),
        rule: "a-rule".into(),
        advice: "check the tag".into(),
        host: None,
    }
}
