//! Text from elsewhere, made fit to be kept, sent and shown: it must not move a cursor, turn the
//! writing direction, forge a line, fill a disk or carry a credential.
//!
//! In: anything. Out: [`plain`] for what is kept or sent, [`shown`] for a cell of a table, [`lines`]
//! for an error on a terminal, and [`Harmless`] around whatever is written to. Touches nothing but
//! that.

mod harmless;
mod secrets;

use std::fmt::Write as _;

pub use harmless::Harmless;
pub use secrets::redact;

/// Longest image that is kept, in bytes: runtimes refuse far shorter ones.
const LONGEST_IMAGE: usize = 1024;

/// Whether a character does something else than being seen, besides line breaks and tabs.
fn is_harmful(char: char) -> bool {
    char.is_control()
        || matches!(char,
            // What turns the writing direction.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Line breaks that few programs take for one, and what is never seen.
            | '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text without credentials, on one line, with one space for whatever is no visible character,
/// and of at most `most` bytes: of a longer one the beginning and the end.
pub fn plain(text: &str, most: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for char in visible(&redact(text)) {
        if char != ' ' || !out.ends_with(' ') {
            out.push(char);
        }
    }
    // Again, for what was taken apart by characters that went.
    ends(redact(&out).into_owned(), most)
}

/// An image as it is kept; one that a runtime would take stays as it is.
pub fn image(text: &str) -> String {
    let usual = text.len() <= LONGEST_IMAGE && text.bytes().all(|b| b.is_ascii_graphic());
    if usual { redact(text).into_owned() } else { plain(text, LONGEST_IMAGE) }
}

/// The characters of a text without terminal sequences, and a space for each that is none to look
/// at.
pub fn visible(text: &str) -> impl Iterator<Item = char> {
    let mut chars = text.chars().peekable();
    std::iter::from_fn(move || {
        let char = chars.next()?;
        let sequence = match (char, chars.peek()) {
            ('\u{1b}', Some('[')) => chars.next().is_some(),
            (char, _) => char == '\u{9b}',
        };
        if sequence {
            // It ends with its first letter.
            while chars.next_if(|c| matches!(c, ' '..='?')).is_some() {}
            chars.next_if(|c| matches!(c, '@'..='~'));
            return Some(None);
        }
        Some(Some(if is_harmful(char) || char.is_whitespace() { ' ' } else { char }))
    })
    .flatten()
}

/// The beginning and the end of what is too long.
fn ends(mut text: String, most: usize) -> String {
    const GAP: &str = " ... ";
    if text.len() <= most {
        return text;
    }
    let room = most.saturating_sub(GAP.len());
    let end = text.split_off(text.ceil_char_boundary(text.len() - room / 4));
    text.truncate(text.floor_char_boundary(room - room / 4));
    text + GAP + &end
}

/// For a table: without credentials, and with every harmful character escaped; `<unknown>` where
/// there is none.
pub fn shown(text: Option<&str>) -> String {
    match text {
        Some(text) => escaped(&redact(text), |_| false),
        None => "<unknown>".into(),
    }
}

/// For an error of several lines: as [`shown`], but the lines stay.
pub fn lines(text: &str) -> String {
    escaped(&redact(text), |char| char == '\n')
}

fn escaped(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if is_harmful(char) && !keep(char) {
            // Writing to a String cannot fail.
            let _ = write!(out, "{}", char.escape_default());
        } else {
            out.push(char);
        }
    }
    out
}

#[cfg(test)]
mod tests;
