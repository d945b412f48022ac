//! The pod that most unit tests are about: batch/p, whose image img cannot be pulled; and texts that
//! nobody should meet unprepared.

use jiff::Timestamp;
use proptest::{collection::vec, prelude::*, sample::select};

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

/// What a registry, a pod's author or a terminal's enemy would put into a text.
const FRAGMENTS: &[&str] = &[
    "\u{1b}[31m",
    "\u{1b}]8;;http://x\u{1b}\\",
    "\u{9b}2J",
    "\u{9d}0;title\u{9c}",
    "\u{202e}",
    "\u{2066}",
    "\u{200f}",
    "\u{61c}",
    "\u{2028}",
    "\u{e0041}",
    "\0",
    "\r\n",
    "\n\n",
    "\u{7f}",
    "\u{85}",
    "\t",
    "\u{8}",
    "ä",
    "𝄞",
    " ",
    "\\n",
    "\"",
    "not found",
    "https://u:p@h/",
    "?sig=",
    "Bearer ",
    "\u{fffd}",
];

/// Texts of anything, some of them longer than anything is kept.
pub(crate) fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![any::<String>(), select(FRAGMENTS.to_vec()).prop_map(String::from)];
    (vec(piece, 0..12), prop_oneof![9 => Just(1_usize), 1 => Just(50)])
        .prop_map(|(pieces, times)| pieces.concat().repeat(times))
}

/// Nothing but visible characters and spaces.
pub(crate) fn is_fit(text: &str) -> bool {
    !text.chars().any(|c| {
        matches!(u32::from(c), 0..=0x1f | 0x7f..=0x9f | 0x61c | 0x200e | 0x200f | 0x2028..=0x202e)
            || matches!(u32::from(c), 0x2066..=0x2069 | 0xe0000..=0xe007f)
    })
}
