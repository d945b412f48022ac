//! Which host failed, read from the error. Mirrors, caches, login services and content networks are
//! often not the registry that the image's name says.

use std::net::IpAddr;

/// Docker Hub's name.
const DOCKER_HUB: &str = "docker.io";
/// Stands for what cannot be the name of a registry.
const INVALID: &str = "invalid";

/// The host that failed, and how it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failing {
    /// The host, with the port that the error gives.
    pub(super) host: String,
    /// containerd asked it in another registry's stead.
    pub(super) mirror: bool,
}

/// The registry that serves an image, as container runtimes read its name: `docker.io` where the
/// name has none.
pub fn registry_of(image: &str) -> String {
    let image = image.split_once("://").map_or(image, |(_, rest)| rest);
    let registry = match image.split_once('/') {
        // A name like `team/app` is Docker Hub's.
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => {
            first.to_ascii_lowercase()
        }
        _ => DOCKER_HUB.to_owned(),
    };
    match registry.as_str() {
        "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB.to_owned(),
        host if is_host(host) => registry,
        _ => INVALID.to_owned(),
    }
}

/// Whether a host belongs to a registry, as `auth.docker.io` belongs to `docker.io`.
pub(super) fn belongs_to(host: &str, registry: &str) -> bool {
    let (host, registry) = (without_port(host), without_port(registry));
    let under = |domain: &str| {
        host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
    };
    under(registry) || registry == DOCKER_HUB && under("docker.com")
}

/// A host without its port.
pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whether a host is a bare address.
pub(super) fn is_address(host: &str) -> bool {
    without_port(host).trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

/// The image that a text is about.
pub(super) fn image_in(text: &str) -> Option<&str> {
    let marks = ["pull image \"", "unpack image \"", "reference \"", "pulling image \""];
    let after = |mark: &str| text.split_once(mark).map(|(_, rest)| rest);
    let quoted = marks.iter().find_map(|mark| after(mark)).and_then(|rest| rest.split('"').next());
    let plain = || after("docker://").and_then(|rest| rest.split([' ', ',', ';']).next());
    quoted.or_else(plain).map(|image| image.trim_end_matches(':')).filter(|i| !i.is_empty())
}

/// The host that failed. The most telling mention decides; of several like it the last one.
pub(super) fn failing(text: &str) -> Option<Failing> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let proxy = words.iter().position(|word| word.ends_with("proxyconnect"));
    if let Some(at) = proxy {
        let rest = &words[at..];
        let place = rest.windows(2).find_map(|two| match two {
            ["lookup", name] => plain_host(name),
            ["tcp", address] => plain_host(address),
            _ => None,
        });
        return place.map(|host| Failing { host, mirror: false });
    }
    (0..words.len())
        .filter_map(|at| mention(&words, at))
        .enumerate()
        .max_by_key(|(place, (weight, _))| (*weight, *place))
        .map(|(_, (_, failing))| failing)
}

/// What a word says about the host, and how much that weighs.
fn mention(words: &[&str], at: usize) -> Option<(u8, Failing)> {
    let word = words[at];
    let back = |n: usize| at.checked_sub(n).map_or("", |at| words[at]);
    let known = |weight: u8, host: Option<String>| {
        host.map(|host| (weight, Failing { host, mirror: false }))
    };
    let bare = word.trim_start_matches(['"', '(', '[', '\'']);
    if let Some(url) = bare.strip_prefix("https://").or_else(|| bare.strip_prefix("http://")) {
        let asked = ["get", "head", "post", "put", "to", "code", "at", "from"];
        if !asked.contains(&back(1).to_ascii_lowercase().as_str()) {
            return None;
        }
        let mirror = url.contains("?ns=") || url.contains("&ns=");
        return authority(url).map(|host| (6, Failing { host, mirror }));
    }
    if let Some(image) = bare.strip_prefix("docker://") {
        return known(3, referenced(image));
    }
    match back(1) {
        "lookup" => known(5, plain_host(word)),
        "registry" if back(3) == "pinging" => known(4, plain_host(word)),
        "host" if back(2) == "from" => known(4, plain_host(word)),
        "in" if matches!(back(3), "manifest" | "digest" | "signatures") => {
            known(4, referenced(word))
        }
        "reference" | "image" | "image:" | "for" if word.contains(['/', '"']) => {
            known(2, referenced(word))
        }
        "tcp" => known(1, plain_host(word.rsplit("->").next().unwrap_or(word))),
        _ => None,
    }
}

