use crate::policy::Because;

/// How a verdict ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The pod is Failed and stayed so.
    Held,
    /// The pod is gone.
    Gone,
    /// Another look at the pod showed that it must be left alone.
    Withdrawn(Because),
    /// The image has meanwhile arrived on the node.
    ImageArrived,
    /// The API server refuses the write, or the kubelet reverted it too often.
    GivenUp,
}

impl Outcome {
    /// The name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Gone => "gone",
            Self::Withdrawn(_) => "withdrawn",
            Self::ImageArrived => "image_arrived",
            Self::GivenUp => "given_up",
        }
    }
}
