//! gRPC over HTTP/2: messages across DATA frames, and how a call ended.

use super::hpack::Field;

/// Codes of gRPC that name a failure.
const FAILURES: std::ops::RangeInclusive<u32> = 1..=16;

/// Longest text of a header that is kept; a longer one counts as unknown.
const LONGEST_TEXT: usize = 16 * 1024;

/// A part of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'d> {
    Start { compressed: bool, length: u32 },
    Bytes(&'d [u8]),
    End,
}

/// Finds the messages in the DATA of one direction of one stream.
#[derive(Debug, Default)]
pub(super) struct Framing {
    prefix: [u8; 5],
    have: usize,
    /// Bytes of the current message still to come.
    left: Option<u32>,
}

impl Framing {
    /// Reads up to the next piece; `None` when the input is used up.
    pub(super) fn next<'d>(&mut self, input: &mut &'d [u8]) -> Option<Piece<'d>> {
        let Some(left) = &mut self.left else {
            let (taken, rest) = input.split_at((self.prefix.len() - self.have).min(input.len()));
            for (to, from) in self.prefix.iter_mut().skip(self.have).zip(taken) {
                *to = *from;
            }
            self.have += taken.len();
            *input = rest;
            if self.have < self.prefix.len() {
                return None;
            }
            let [compressed, length @ ..] = self.prefix;
            let length = u32::from_be_bytes(length);
            self.left = Some(length);
            return Some(Piece::Start { compressed: compressed != 0, length });
        };
        if *left == 0 {
            *self = Self::default();
            return Some(Piece::End);
        }
        if input.is_empty() {
            return None;
        }
        let (taken, rest) = input.split_at((*left as usize).min(input.len()));
        // A slice is never longer than `left`, which is 32 bits wide.
        *left -= u32::try_from(taken.len()).unwrap_or(*left);
        *input = rest;
        Some(Piece::Bytes(taken))
    }
}

/// What a header block of a response says about the call.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// It starts with `:status`, so nothing of the response came before it.
    pub(super) first: bool,
    /// An interim response: the real one follows.
    pub(super) interim: bool,
    code: Option<Vec<u8>>,
    message: Option<Vec<u8>>,
    /// Values of the third and fourth field, where their names are unknown.
    third: Option<Vec<u8>>,
    fourth: Option<Vec<u8>>,
    in_order: bool,
    /// A field was not kept, or might be any.
    untold: bool,
    fields: usize,
}

impl Ending {
    /// Bytes held, about.
    pub(super) fn held(&self) -> usize {
        let Self { code, message, third, fourth, .. } = self;
        [code, message, third, fourth].into_iter().flatten().map(Vec::capacity).sum()
    }

    /// Takes in the next field.
    pub(super) fn field(&mut self, field: Field<'_>) {
        let Field { name, value } = field;
        let mut keep = |to: &mut Option<Vec<u8>>| {
            // The first one only: a block that repeats a long one many times must stay cheap.
            match value {
                Some(text) if to.is_none() && text.len() <= LONGEST_TEXT => {
                    *to = Some(text.to_vec());
                }
                _ => self.untold = true,
            }
        };
        match (self.fields, name) {
            (0, Some(b":status")) => {
                self.first = true;
                self.in_order = value == Some(b"200");
                self.interim = value.is_some_and(|value| value.starts_with(b"1"));
            }
            (1, Some(name)) if name != b"content-type" => self.in_order = false,
            (2, None) => keep(&mut self.third),
            (3, None) => keep(&mut self.fourth),
            (2, Some(name)) if name != b"grpc-status" => self.in_order = false,
            (3, Some(name)) if name != b"grpc-message" => self.in_order = false,
            _ => {}
        }
        match name {
            Some(b"grpc-status") => keep(&mut self.code),
            Some(b"grpc-message") => keep(&mut self.message),
            Some(_) => {}
            None => self.untold = true,
        }
        self.fields += 1;
    }

    /// Code and message of the call, as far as the block tells; `alone` if no other header block
    /// and no DATA came before it.
    ///
    /// grpc-go, which containerd and CRI-O are made with, writes a response without a message as
    /// `:status`, `content-type`, `grpc-status`, `grpc-message`, always in this order. So a third
    /// and a fourth field whose names are older than the join are still known by their place.
    pub(super) fn status(&self, alone: bool) -> (Option<u32>, Option<String>) {
        let by_place = alone && self.first && self.in_order;
        let third = self.third.as_deref().map(number);
        // A third field that is no status means another order.
        let by_place =
            by_place && third.is_none_or(|code| code.is_some_and(|code| FAILURES.contains(&code)));
        let code = match &self.code {
            Some(code) => number(code),
            None if by_place => third.flatten(),
            None => None,
        };
        let message = match (&self.message, &self.fourth) {
            (Some(message), _) => Some(percent_decode(message)),
            (None, Some(message)) if by_place => Some(percent_decode(message)),
            // Left out means empty, if there is no field that might be it.
            (None, None) if !self.untold && self.code.is_some() => Some(String::new()),
            (None, _) => None,
        };
        (code, message)
    }
}

