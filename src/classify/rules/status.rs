//! The registry answered, and the text gives its HTTP status.

use super::{Class, Rule, advice, text};

/// An HTTP status, however the runtime words it: `unexpected status code ~: 429`, `StatusCode: 404`,
/// `error parsing HTTP 403 response body`, `404 (Not Found)`, `503 Service Unavailable`.
macro_rules! status {
    ($code:literal, $phrase:literal) => {
        text(&[
            concat!(r"\b(?:status|statuscode|http)\b[^0-9]{0,80}\b", $code, r"\b"),
            concat!(r"\b", $code, r" (?:\(|", $phrase, ")"),
        ])
    };
}

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "http-to-https-port",
        class: Class::TlsProtocol,
        when: text(&["client sent an http request to an https server"]),
        seen: "any runtime, a registry marked insecure: Go's server answers 400 with these words",
        advice: "the registry wants HTTPS and the node speaks HTTP to it: take it off the runtime's \
            list of insecure registries",
    },
    Rule {
        id: "rate-limit-words",
        class: Class::RateLimited,
        when: text(&[
            r"\btoo ?many ?requests\b",
            r"\btoo_many_requests\b",
            r"\b(?:rate|pull|download|request) ?limit",
            r"\brate exceeded",
            "rate_?limit",
            "throttl",
            r"\bquota (?:has been )?exceeded for\b",
            r"\bexceeded .{0,40}quota",
        ]),
        seen: "Docker Hub, ECR, quay.io, GHCR; CRI-O from a token server",
        advice: advice::RATE,
    },
    Rule {
        id: "http-429",
        class: Class::RateLimited,
        when: status!("429", "too many"),
        seen: "containerd and CRI-O, HTTP 429 on manifest, blob or token",
        advice: advice::RATE,
    },
    Rule {
        id: "http-5xx",
        class: Class::Registry5xx,
        when: status!(
            "5(?:0[0-9]|1[01]|2[0-9]|30|99)",
            r"internal server|not implemented|bad gateway|service (?:temporarily )?unavailable|gateway time|server error|origin"
        ),
        seen: "containerd, CRI-O and dockerd, HTTP 500 to 504 on manifest, blob or token",
        advice: advice::WAIT,
    },
    Rule {
        id: "http-407",
        class: Class::Proxy,
        when: status!("407", "proxy"),
        seen: "any runtime behind a proxy that wants a login",
        advice: "the proxy on the way wants a login: check the runtime's proxy settings on the node",
    },
    Rule {
        id: "http-408",
        class: Class::Timeout,
        when: status!("408", "request time"),
        seen: "load balancers in front of registries",
        advice: "the registry gave up waiting: check the network between node and registry",
    },
    Rule {
        id: "not-a-registry",
        class: Class::Registry4xxOther,
        when: text(&[
            r"(?:fetch (?:anonymous|oauth) token|requesting bearer token|pinging (?:container|docker) registry)\b.*\b404\b",
        ]),
        seen: "containerd: 404 of a token server; CRI-O: 404 of /v2/",
        advice: "there is no registry at this address, or its login service is elsewhere: check the \
            image's host, and the registry's settings",
    },
    Rule {
        id: "manifest-not-accepted",
        class: Class::UnsupportedMediaType,
        when: text(&["(?:index|manifest) found, but accept header does not"]),
        seen: "Docker's registry towards old clients: status 404, yet the tag is there",
        advice: "the image's manifest is of a kind this runtime does not read: rebuild it, or \
            upgrade the runtime",
    },
    Rule {
        id: "http-404",
        class: Class::NotFound,
        when: status!("404", "(?:page )?not found"),
        seen: "containerd 1.7 and CRI-O where the body is no registry's JSON",
        advice: advice::PUSH,
    },
    Rule {
        id: "http-401",
        class: Class::Unauthorized,
        when: status!("401", "unauthori[sz]ed"),
        seen: "containerd and CRI-O, missing or wrong credentials",
        advice: advice::LOGIN,
    },
    Rule {
        id: "http-403",
        class: Class::Forbidden,
        when: status!("403", "forbidden"),
        seen: "containerd and CRI-O, credentials without the right, or a private package",
        advice: advice::RIGHT,
    },
    Rule {
        id: "http-4xx",
        class: Class::Registry4xxOther,
        when: status!(
            "4(?:[0-2][0-9]|31|51|99)",
            r"bad request|payment|method not|not acceptable|conflict|gone|unsupported|unavailable for|unknown"
        ),
        seen: "containerd, HTTP 400 of a broken mirror; 451 where an image is blocked by law",
        advice: advice::REQUEST,
    },
];
