//! Registries and HTTP clients quote in their errors what they were asked: URLs with passwords and
//! signatures, and headers. The words around a credential stay, since they tell the cause.

use std::{borrow::Cow, sync::LazyLock};

use regex::{Captures, Regex};

/// What stands for a credential.
const GONE: &str = "***";

/// Parameters of a URL that tell the cause and are no secret: the registry that a mirror was asked
/// for, and what a token was asked for.
const HARMLESS_PARAMETERS: [&str; 3] = ["ns", "scope", "service"];

/// Where credentials stand; group `k` is kept before what goes. One after the other: alternatives of
/// one expression would look far ahead again and again.
const PLACES: [&str; 10] = [
    // -----BEGIN PRIVATE KEY-----
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*-----|\z)",
    // Tokens that are known by their form.
    r"(?-u:\b)(?:eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-.]*|(?:gh[a-z]_|github_pat_|glpat-|dckr_pat_)[A-Za-z0-9_\-]{16,})",
    // https://user:password@host, but not docker://image@sha256:...
    r#"(?<k>[A-Za-z][A-Za-z0-9+.\-]*://)[^\s/?\#"'\\<>]+(?<at>@)(?<digest>sha(?:256|384|512):)?"#,
    // The same without a scheme.
    r#"[^\s/@:"'\\=,;()\[\]{}<>|]+:[^\s/@"'\\<>]+(?<at>@)(?<digest>sha(?:256|384|512):)?"#,
    // Parameters of a URL; & may be escaped for HTML or JSON.
    r#"(?<k>(?:[?&\#]|\\u0026)(?:amp;)?(?<parameter>[A-Za-z0-9_.\-~%\[\]]+)=)[^\s&"'\\<>]+"#,
    // Headers, also as Go prints them: map[Authorization:[Basic ...]]
    r#"(?x) (?<k> (?-u:\b) (?i: (?:proxy-)? authorization | (?:set-)? cookie
        | x-[a-z0-9\-]* (?: token | auth | key | signature | secret ) [a-z0-9\-]* ) [\\"]* \s* [:=]
        \s* [\["\\]* (?<scheme> (?i: bearer | basic | digest | negotiate | aws4-hmac-sha256 ) \x20+ )? )
        (?<prose> [^\s"'\\\],;&]+ )"#,
    // Bearer ..., Basic ...
    r"(?<k>(?-u:\b)(?i:bearer|basic) +)(?<prose>[A-Za-z0-9+/=._~\-]{6,})",
    // password=..., and AuthConfig{Password:...} as Go prints it
    r#"(?x) (?<k> (?-u:\b) (?: (?i: [a-z0-9_.\-]* (?: password | passwd | secret | token | api_?key
        | signature | credentials? ) [a-z0-9_\-]* | pwd | sig | auth ) = (?: \\?["'] )?
        | (?: Password | IdentityToken | RegistryToken | Auth | Secret ) : ) )
        [^\s"'\\,;&<>\])}]+"#,
    // "password": "..."
    r#"(?x) (?<k> (?i: " [a-z0-9_.\-]* (?: password | passwd | secret | token | api_?key | signature
        | credentials? | client-key-data ) [a-z0-9_\-]* | "auth ) \\* " \s* : \s* \\* " ) [^"\\]+"#,
    // password: ... in a line of YAML, perhaps quoted by an error
    r#"(?x) (?<k> (?m: ^ | \| ) [\ \t\-]* (?: password | token | auth | client-key-data
        | [a-z\-]*secret ) : [\ \t]+ ["']? ) [^\s"']+"#,
];

/// The places, ready for use; a test compiles them.
static FIND: LazyLock<Option<Vec<Regex>>> =
    LazyLock::new(|| PLACES.iter().map(|place| Regex::new(place).ok()).collect());

/// Times that a text is looked through at most. Twice is enough for all that was ever found.
const MOST_LOOKS: usize = 8;

/// The text with `***` in the place of each credential. Names of images stay as they are.
pub fn redact(text: &str) -> Cow<'_, str> {
    let Some(find) = &*FIND else { return Cow::Borrowed(GONE) };
    let mut told = Cow::Borrowed(text);
    // What stood beside a credential may look like one when that is gone.
    for _ in 0..MOST_LOOKS {
        let before = told.clone();
        for find in find {
            if let Cow::Owned(changed) = find.replace_all(&told, instead) {
                told = Cow::Owned(changed);
            }
        }
        if told == before {
            break;
        }
    }
    told
}

fn instead(found: &Captures<'_>) -> String {
    let group = |name| found.name(name).map(|found| found.as_str());
    let harmless = group("digest").is_some()
        || group("parameter").is_some_and(|name| HARMLESS_PARAMETERS.contains(&name))
        || group("scheme").is_none() && group("prose").is_some_and(is_prose);
    if harmless {
        return found[0].to_owned();
    }
    let (before, after) = (group("k").unwrap_or_default(), group("at").unwrap_or_default());
    format!("{before}{GONE}{after}")
}

/// A word of a sentence, such as `authentication`, or of a challenge.
fn is_prose(word: &str) -> bool {
    let word = word.trim_end_matches(['.', ':']);
    word.starts_with("realm=") || word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}
