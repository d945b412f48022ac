//! What the node or its kubelet refuse or cannot do, before or beside any registry.

use super::{Class, Rule, When, advice, text};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "no-space",
        class: Class::NoSpace,
        when: text(
            r"no space left on device|\benospc\b|disk quota exceeded|not enough (?:free )?(?:disk )?space|there is not enough space on the disk|insufficient (?:free )?(?:disk |storage )?space|\bdisk (?:is )?full\b",
        ),
        seen: "containerd, CRI-O and dockerd with a full disk",
        advice: "the node's image disk is full: free space or enlarge it; the image is not to blame",
    },
    Rule {
        id: "node-broken",
        class: Class::RuntimeDown,
        when: text(
            r"read-only file ?system|input/output error|too many open files|cannot allocate memory|structure needs cleaning|resource exhausted: fork|transport endpoint is not connected|stale (?:nfs )?file handle|no child processes",
        ),
        seen: "containerd and CRI-O on nodes with a damaged disk or without memory",
        advice: "the node cannot store images: look at its disk and memory; the image is not to blame",
    },
    Rule {
        id: "runtime-socket",
        class: Class::RuntimeDown,
        when: text(
            r"\bdial unix\b|\bread unix\b|\bwrite unix\b|error while dialing|transport is closing|error reading from server|connection is draining|server preface|keepalive ping failed|grpc: the (?:client|server)|cannot connect to the docker daemon|is the docker daemon running|server is not initialized|(?:container )?runtime is (?:down|not (?:ready|running))|unknown service runtime|ttrpc: closed|all subconns are in transientfailure",
        ),
        seen: "kubelet and remote snapshotters when containerd, CRI-O or dockerd is away",
        advice: advice::RUNTIME,
    },
    Rule {
        id: "runtime-call-deadline",
        class: Class::Timeout,
        when: text(r"stream terminated by rst_stream with error code: cancel"),
        seen: "containerd 2.4, a pull that outlived the kubelet's deadline",
        advice: "the pull took longer than the kubelet waits: check how fast the registry is reached",
    },
    Rule {
        id: "runtime-call-broken",
        class: Class::RuntimeDown,
        when: text(r"stream terminated by rst_stream"),
        seen: "grpc-go, when the runtime goes away in the middle of a call",
        advice: "the container runtime broke off the call: look at the runtime's service on the node",
    },
    Rule {
        id: "kubelet-qps",
        class: Class::KubeletQps,
        when: text(r"pull qps exceeded"),
        seen: "kubelet, registryPullQPS",
        advice: "the kubelet's own limit of pulls per second: it passes by itself; raise \
            registryPullQPS if it is often reached",
    },
    Rule {
        id: "never-pull",
        class: Class::NeverPull,
        when: text(r"not present with pull policy of never"),
        seen: "kubelet, imagePullPolicy: Never",
        advice: advice::LOAD,
    },
    Rule {
        id: "never-pull-reason",
        class: Class::NeverPull,
        when: When::Reason("ErrImageNeverPull"),
        seen: "kubelet, imagePullPolicy: Never",
        advice: advice::LOAD,
    },
    Rule {
        id: "invalid-reference",
        class: Class::InvalidReference,
        when: text(
            r"invalid reference\b|failed to parse (?:image )?reference|could ?n[o']t parse (?:image )?(?:reference|name)|parsing? (?:image )?(?:reference|name)\b|failed to apply default image tag|invalidimagename|repository name (?:\(~\) |\(.*\) )?must|repository name can only|(?:not a valid|invalid) (?:repository|image|tag|image reference)(?:/tag| name| format)|invalid (?:repository|image|tag) name|name_?invalid|name invalid|invalid tag format|invalid (?:checksum )?digest (?:format|length)|unsupported digest algorithm|both a tag and (?:a )?digest|: (?:object|hostname) required|cannot specify 64-byte hexadecimal",
        ),
        seen: "kubelet, containerd, CRI-O and dockerd, upper case, bad tag, short digest, empty name",
        advice: advice::SPELLING,
    },
    Rule {
        id: "invalid-reference-reason",
        class: Class::InvalidReference,
        when: When::Reason("InvalidImageName"),
        seen: "kubelet, before any call",
        advice: advice::SPELLING,
    },
    Rule {
        id: "short-name",
        class: Class::ShortName,
        when: text(
            r"\bshort-name\b|\bshort name mode\b|short-name resolution|unqualified-search registries|returns ambiguous list|short name .* (?:ambiguous|enforc)",
        ),
        seen: "CRI-O, a name without a registry and no or several search registries",
        advice: "the name has no registry and the node does not know which one is meant: write it in \
            full, as in docker.io/library/nginx:1",
    },
];
