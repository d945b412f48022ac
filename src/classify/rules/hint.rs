//! Where no text says more: the kubelet's reason, the gRPC status, nothing at all.

use super::{Class, Code, Rule, When, advice, text};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "signature-reason",
        class: Class::Signature,
        when: When::Reason("SignatureValidationFailed"),
        seen: "kubelet, from CRI-O",
        advice: advice::SIGN,
    },
    Rule {
        id: "registry-unavailable-reason",
        class: Class::ConnectionRefused,
        when: When::Reason("RegistryUnavailable"),
        seen: "kubelet, from CRI-O, which says so of refused connections only",
        advice: advice::REFUSED,
    },
    Rule {
        id: "registry-unavailable",
        class: Class::ConnectionRefused,
        when: text(&["registryunavailable", "the registry is unavailable"]),
        seen: "CRI-O, cut after its first words",
        advice: advice::REFUSED,
    },
    Rule {
        id: "code-deadline-exceeded",
        class: Class::Timeout,
        when: When::Code(Code::DeadlineExceeded),
        seen: "kubelet, when the runtime did not answer in time",
        advice: advice::NETWORK,
    },
    Rule {
        id: "code-canceled",
        class: Class::ProgressTimeout,
        when: When::Code(Code::Canceled),
        seen: "containerd, a pull without progress",
        advice: advice::STALL,
    },
    Rule {
        id: "code-unavailable",
        class: Class::RuntimeDown,
        when: When::Code(Code::Unavailable),
        seen: "kubelet, when the runtime is away",
        advice: advice::RUNTIME,
    },
    Rule {
        id: "code-unauthenticated",
        class: Class::Unauthorized,
        when: When::Code(Code::Unauthenticated),
        seen: "containerd with a remote credential helper",
        advice: advice::LOGIN,
    },
    Rule {
        id: "code-permission-denied",
        class: Class::Forbidden,
        when: When::Code(Code::PermissionDenied),
        seen: "containerd 2.x",
        advice: advice::RIGHT,
    },
    // No rule for the code NotFound alone: containerd says it of a wrong platform, of a login page
    // and of content that the node lost.
    Rule {
        id: "unknown",
        class: Class::Unknown,
        when: When::Always,
        seen: "whatever no rule knows",
        advice: "no rule knows this text: read it, add one under [[rules]], and report it to \
            pullfuse",
    },
];
