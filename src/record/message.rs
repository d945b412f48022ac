//! One request's gRPC messages, with the place of registry credentials overwritten as they pass.

/// The length prefix of a gRPC message: a flag and four bytes of length.
const PREFIX: usize = 5;
/// The field of `PullImageRequest` that holds credentials.
const AUTH: u64 = 2;

/// The walk through a request's body. It never holds more than a number.
#[derive(Debug)]
pub(super) struct Message {
    /// Bytes of the message still to come.
    left: u64,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// In the length prefix, this far, with this much of the length.
    Prefix(usize, u32),
    /// In a field's number and type.
    Tag(Varint),
    /// In a number that is a field's value.
    Number(Varint),
    /// In a field's length; whether the field is to be blanked.
    Length(Varint, bool),
    /// In a field's bytes, with this much to come.
    Bytes(u64),
    /// In bytes to be blanked: how many passed, and how many they are.
    Secret(u64, u64),
    /// Not understood: everything is blanked to the request's end.
    Astray,
}

#[derive(Debug, Clone, Copy, Default)]
struct Varint {
    value: u64,
    bits: u32,
}

impl Varint {
    /// Takes a byte; the number when it is the last one, `None` when the number is too long.
    fn take(mut self, byte: u8) -> Option<Result<u64, Self>> {
        if self.bits > 63 {
            return None;
        }
        self.value |= u64::from(byte & 0x7f) << self.bits;
        self.bits += 7;
        Some(if byte & 0x80 == 0 { Ok(self.value) } else { Err(self) })
    }
}

impl Default for Message {
    fn default() -> Self {
        Self { left: 0, state: State::Prefix(0, 0) }
    }
}

impl Message {
    /// Blanks the next bytes of the request's body.
    pub(super) fn blank(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            let in_message = !matches!(self.state, State::Prefix(..) | State::Astray);
            if let State::Secret(passed, all) = self.state {
                *byte = filler(passed, all);
                let passed = passed + 1;
                self.state = if passed == all {
                    State::Tag(Varint::default())
                } else {
                    State::Secret(passed, all)
                };
            } else {
                self.state = self.after(*byte);
                match self.state {
                    State::Prefix(PREFIX, length) => {
                        self.left = u64::from(length);
                        self.state = if length == 0 {
                            State::Prefix(0, 0)
                        } else {
                            State::Tag(Varint::default())
                        };
                    }
                    State::Astray => *byte = 0,
                    _ => {}
                }
            }
            if in_message {
                self.left -= 1;
                self.end_of_message();
            }
        }
    }

    fn after(&self, byte: u8) -> State {
        match self.state {
            // A compressed message cannot be looked into.
            State::Prefix(0, _) if byte != 0 => State::Astray,
            State::Prefix(0, _) => State::Prefix(1, 0),
            State::Prefix(at, length) => State::Prefix(at + 1, length << 8 | u32::from(byte)),
            State::Tag(number) => match number.take(byte) {
                Some(Ok(tag)) => field(tag),
                Some(Err(more)) => State::Tag(more),
                None => State::Astray,
            },
            State::Number(number) => match number.take(byte) {
                Some(Ok(_)) => State::Tag(Varint::default()),
                Some(Err(more)) => State::Number(more),
                None => State::Astray,
            },
            State::Length(number, secret) => match number.take(byte) {
                // The byte itself is still counted in `left`.
                Some(Ok(length)) if length >= self.left => State::Astray,
                Some(Ok(0)) => State::Tag(Varint::default()),
                Some(Ok(length)) if secret => State::Secret(0, length),
                Some(Ok(length)) => State::Bytes(length),
                Some(Err(more)) => State::Length(more, secret),
                None => State::Astray,
            },
            State::Bytes(1) => State::Tag(Varint::default()),
            State::Bytes(left) => State::Bytes(left - 1),
            State::Secret(..) | State::Astray => State::Astray,
        }
    }

    /// Begins the next message where one ends, which must be between two fields.
    fn end_of_message(&mut self) {
        if self.left > 0 {
            return;
        }
        self.state = match self.state {
            State::Tag(Varint { bits: 0, .. }) => State::Prefix(0, 0),
            _ => State::Astray,
        };
    }
}

/// What follows a field's tag (Protocol Buffers, "Message Structure").
fn field(tag: u64) -> State {
    match (tag & 7, tag >> 3) {
        (_, 0) => State::Astray,
        (0, _) => State::Number(Varint::default()),
        (1, _) => State::Bytes(8),
        (2, number) => State::Length(Varint::default(), number == AUTH),
        (5, _) => State::Bytes(4),
        _ => State::Astray,
    }
}

/// What stands where a secret was: an unknown field 15 of value 0 again and again, so that whoever
/// decodes the credentials finds none and no error.
fn filler(at: u64, all: u64) -> u8 {
    const TAG: u8 = 15 << 3;
    match (all % 2, at) {
        (_, _) if all == 1 => 0,
        (0, at) => [TAG, 0][(at % 2) as usize],
        (_, 0) => TAG,
        // A zero of two bytes makes up for the odd one.
        (_, 1) => 0x80,
        (_, 2) => 0,
        (_, at) => [0, TAG][(at % 2) as usize],
    }
}