/// A code as it is written on the wire.
fn number(text: &[u8]) -> Option<u32> {
    let digits = text.iter().all(u8::is_ascii_digit);
    let plain = digits && (text.len() == 1 || text.first() != Some(&b'0'));
    if !plain {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Undoes the percent-encoding of `grpc-message`; what is no valid escape stays as it is.
fn percent_decode(text: &[u8]) -> String {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let escape = match after {
            [high, low, ..] if first == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        if let Some((high, low)) = escape {
            plain.push(high << 4 | low);
            rest = after.get(2..).unwrap_or_default();
        } else {
            plain.push(first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(fields: &[(Option<&str>, Option<&str>)]) -> Ending {
        let mut ending = Ending::default();
        for (name, value) in fields {
            ending.field(Field { name: name.map(str::as_bytes), value: value.map(str::as_bytes) });
        }
        ending
    }

    const OK: (Option<&str>, Option<&str>) = (Some(":status"), Some("200"));
    const UNKNOWN: (Option<&str>, Option<&str>) = (None, None);

    #[test]
    fn messages_are_found_wherever_the_data_is_cut() {
        let stream = b"\0\0\0\0\x02ab\x01\0\0\0\0\0\0\0\0\x03cde";
        for cut in 1..stream.len() {
            let (mut framing, mut seen, mut messages) = (Framing::default(), vec![], vec![]);
            for mut part in stream.chunks(cut) {
                while let Some(piece) = framing.next(&mut part) {
                    match piece {
                        Piece::Start { compressed, length } => seen.push((compressed, length)),
                        Piece::Bytes(bytes) => messages.extend_from_slice(bytes),
                        Piece::End => messages.push(b'.'),
                    }
                }
            }
            assert_eq!(seen, [(false, 2), (true, 0), (false, 3)], "cut {cut}");
            assert_eq!(messages, b"ab..cde.", "cut {cut}");
        }
    }

    #[test]
    fn code_and_message_come_by_name() {
        let all = [
            OK,
            (Some("content-type"), Some("application/grpc")),
            (Some("grpc-status"), Some("5")),
            (Some("grpc-message"), Some("a%20%25%zz%c3%a4%")),
            (Some("grpc-status-details-bin"), Some("CAUSBA")),
        ];
        let expected = (Some(5), Some("a %%zzä%".to_owned()));
        assert_eq!(ending(&all).status(true), expected);
        let trailers = ending(all.get(2..).unwrap());
        assert!(!trailers.first);
        assert_eq!(trailers.status(false), expected);
        assert_eq!(ending(all.get(..3).unwrap()).status(true), (Some(5), Some(String::new())));
    }

    #[test]
    fn the_third_and_fourth_field_are_known_by_their_place() {
        let (code, text) = ((None, Some("5")), (None, Some("not%20found")));
        let found = (Some(5), Some("not found".to_owned()));
        assert_eq!(ending(&[OK, UNKNOWN, code, text]).status(true), found);
        let typed = (Some("content-type"), Some("application/grpc"));
        assert_eq!(ending(&[OK, typed, code, text]).status(true), found);
        assert_eq!(ending(&[OK, UNKNOWN, UNKNOWN, text]).status(true), (None, found.1));
        assert_eq!(ending(&[OK, UNKNOWN, code, UNKNOWN]).status(true), (found.0, None));
    }

    #[test]
    fn a_place_that_may_mean_something_else_tells_nothing() {
        let (code, text) = ((None, Some("5")), (None, Some("not found")));
        let teapot = (Some(":status"), Some("418"));
        let date = (Some("date"), Some("today"));
        let nothing = (None, None);
        for fields in [
            &[UNKNOWN, UNKNOWN, code, text][..],
            &[teapot, UNKNOWN, code, text],
            &[OK, date, code, text],
            &[OK, UNKNOWN, date, text],
            &[OK, UNKNOWN, code, date],
            &[OK, UNKNOWN, (None, Some("0")), text],
            &[OK, UNKNOWN, (None, Some("17")), text],
            &[OK, UNKNOWN, (None, Some("05")), text],
            &[OK, UNKNOWN, (None, Some("identity")), text],
        ] {
            assert_eq!(ending(fields).status(true), nothing, "{fields:?}");
        }
        assert_eq!(ending(&[OK, UNKNOWN, code, text]).status(false), nothing);
    }
}
