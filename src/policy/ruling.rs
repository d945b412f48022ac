use jiff::Timestamp;

/// What is to happen with a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// End it.
    Fail,
    /// The count is reached, the time is not: ask again then.
    Wait(Timestamp),
    /// Its limits are reached; tell so, and leave it alone.
    Report(Because),
    /// Leave it alone.
    Leave(Because),
}

/// A decision and what led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// What is to happen.
    pub decision: Decision,
    /// The scope that the pod is in; `None`: no scope fits, and the defaults hold.
    pub scope: Option<String>,
    /// The number of attempts for the last attempt's cause; `None`: however many there are, the
    /// pod is left alone.
    pub limit: Option<u32>,
    /// The attempts that were compared with it.
    pub counted: u32,
    /// When the limit is reached if attempts go on by the kubelet's back-off and fail of the same;
    /// `None`: never, or that is past.
    pub reached_at: Option<Timestamp>,
    /// Why the pod is then left alone all the same.
    pub only_reported: Option<Because>,
    /// Whether the decision is only to be told, not carried out.
    pub dry_run: bool,
    /// A sentence about each annotation that cannot be followed.
    pub bad_annotations: Vec<String>,
}

/// Why a pod is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Because {
    /// A file on the node controls it; the API server only shows a copy.
    MirrorPod,
    /// Its namespace is touched only where a scope names it.
    ProtectedNamespace,
    /// Its priority class is never touched.
    ProtectedPriority,
    /// It has more labels than are looked at, so its scope is not known.
    TooManyLabels,
    /// It is being deleted.
    Deleting,
    /// Its phase is not Pending: it runs or has ended.
    NotPending,
    /// Its status does not show a failing pull of this image now.
    NotFailing,
    /// Its scope says `ignore`.
    IgnoredByScope,
    /// Its annotation says `ignore`.
    IgnoredByAnnotation,
    /// Its scope says `report`.
    ReportedByScope,
    /// Its annotation says `report`.
    ReportedByAnnotation,
    /// Its owner would replace it for ever.
    RestartPolicyAlways,
    /// Fewer attempts than the limit.
    BelowLimit,
    /// Its count is reached, its time is not.
    TooEarly,
    /// The last attempt's cause is expected to pass.
    Transient,
    /// The last attempt failed of a fault of the node.
    NodeFault,
    /// The limit for the last attempt's cause is `never`.
    NeverLimit,
    /// The verdict was for a dry run.
    DryRun,
    /// Its registry seems to be out of order.
    RegistryOutage,
    /// A pull may go on whose beginning was not heard.
    Unheard,
}

impl Because {
    /// The name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Why, for people: the rest of a sentence about the pod.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::MirrorPod => "a file on the node controls it",
            Self::ProtectedNamespace => "kube-system is protected unless a scope names it",
            Self::ProtectedPriority => "its priority class is protected",
            Self::TooManyLabels => "it has more labels than are looked at",
            Self::Deleting => "it is being deleted",
            Self::NotPending => "it is not Pending",
            Self::NotFailing => "its status shows no failing pull now",
            Self::IgnoredByScope => "its scope says ignore",
            Self::IgnoredByAnnotation => "its annotation says ignore",
            Self::ReportedByScope => "its scope says report",
            Self::ReportedByAnnotation => "its annotation says report",
            Self::RestartPolicyAlways => {
                "its restartPolicy is Always, so its owner would only replace it"
            }
            Self::BelowLimit => "it has not failed often enough yet",
            Self::TooEarly => "it has not failed for long enough yet",
            Self::Transient => "such a cause is expected to pass",
            Self::NodeFault => "the node is at fault, not the pod",
            Self::NeverLimit => "the limit for this cause is never",
            Self::DryRun => "this is a dry run",
            Self::RegistryOutage => "its registry seems to be out of order",
            Self::Unheard => "a pull of it may go on whose beginning was not heard",
        }
    }
}
