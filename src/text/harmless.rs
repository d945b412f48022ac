use std::io::{self, Write};

use super::{is_harmful, redact};

/// A writer through which nothing harmful passes; what is harmful is escaped as JSON does it, so
/// that JSON stays the same JSON. Line breaks pass.
#[derive(Debug)]
pub struct Harmless<W> {
    to: W,
    whole: bool,
    colours: bool,
}

impl<W: Write> Harmless<W> {
    /// For pieces of text, which end where characters end.
    pub fn new(to: W) -> Self {
        Self { to, whole: false, colours: false }
    }

    /// For writes of whole lines, as a log's: credentials do not pass either.
    pub fn whole_lines(to: W) -> Self {
        Self { to, whole: true, colours: false }
    }

    /// For pieces of text whose foreign parts are harmless already: sequences that colour pass.
    pub fn coloured(to: W) -> Self {
        Self { to, whole: false, colours: true }
    }

    /// What was written to.
    pub fn into_inner(self) -> W {
        self.to
    }
}

impl<W: Write> Write for Harmless<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let text = if self.whole { redact(&text) } else { text };
        let mut rest = &*text;
        while let Some(at) = rest.find(|c| is_harmful(c) && c != '\n') {
            let (before, after) = rest.split_at(at);
            self.to.write_all(before.as_bytes())?;
            if let Some(sequence) = colour(after).filter(|_| self.colours) {
                self.to.write_all(sequence.as_bytes())?;
                rest = &after[sequence.len()..];
                continue;
            }
            let mut chars = after.chars();
            if let Some(char) = chars.next() {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    write!(self.to, "\\u{unit:04x}")?;
                }
            }
            rest = chars.as_str();
        }
        self.to.write_all(rest.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The sequence that colours what follows, if the text begins with one.
fn colour(text: &str) -> Option<&str> {
    let codes = text.strip_prefix("\u{1b}[")?;
    let end = codes.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    codes[end..].starts_with('m').then(|| &text[..text.len() - codes.len() + end + 1])
}