/// The registry of an image in a text.
fn referenced(word: &str) -> Option<String> {
    let image = trimmed(word);
    (!image.is_empty()).then(|| registry_of(image)).filter(|host| is_host(host))
}

fn authority(url: &str) -> Option<String> {
    let authority = url.split(['/', '?', '#', '"', '\'', ',']).next()?;
    // What stands before an @ may be a password.
    plain_host(authority.rsplit('@').next()?)
}

fn plain_host(word: &str) -> Option<String> {
    let host = trimmed(word).to_ascii_lowercase();
    is_host(&host).then_some(host)
}

fn trimmed(word: &str) -> &str {
    word.trim_start_matches(['"', '(', '\'']).trim_end_matches([':', ',', ';', '"', ')', '\'', '.'])
}

fn is_host(host: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    !host.is_empty() && host.len() <= 255 && host.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_of_an_image() {
        for (image, registry) in [
            ("nginx", "docker.io"),
            ("nginx:1.2", "docker.io"),
            ("team/app", "docker.io"),
            ("docker.io/library/nginx@sha256:00", "docker.io"),
            ("index.docker.io/x/y", "docker.io"),
            ("localhost/x", "localhost"),
            ("localhost:5000/x", "localhost:5000"),
            ("Registry.Example.com/x:1", "registry.example.com"),
            ("docker://quay.io/x", "quay.io"),
            ("[::1]:5000/x", "[::1]:5000"),
            ("", "docker.io"),
        ] {
            assert_eq!(registry_of(image), registry, "{image}");
        }
    }

    #[test]
    fn the_host_that_failed() {
        for (text, host) in [
            (
                "Head \"https://r.example:5000/v2/x\": dial tcp 10.0.0.1:5000: connect: refused",
                "r.example:5000",
            ),
            (
                "Get https://registry-1.docker.io/v2/: net/http: TLS handshake timeout",
                "registry-1.docker.io",
            ),
            (
                "failed to resolve reference \"docker.io/x\": unexpected status from HEAD request to https://m.corp/v2/x?ns=docker.io: 500",
                "m.corp",
            ),
            ("dial tcp: lookup quay.io on 10.0.0.2:53: no such host", "quay.io"),
            ("pinging container registry localhost:7439: oops", "localhost:7439"),
            (
                "initializing source docker://r.corp/x:1: reading manifest 1 in m.corp/x: unknown",
                "m.corp",
            ),
            ("failed to resolve reference \"r.corp/x:1\": r.corp/x:1: not found", "r.corp"),
            ("failed to resolve image: 127.0.0.1:5055/nosuch/repo:1: not found", "127.0.0.1:5055"),
            ("pulling from host r.corp failed with status code [manifests 1]: 401", "r.corp"),
            ("manifest for lachlanevenson/k8s-kubectl:v1 not found", "docker.io"),
            (
                "Get \"https://r.io/v2/\": proxyconnect tcp: dial tcp 10.0.0.1:3128: refused",
                "10.0.0.1:3128",
            ),
            ("Get \"https://user:secret@r.io/v2/\": EOF", "r.io"),
            ("read tcp 192.168.16.6:35464->104.18.122.25:443: reset", "104.18.122.25:443"),
        ] {
            assert_eq!(failing(text).map(|f| f.host).as_deref(), Some(host), "{text}");
        }
        for text in ["context deadline exceeded", "see https://www.docker.com/increase-rate-limit"]
        {
            assert_eq!(failing(text), None, "{text}");
        }
    }

    #[test]
    fn a_host_belongs_to_its_domain_only() {
        assert!(belongs_to("auth.docker.io", "docker.io"));
        assert!(belongs_to("production.cloudflare.docker.com", "docker.io"));
        assert!(belongs_to("r.corp:443", "r.corp"));
        assert!(!belongs_to("evilquay.io", "quay.io"));
        assert!(!belongs_to("m.corp", "docker.io"));
    }
}
