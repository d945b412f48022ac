use jiff::Timestamp;

use crate::{
    attempts::{PullKey, Tally},
    classify::Cause,
    fuse::{Held, Opinion},
    policy::Because,
};

/// What would have become of one image in one pod, as far as the calls tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Fate {
    /// The pod and the image.
    pub key: PullKey,
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Failed attempts since the last success; at a verdict those that led to it, and after a
    /// success those before it.
    pub attempts: u32,
    /// Those of them that the limit is compared with.
    pub counted: u32,
    /// The limit for the last attempt's cause; `None`: never, or nothing has failed.
    pub limit: Option<u32>,
    /// The scope that the pod is in.
    pub scope: Option<String>,
    /// Whether the decision would only have been told, not carried out.
    pub dry_run: bool,
    /// The cause of the last attempt that failed.
    pub cause: Option<Cause>,
    /// What would have been done.
    pub outlook: Outlook,
    /// When the image was pulled; after a verdict this speaks against it.
    pub came: Option<Timestamp>,
}

/// What would have been done about one image of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outlook {
    /// The pod was ended.
    Fail {
        /// When.
        at: Timestamp,
    },
    /// The count is reached; the pod is ended then.
    Wait {
        /// When.
        until: Timestamp,
    },
    /// The pod is ended unless the pull that goes on succeeds.
    Pulling,
    /// An outage or a cap holds the verdict.
    Held(Held),
    /// It was told that the limits are reached, and no more.
    Report(Because),
    /// The pod is left alone.
    Leave(Because),
    /// The image came after attempts that failed.
    Recovered,
    /// The image came at the first attempt.
    Pulled,
}

impl Outlook {
    /// The name in output.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Fail { .. } => "fail",
            Self::Wait { .. } | Self::Pulling => "wait",
            Self::Held(_) => "held",
            Self::Report(_) => "report",
            Self::Leave(_) => "leave",
            Self::Recovered => "recovered",
            Self::Pulled => "pulled",
        }
    }

    /// Why it is no verdict, in one word; that it only waits for its time needs none.
    pub fn because(&self) -> Option<&'static str> {
        match self {
            Self::Fail { .. } | Self::Wait { .. } | Self::Recovered | Self::Pulled => None,
            Self::Pulling => Some("pull_in_flight"),
            Self::Held(held) => Some(held.by.as_str()),
            Self::Report(because) | Self::Leave(because) => Some(because.as_str()),
        }
    }

    /// When it is decided anew, unless a call comes before.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Wait { until } => Some(*until),
            Self::Held(held) => Some(held.until),
            _ => None,
        }
    }
}

impl Fate {
    pub(super) fn of(opinion: Opinion, tally: &Tally, outlook: Outlook) -> Self {
        let Opinion { key, judgement: _, ruling, cause } = opinion;
        Self {
            key,
            namespace: tally.namespace.clone(),
            pod: tally.pod.clone(),
            attempts: tally.attempts,
            counted: ruling.counted,
            limit: ruling.limit,
            scope: ruling.scope,
            dry_run: ruling.dry_run,
            cause: Some(cause),
            outlook,
            came: None,
        }
    }

    /// Whether the pod was ended for this image.
    pub fn is_verdict(&self) -> bool {
        matches!(self.outlook, Outlook::Fail { .. })
    }
}
