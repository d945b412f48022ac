use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr, VariantNames};

/// The cause of a failed pull. The names are the same in the configuration, the metrics, the
/// Events and the output of every command.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    EnumIter,
    EnumString,
    IntoStaticStr,
    VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Class {
    /// The registry answered, and has no such repository, tag or digest.
    NotFound,
    /// The image's name cannot be parsed.
    InvalidReference,
    /// The image exists, but not for this node's platform.
    PlatformMismatch,
    /// A manifest of schema 1, which runtimes no longer read.
    UnsupportedSchema1,
    /// A manifest of a kind that is no image.
    UnsupportedMediaType,
    /// A signature that the node's policy asks for is missing or wrong.
    Signature,
    /// `imagePullPolicy: Never`, and the node does not have the image.
    NeverPull,
    /// A name without a registry, which the runtime's configuration does not resolve.
    ShortName,
    /// Refused with words that mean either no right or no such repository.
    DeniedOrMissing,
    /// No or wrong credentials (401).
    Unauthorized,
    /// Credentials without the right (403).
    Forbidden,
    /// The registry's certificate is not trusted, expired or for another name.
    X509,
    /// TLS could not be negotiated, or one side does not speak it.
    TlsProtocol,
    /// A layer could not be unpacked.
    UnpackError,
    /// The answer is no manifest at all, such as a login page.
    UnexpectedMediaType,
    /// Another refusal in the range 400 to 499.
    #[serde(rename = "registry_4xx_other")]
    #[strum(serialize = "registry_4xx_other")]
    Registry4xxOther,
    /// No rule knows the text.
    Unknown,
    /// Too many requests (429).
    RateLimited,
    /// The registry itself failed (500 to 599).
    #[serde(rename = "registry_5xx")]
    #[strum(serialize = "registry_5xx")]
    Registry5xx,
    /// The registry's name was not resolved.
    Dns,
    /// A proxy on the way refused or failed.
    Proxy,
    /// Nothing listens at the registry's address.
    ConnectionRefused,
    /// The connection broke off.
    ConnectionReset,
    /// No way to the registry's address.
    NetworkUnreachable,
    /// No answer in time.
    Timeout,
    /// The pull began and made no progress for too long.
    ProgressTimeout,
    /// Another pull of the same content held its lock.
    ContentLock,
    /// The content was not what its digest says.
    DigestMismatch,
    /// The kubelet's own limit of pulls per second.
    KubeletQps,
    /// The node's disk is full.
    NoSpace,
    /// The container runtime did not answer, or the node below it is broken.
    RuntimeDown,
}

impl Class {
    /// The name in configuration, metrics, Events and output.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// What it means for the pod, unless a rule of the user says otherwise.
    pub fn disposition(self) -> Disposition {
        match self {
            Self::NotFound
            | Self::InvalidReference
            | Self::PlatformMismatch
            | Self::UnsupportedSchema1
            | Self::UnsupportedMediaType
            | Self::Signature
            | Self::NeverPull
            | Self::ShortName => Disposition::Permanent,
            Self::DeniedOrMissing
            | Self::Unauthorized
            | Self::Forbidden
            | Self::X509
            | Self::TlsProtocol
            | Self::UnpackError
            | Self::UnexpectedMediaType
            | Self::Registry4xxOther
            | Self::Unknown => Disposition::Ambiguous,
            Self::RateLimited
            | Self::Registry5xx
            | Self::Dns
            | Self::Proxy
            | Self::ConnectionRefused
            | Self::ConnectionReset
            | Self::NetworkUnreachable
            | Self::Timeout
            | Self::ProgressTimeout
            | Self::ContentLock
            | Self::DigestMismatch
            | Self::KubeletQps => Disposition::Transient,
            Self::NoSpace | Self::RuntimeDown => Disposition::NodeFault,
        }
    }
}

/// What a cause means for the pod.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    EnumIter,
    EnumString,
    IntoStaticStr,
    VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Disposition {
    /// The image will not come by waiting.
    Permanent,
    /// It may come once somebody changes something; counted with more patience.
    Ambiguous,
    /// It is expected to pass.
    Transient,
    /// The node's fault, never the pod's.
    NodeFault,
}

impl Disposition {
    /// The name in configuration, metrics, Events and output.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn one_name_everywhere() {
        for class in Class::iter() {
            assert_eq!(serde_json::to_value(class).unwrap(), class.as_str());
            assert_eq!(class.as_str().parse(), Ok(class));
        }
        for disposition in Disposition::iter() {
            assert_eq!(serde_json::to_value(disposition).unwrap(), disposition.as_str());
        }
    }
}
