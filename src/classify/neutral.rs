//! Names out, words kept: an image called `not-found:503` must not look like an error.

use super::Code;

/// Stands for a name in the rules' patterns.
const NAME: &str = "~";

/// Words with a slash or a dot that are no names.
const WORDS: [&str; 10] = [
    "i/o",
    "input/output",
    "net/http",
    "archive/tar",
    "and/or",
    "list/index",
    "username/password",
    "disconnect/reset",
    "http/1.x",
    "http/2.0",
];

/// The text as the rules read it: lower-case ASCII, one space between words, no quotes, and `~` for
/// every image, host, path, address, URL and digest. Also the gRPC status that the text names.
pub(super) fn neutral(text: &str) -> (String, Option<Code>) {
    let lower: String =
        text.chars().map(|c| if c.is_ascii() { c.to_ascii_lowercase() } else { '?' }).collect();
    // As logs write it: error="...".
    let lower = json_spaced(&lower.replace("=\"", "= \""));
    let words: Vec<&str> = lower.split_ascii_whitespace().collect();
    let mut out = String::with_capacity(lower.len());
    let mut code = None;
    for (at, word) in words.iter().enumerate() {
        let (lead, core, trail) = parts(word);
        let status = at >= 2 && words[at - 1] == "=" && words[at - 2] == "code";
        if status {
            code = code.or_else(|| Code::read(core));
        }
        let quoted = lead.contains('"') && (trail.contains('"') || at + 1 == words.len());
        let name = status || quoted || core.contains('"') || is_name(core) || placed(&words, at);
        for (text, keep) in [(lead, true), (core, !name), (trail, true)] {
            match keep {
                true => out.extend(text.chars().filter(|&c| c != '"')),
                false => out.push_str(NAME),
            }
        }
        out.push(' ');
    }
    out.pop();
    (out, code)
}

/// Registries answer in JSON, whose words are quoted like names.
fn json_spaced(text: &str) -> String {
    match text.find("{\"") {
        None => text.to_owned(),
        Some(at) => {
            let (before, json) = text.split_at(at);
            let spaced = json.replace(['{', '}', '[', ']', ',', '"'], " ").replace(':', ": ");
            before.to_owned() + &spaced
        }
    }
}

/// Punctuation before, the word, punctuation after.
fn parts(word: &str) -> (&str, &str, &str) {
    let rest = word.trim_start_matches(['(', '[', '{', '<', '"', '\'', '`']);
    let core =
        rest.trim_end_matches([')', ']', '}', '>', '"', '\'', '`', ',', ';', ':', '.', '!', '?']);
    (&word[..word.len() - rest.len()], core, &rest[core.len()..])
}

/// Whether the word's shape is that of a reference, host, path, address, URL or digest.
fn is_name(core: &str) -> bool {
    if WORDS.contains(&core) || is_media_type(core) {
        return false;
    }
    core.contains(['/', ':', '@', '\\', '%'])
        || core.len() >= 12 && core.bytes().all(|b| b.is_ascii_hexdigit())
        || core.as_bytes().windows(3).any(|three| {
            three[1] == b'.' && three[0].is_ascii_alphanumeric() && three[2].is_ascii_alphanumeric()
        })
}

fn is_media_type(core: &str) -> bool {
    let rest = core.strip_prefix("application/").or_else(|| core.strip_prefix("text/"));
    rest.is_some_and(|rest| {
        rest.bytes().all(|b| b.is_ascii_alphanumeric() || b".+-;=".contains(&b))
    })
}

/// Whether the word stands where only a name can stand. Short names, tags and hosts may be any
/// word: `timeout`, `denied`.
fn placed(words: &[&str], at: usize) -> bool {
    let back = |n: usize| at.checked_sub(n).map_or("", |at| words[at]);
    let next = words.get(at + 1).copied().unwrap_or_default();
    match back(1) {
        "lookup" => back(2) != "to",
        "registry" => back(3) == "pinging",
        "host" => back(2) == "from",
        "manifest" | "digest" | "blob" | "signatures" => {
            matches!(back(2), "reading" | "fetching" | "getting") && next == "in"
        }
        "[manifests" | "[blobs" => true,
        "for" => {
            matches!(back(2), "denied" | "manifest") || back(2) == "failed" && next == "because"
        }
        "name" => back(2) == "image" && next == "returns",
        "tag" => matches!(next, "not" | "was"),
        "repository" | "image" | "artifact" | "project" => {
            next == "not" && !matches!(words[at], "does" | "do" | "is" | "was" | "could")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_and_words_stay() {
        for (text, expected) in [
            (
                "Failed to pull image \"denied/503:timeout\": rpc error: code = NotFound desc = \
                 denied/503:timeout: not found",
                "failed to pull image ~: rpc error: code = ~ desc = ~: not found",
            ),
            (
                "failed to do request: Head \"https://timeout.io/v2/a\": dial tcp 1.2.3.4:443: i/o \
                 timeout",
                "failed to do request: head ~: dial tcp ~: i/o timeout",
            ),
            (
                "reading manifest denied in r/x: manifest unknown",
                "reading manifest ~ in ~: manifest unknown",
            ),
            (
                "failed with status code [manifests 503]: 401 X",
                "failed with status code [manifests ~]: 401 x",
            ),
            ("pull access denied for timeout, repository", "pull access denied for ~, repository"),
            (
                "dial tcp: lookup refused on [::1]:53: no such host",
                "dial tcp: lookup ~ on [~: no such host",
            ),
            (
                "unexpected media type text/html for sha256:00: not found",
                "unexpected media type text/html for ~: not found",
            ),
            ("Failed to pull image \"no-such-ho", "failed to pull image ~"),
            (
                "body: {\"errors\":[{\"code\":\"DENIED\",\"message\":\"no\"}]}",
                "body: errors : code : denied message : no",
            ),
            ("ünknown", "?nknown"),
        ] {
            assert_eq!(neutral(text).0, expected);
        }
    }

    #[test]
    fn the_status_in_the_text_is_read() {
        assert_eq!(
            neutral("rpc error: code = DeadlineExceeded desc = x").1,
            Some(Code::DeadlineExceeded)
        );
        assert_eq!(neutral("rpc error: code = 4 desc = x").1, Some(Code::DeadlineExceeded));
        assert_eq!(neutral("no code").1, None);
    }
}
