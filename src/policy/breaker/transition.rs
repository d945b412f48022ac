use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// Images that a sentence names.
const SHOWN: usize = 3;

/// How the breaker of a registry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum State {
    /// Nothing is held.
    Closed,
    /// Every verdict is held.
    Open {
        /// Since when.
        since: Timestamp,
    },
    /// A pull succeeded: one more and it is closed, many failures and it is open again.
    HalfOpen {
        /// Since when.
        since: Timestamp,
    },
}

/// Why a breaker changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Why {
    /// Many images began to fail with no success between them.
    ManyFail,
    /// Many images failed again after a success.
    FailAgain,
    /// A pull succeeded.
    Succeeded,
    /// A second pull succeeded.
    SucceededAgain,
    /// It was half open for a whole window and did not open again.
    StayedWell,
    /// Nothing succeeded for as long as verdicts are held at most.
    HoldPassed,
    /// The configuration says 0 images.
    TurnedOff,
    /// An operator ended the hold.
    ByHand {
        /// The user id of who did it.
        uid: u32,
    },
}

/// A change of one registry's breaker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Transition {
    /// The registry, or the host of a mirror.
    pub registry: String,
    /// What it was.
    pub from: State,
    /// What it is.
    pub to: State,
    /// Why.
    pub why: Why,
    /// The failing images that were counted.
    pub images: Vec<String>,
    /// When.
    pub at: Timestamp,
    /// When the new state ends by time alone.
    pub until: Option<Timestamp>,
}

/// A [`Transition`] that does not know its registry's name.
pub(super) struct Change {
    pub(super) from: State,
    pub(super) to: State,
    pub(super) why: Why,
    pub(super) images: Vec<String>,
    pub(super) at: Timestamp,
    pub(super) until: Option<Timestamp>,
}

impl Change {
    pub(super) fn of(self, registry: String) -> Transition {
        let Self { from, to, why, images, at, until } = self;
        Transition { registry, from, to, why, images, at, until }
    }
}

impl State {
    /// The name in metrics, logs and output.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl Why {
    /// The name in metrics, logs and output.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl Transition {
    /// What an operator reads.
    pub fn text(&self) -> String {
        let Self { registry, images, .. } = self;
        // A length of time, not its end: the Event of the first one stands for those after it.
        let longest = self.until.map(|until| until.duration_since(self.at));
        let longest = longest.map(|longest| format!("{longest:#}")).unwrap_or_default();
        let number = images.len();
        let mut names =
            images.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        if number > SHOWN {
            names.push_str(", …");
        }
        match self.why {
            Why::ManyFail => format!(
                "{number} images of registry {registry} began to fail with no success between them \
                 ({names}): it seems to be out of order; no pod is failed for its images until a \
                 pull succeeds, for {longest} at most"
            ),
            Why::FailAgain => format!(
                "after a success {number} images of registry {registry} failed again ({names}): no \
                 pod is failed for its images until a pull succeeds, for \
                 {longest} at most"
            ),
            Why::Succeeded => format!(
                "a pull from registry {registry} succeeded: a pod is failed for its images only \
                 after another attempt, for {longest}"
            ),
            Why::SucceededAgain => format!(
                "a second pull from registry {registry} succeeded: pods are judged as always once they \
                 have tried again"
            ),
            Why::StayedWell => format!(
                "registry {registry} has not failed again as it did: pods are judged as always"
            ),
            Why::HoldPassed => format!(
                "no pull from registry {registry} succeeded, and verdicts were held for as long as \
                 breaker.hold allows: pods are judged as always"
            ),
            Why::TurnedOff => format!(
                "breaker.images = 0: pods are judged as always, also for images of registry \
                 {registry}"
            ),
            Why::ByHand { uid } => format!(
                "user {uid} of this node closed the breaker of registry {registry} by hand: pods are \
                 judged as always"
            ),
        }
    }
}
