//! What the registry said, in words: refused, or not there.

use super::{Class, Rule, advice, text};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "content-lost-on-node",
        class: Class::UnpackError,
        when: text(
            r"content (?:digest )?~: not found|(?:snapshot|lease|plugins?|plugin|snapshotter|processor|container|blob ~ expected at ~)\b[^:]*: (?:blob )?not found|image store: .*not found|get image (?:by reference|id|config).*not found|does not exist: not found|no unpack platforms",
        ),
        seen: "containerd, content that was collected or a store that is damaged: code NotFound, yet \
            no registry said so",
        advice: "the node lost content that it had: it pulls it again; if it goes on, look at the \
            runtime's storage",
    },
    Rule {
        id: "no-hosts",
        class: Class::Unknown,
        when: text(
            r"no (?:pull|resolve) hosts|no available registry endpoint|no endpoints found|registry endpoint",
        ),
        seen: "containerd, a hosts.toml without a host that may be pulled from: code NotFound",
        advice: "the node's runtime has no host to pull this image from: check its hosts.toml and \
            mirrors",
    },
    Rule {
        id: "policy-file",
        class: Class::Unknown,
        when: text(r"invalid policy in ~|\bopen ~: .*policy"),
        seen: "CRI-O with a damaged policy.json",
        advice: "the node's signature policy cannot be read: mend /etc/containers/policy.json there",
    },
    Rule {
        id: "iam-denied",
        class: Class::Forbidden,
        when: text(
            r"is not authorized to perform|access forbidden|does not have (?:the )?(?:storage|artifactregistry|permission)|lacks? (?:the )?permission",
        ),
        seen: "ECR, GCR and GitLab, with the registry's own words",
        advice: advice::RIGHT,
    },
    Rule {
        id: "no-credentials",
        class: Class::Unauthorized,
        when: text(
            r"no basic auth credentials|missing username or secret|no credentials (?:found|provided|were)|credentials? (?:not found|required)|incorrect username or password|invalid username|login attempt",
        ),
        seen: "containerd and dockerd without a pull secret; Docker Hub with a wrong password",
        advice: advice::LOGIN,
    },
    Rule {
        id: "denied-or-missing",
        class: Class::DeniedOrMissing,
        when: text(
            r"requested access to the resource is denied|pull access denied|repository does not exist or may require|may require (?:docker login|authorization)|insufficient_scope|insufficient scope|or it may not exist|(?:does|may) not exist or (?:you|no|may|requires?)",
        ),
        seen: "Docker Hub and others, which do not tell a private repository from a missing one",
        advice: "the repository does not exist, or may not be read with these credentials: check the \
            spelling, then the imagePullSecrets",
    },
    Rule {
        id: "unauthorized",
        class: Class::Unauthorized,
        when: text(
            r"\bunauthori[sz]ed\b|authentication (?:is )?required|authorization (?:is )?required|\bunauthenticated\b|authentication (?:failed|failure|error)|not authenticated|login required|please log ?in|(?:bad|wrong|invalid|expired) (?:credentials?|token|password|login)|token (?:has |is )?(?:expired|invalid)|authorization failed|failed to authorize|unable to retrieve auth token|fetch (?:anonymous|oauth) token|auth(?:entication)? scheme|access to the requested resource is not authorized|http basic: access denied",
        ),
        seen: "CRI-O, quay.io, Harbor, ACR, GitLab",
        advice: advice::LOGIN,
    },
    Rule {
        id: "missing",
        class: Class::NotFound,
        when: text(
            r"(?:manifest|name|blob|tag|repository|image|layer|artifact)[ _]unknown|manifest for ~ (?:was )?not found|unknown (?:manifest|blob|tag|repository|image|artifact)\b|not known to (?:the )?registry|no such manifest|\b(?:manifest|tag|repository|image|artifact|blob|project|package|reference)(?: ~| [a-z0-9_-]+)?:? (?:was |could )?(?:not be found|not found)|from remote: not found|content at ~ not found|~: not found|failed to resolve (?:reference|image)\b.*: not found|was deleted or has expired|\bnosuch(?:key|bucket)\b|(?:manifest|tag|repository|image|artifact|name)(?: ~| [a-z0-9_-]+| with [a-z]+ ~)? (?:does not|doesn't) exist|does not exist in the registry|failed to fetch .*: not found|the specified (?:key|blob) does not exist",
        ),
        seen: "containerd, CRI-O and dockerd; Docker's registry, Harbor, Quay, ECR, GitLab",
        advice: advice::PUSH,
    },
    Rule {
        id: "forbidden",
        class: Class::Forbidden,
        when: text(
            r"\bforbidden\b|\bdenied\b|\bnot authori[sz]ed\b|not allowed to|no permission|permission_denied|access blocked",
        ),
        seen: "CRI-O, HTTP 403 on manifest or layer",
        advice: advice::RIGHT,
    },
    Rule {
        id: "refused-otherwise",
        class: Class::Registry4xxOther,
        when: text(
            r"\bbad request\b|: unsupported\b|operation is unsupported|method not allowed|manifest[ _]invalid|tag[ _]invalid|digest[ _]invalid|size[ _]invalid|unavailable for legal reasons|payment required|\bblocked\b|vulnerab|quarantine",
        ),
        seen: "CRI-O, HTTP 400 on a manifest; Harbor and Artifactory, images held back by a scanner",
        advice: advice::REQUEST,
    },
];
