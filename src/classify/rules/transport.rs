//! The way to the registry. All of it is expected to pass.

use super::{Class, Rule, advice, text};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "proxy-connect",
        class: Class::Proxy,
        when: text(
            r"\bproxyconnect\b|\bsocks connect\b|proxy authentication required|\bproxy error\b|error connecting to proxy|unknown scheme .*proxy",
        ),
        seen: "any runtime behind an HTTP proxy",
        advice: "the proxy on the way does not work: check the runtime's proxy settings on the node",
    },
    Rule {
        id: "https-to-http-port",
        class: Class::TlsProtocol,
        when: text(
            r"server gave http response to https client|first record does not look like a tls handshake|malformed http response|oversized record received|wrong version number",
        ),
        seen: "any runtime, a registry without TLS; or one with TLS that is asked without",
        advice: "one side speaks TLS and the other does not: list the registry as insecure in the \
            runtime's configuration, or give it a certificate",
    },
    Rule {
        id: "proxy-refused",
        class: Class::Proxy,
        when: text(
            r"\b(?:get|head|post) ~: (?:forbidden|service unavailable|bad gateway|gateway time-?out|bad request|method not allowed|internal server error|proxy)\b",
        ),
        seen: "Go's HTTP client: a bare reason phrase is the proxy's answer to CONNECT",
        advice: "the proxy on the way refuses the registry: let it through, or exempt it with \
            NO_PROXY on the node",
    },
    Rule {
        id: "lookup",
        class: Class::Dns,
        when: text(
            r"\blookup ~(?: on \[?~)?:|no such host|server misbehaving|temporary failure in name resolution|name or service not known|nodename nor servname|could(?: not|n't) resolve host|name resolution fail|failed to resolve (?:host|dns)|no dns servers|dns lookup",
        ),
        seen: "any runtime; also when the DNS server itself times out or refuses",
        advice: "the registry's name is not resolved: check the host in the image's name, and the \
            node's DNS",
    },
    Rule {
        id: "unreachable",
        class: Class::NetworkUnreachable,
        when: text(
            r"no route to host|(?:network|host|destination)(?: host| net)? (?:is |was )?(?:unreachable|down)\b|unreachable (?:network|host)|cannot assign requested address|no suitable address|\behostunreach\b|\benetunreach\b",
        ),
        seen: "any runtime, a firewall or a missing route",
        advice: "there is no way from the node to the registry: check routes and firewalls",
    },
    Rule {
        id: "refused",
        class: Class::ConnectionRefused,
        when: text(r"connection refused|actively refused|\beconnrefused\b"),
        seen: "any runtime, nothing listens at the address",
        advice: advice::REFUSED,
    },
    Rule {
        id: "lock",
        class: Class::ContentLock,
        when: text(
            r"\blocked(?: for ~)?(?: \(since .*)?: unavailable|\blocked for ~|~ locked\b|\bref ~ locked|target snapshot ~: already exists|could not acquire lock|database is locked|layer .* is (?:being|currently) (?:pulled|used)",
        ),
        seen: "containerd, two pulls of one layer at once",
        advice: "another pull of the same content was under way: it passes by itself",
    },
    Rule {
        id: "unpack-end-of-file",
        class: Class::UnpackError,
        when: text(
            r"(?:failed to (?:extract|register|apply) layer|unpacking failed|error processing tar).*(?:unexpected eof|: eof)\b",
        ),
        seen: "containerd and dockerd, a layer whose archive ends early: its digest was right",
        advice: "a layer of the image is damaged: build and push it again",
    },
    Rule {
        id: "registry-words-5xx",
        class: Class::Registry5xx,
        when: text(
            r"internal server error|bad gateway|service (?:is )?(?:temporarily )?unavailable|gateway time-?out|temporarily unavailable|no healthy upstream|upstream connect error|backend fetch failed|unknown: unknown error|: unavailable: |internal_?error: |server is (?:busy|overloaded)",
        ),
        seen: "registries whose error texts reach the message without a status",
        advice: advice::WAIT,
    },
    Rule {
        id: "timeout",
        class: Class::Timeout,
        when: text(
            r"i/o timeout|handshake timeout|timed ?out\b|timeout (?:exceeded|awaiting|waiting)|deadline exceeded|exceeded while (?:awaiting|reading)|operation timeout|request timeout|connection timeout|no response from|did not (?:properly )?respond after|failed to respond|timeout was reached|: timeout\b|request canceled while waiting for connection",
        ),
        seen: "any runtime, an address that does not answer",
        advice: advice::NETWORK,
    },
    Rule {
        id: "no-progress",
        class: Class::ProgressTimeout,
        when: text(
            r"context cancell?ed|no progress in|(?:pull|operation|request|download) (?:was )?cancell?ed|download cancell?ed|no data (?:was )?received",
        ),
        seen: "containerd and CRI-O: image_pull_progress_timeout, pull_progress_timeout",
        advice: advice::STALL,
    },
    Rule {
        id: "connection-broken",
        class: Class::ConnectionReset,
        when: text(
            r"reset by peer|connection (?:was |has been )?(?:reset|aborted|closed|lost|shut down|forcibly closed)|broken pipe|unexpected eof|(?:^|: |\b)eof\b|forcibly closed|closed (?:idle |network )?connection|closed by (?:the )?(?:remote|peer|server)|goaway|stream error|stream id [0-9]+|client connection (?:lost|force closed)|http2: |connection broken|short read|received unexpected number of bytes|failed to copy after [0-9]+ retries|read/write on closed pipe|readlooppeekfaillocked|server closed|disconnect/reset|curl: \(",
        ),
        seen: "any runtime, a registry, mirror or load balancer that hangs up",
        advice: "the connection broke off: wait; if it goes on, look at the load balancer or mirror \
            on the way",
    },
];
