//! A message as it came, cut into what is to be judged.

use crate::text::visible;

/// Bytes examined of a message: so many of its beginning, and a quarter of it of its end, where Go
/// puts the innermost cause.
const BEGINNING: usize = 16 * 1024;
const END: usize = BEGINNING / 4;

/// How a runtime's text begins; these tell where one of the kubelet's several errors ends and the
/// next one begins.
const OPENINGS: [&str; 22] = [
    "rpc error: code = ",
    "failed to pull and unpack image ",
    "failed to pull image ",
    "failed to parse image reference ",
    "failed to resolve ",
    "failed to copy: ",
    "failed to do request: ",
    "error response from daemon: ",
    "unable to pull image",
    "unable to retrieve auth token",
    "initializing source ",
    "reading manifest ",
    "error reading manifest ",
    "pinging container registry ",
    "error pinging ",
    "writing blob: ",
    "reading blob ",
    "copying system image ",
    "source image rejected",
    "registryunavailable: ",
    "signaturevalidationfailed: ",
    "context ",
];

/// Bounded, on one line, one space between words, and with the escapes undone that logs and `%q`
/// add.
pub(super) fn readable(message: &str) -> String {
    let mut out = String::with_capacity(message.len().min(BEGINNING + END));
    if message.len() <= BEGINNING + END {
        append(&mut out, message);
    } else {
        append(&mut out, &message[..message.floor_char_boundary(BEGINNING)]);
        out.push_str(" ... ");
        append(&mut out, &message[message.ceil_char_boundary(message.len() - END)..]);
    }
    out
}

fn append(out: &mut String, text: &str) {
    let mut chars = visible(text).peekable();
    while let Some(char) = chars.next() {
        match (char, chars.peek()) {
            ('\\', Some('n' | 'r' | 't')) => {
                chars.next();
                space(out);
            }
            ('\\', Some('"')) => {}
            (' ', _) => space(out),
            _ => out.push(char),
        }
    }
}

/// Texts are also compared across line breaks.
fn space(out: &mut String) {
    if !out.ends_with(' ') {
        out.push(' ');
    }
}

/// What one credential met.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Explanation<'a> {
    /// What counts.
    pub(super) text: &'a str,
    /// What CRI-O's mirrors answered before the registry itself did.
    pub(super) mirrors: Option<&'a str>,
}

/// The kubelet tries one credential after the other and joins what failed: `[e1, e2]`.
pub(super) fn explanations(text: &str) -> Vec<Explanation<'_>> {
    let lower = text.to_ascii_lowercase();
    let opens = |at: usize| OPENINGS.iter().any(|opening| lower[at..].starts_with(opening));
    let Some(first) = lower.match_indices('[').map(|(at, _)| at + 1).find(|&at| opens(at)) else {
        return vec![explanation(text)];
    };
    let others = lower.match_indices(", ").map(|(at, _)| at).filter(|&at| at > first);
    let mut start = first;
    let mut all = Vec::new();
    for end in others.filter(|&at| opens(at + 2)).chain([text.len()]) {
        all.push(explanation(&text[start..end]));
        start = end + 2;
    }
    all
}

fn explanation(text: &str) -> Explanation<'_> {
    // CRI-O tries an image first and an artifact then; only the first says why there is no image.
    let text = after(text, "pull image err: ").unwrap_or(text);
    let text = before(text, "; artifact err: ");
    // What a second try after a broken connection met is not what broke the first one.
    let text = before(before(text, " (after reconnecting"), " (while reconnecting");
    let mirrors = after(text, "(Mirrors also failed: ").and_then(|rest| rest.split_once("]): "));
    match mirrors {
        Some((mirrors, text)) => Explanation { text, mirrors: Some(mirrors) },
        None => Explanation { text, mirrors: None },
    }
}

fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.split_once(mark).map(|(_, rest)| rest)
}

fn before<'a>(text: &'a str, mark: &str) -> &'a str {
    text.split_once(mark).map_or(text, |(rest, _)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_and_logs_leave_no_trace() {
        assert_eq!(readable("\u{1b}[31mred\u{1b}[0m\tx\u{7}"), "red x ");
        assert_eq!(readable(r#"image \"a\": errors:\ndenied"#), r#"image "a": errors: denied"#);
    }

    #[test]
    fn a_long_message_keeps_both_ends_and_is_bounded() {
        let long = format!("begin {} end", "ä".repeat(1 << 20));
        let read = readable(&long);
        assert!(read.starts_with("begin ") && read.ends_with(" end"));
        assert!(read.len() < BEGINNING + END + 16, "{}", read.len());
    }

    #[test]
    fn each_credential_has_its_explanation() {
        let text = "Failed to pull image \"x\": [rpc error: code = Unknown desc = a, b, \
            rpc error: code = NotFound desc = c]";
        let texts: Vec<&str> = explanations(text).iter().map(|e| e.text).collect();
        assert_eq!(
            texts,
            ["rpc error: code = Unknown desc = a, b", "rpc error: code = NotFound desc = c]"]
        );
        assert_eq!(explanations("plain [x], failed to copy: y").len(), 1);
    }

    #[test]
    fn only_the_image_error_of_cri_o_counts() {
        let [one] = &explanations("pull image err: X; artifact err: Y")[..] else { panic!() };
        assert_eq!(one.text, "X");
        let [cut] = &explanations("pull image err: X")[..] else { panic!() };
        assert_eq!(cut.text, "X");
    }

    #[test]
    fn mirrors_are_told_from_the_registry() {
        let [one] = &explanations("(Mirrors also failed: [m/x:1: A] [n/x:1: B]): r/x:1: C")[..]
        else {
            panic!()
        };
        assert_eq!(one.text, "r/x:1: C");
        assert_eq!(one.mirrors, Some("[m/x:1: A] [n/x:1: B"));
    }
}
