//! Takes the credentials out of what a client sent, without changing a length.
//!
//! In: records as they were heard. Out: the same records, where everything that is not known to be
//! free of credentials is overwritten. Touches nothing and holds no payload.
//!
//! Registry credentials travel in field 2 of `PullImageRequest`. Which call a request is may be
//! unknown (HPACK, joined late), so field 2 of *every* request is blanked; and where the position
//! in the stream is not certain, everything is.

use std::collections::HashMap;

use super::message::Message;
use crate::capture::{Direction, Record};

/// What an HTTP/2 connection begins with (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEADER: usize = 9;
/// The largest frame of a peer that was not allowed more (RFC 9113, 6.5.2); gRPC servers keep it.
const LARGEST_FRAME: usize = 16_384;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;
const PADDED: u8 = 8;

/// More streams or connections than that at once are forgotten, and blanked as unknown.
const MOST: usize = 4096;

/// Overwrites credentials, connection by connection.
#[derive(Debug, Default)]
pub struct Blanker {
    clients: HashMap<u64, Client>,
}

impl Blanker {
    /// Blanks one record. Every record of a connection must pass, in order.
    pub fn blank(&mut self, record: &mut Record) {
        if record.direction != Direction::ToServer {
            return;
        }
        if self.clients.len() >= MOST && !self.clients.contains_key(&record.connection) {
            self.clients.clear();
        }
        let client = self.clients.entry(record.connection).or_default();
        client.blank(record.offset, &mut record.data);
    }
}

/// The client's direction of a connection.
#[derive(Debug, Default)]
struct Client {
    /// Where the next record begins if nothing was lost.
    next: u64,
    place: Place,
    /// Requests whose HEADERS were seen. The DATA of others is blanked whole.
    streams: HashMap<u32, Message>,
}

/// Where in the chain of frames the stream stands.
#[derive(Debug, Default)]
enum Place {
    /// Not known.
    #[default]
    Lost,
    /// In a frame's header, of which these bytes were seen.
    Header(Vec<u8>),
    /// In a frame's payload, with this much to come.
    Payload(Frame, usize),
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    length: usize,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Frame {
    /// A header that a gRPC client could have sent; `None` for any other bytes.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let &[a, b, c, kind, flags, e, f, g, h, ..] = bytes else { return None };
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()?;
        let stream = u32::from_be_bytes([e, f, g, h]);
        let of_request = stream % 2 == 1 && stream < 1 << 31;
        // RFC 9113, 6.1 to 6.10.
        let possible = match kind {
            DATA => of_request && flags & !(END_STREAM | PADDED) == 0,
            HEADERS => of_request && flags & !0x2d == 0,
            2 => of_request && length == 5,
            RST_STREAM => of_request && length == 4 && flags == 0,
            4 => stream == 0 && length.is_multiple_of(6) && flags & !1 == 0,
            6 => stream == 0 && length == 8 && flags & !1 == 0,
            7 => stream == 0 && length >= 8 && flags == 0,
            8 => (stream == 0 || of_request) && length == 4 && flags == 0,
            9 => of_request && flags & !4 == 0,
            _ => false,
        };
        (possible && length <= LARGEST_FRAME).then_some(Self { length, kind, flags, stream })
    }
}

impl Client {
    fn blank(&mut self, offset: u64, mut data: &mut [u8]) {
        if offset != self.next {
            self.lose();
        }
        self.next = offset + data.len() as u64;
        if matches!(self.place, Place::Lost) {
            if offset == 0 && data.starts_with(PREFACE) {
                data = &mut data[PREFACE.len()..];
            } else if !is_chain(data) {
                data.fill(0);
                return;
            }
            self.place = Place::Header(Vec::new());
        }
        while !data.is_empty() {
            data = self.step(data);
        }
    }

    /// Passes one frame header or payload, as far as it is there; returns what follows.
    fn step<'a>(&mut self, data: &'a mut [u8]) -> &'a mut [u8] {
        match &mut self.place {
            Place::Lost => {
                data.fill(0);
                &mut []
            }
            Place::Header(seen) => {
                let (mine, rest) = data.split_at_mut(data.len().min(FRAME_HEADER - seen.len()));
                seen.extend_from_slice(mine);
                if seen.len() == FRAME_HEADER {
                    match Frame::parse(seen) {
                        Some(frame) => self.enter(frame),
                        None => {
                            mine.fill(0);
                            self.lose();
                        }
                    }
                }
                rest
            }
            Place::Payload(frame, left) => {
                let (mine, rest) = data.split_at_mut(data.len().min(*left));
                *left -= mine.len();
                let (frame, done) = (*frame, *left == 0);
                if frame.kind == DATA {
                    match self.streams.get_mut(&frame.stream) {
                        Some(message) if frame.flags & PADDED == 0 => message.blank(mine),
                        // No gRPC client pads; where its messages begin is not worth to know.
                        _ => mine.fill(0),
                    }
                }
                if done {
                    self.leave(frame);
                }
                rest
            }
        }
    }

    fn enter(&mut self, frame: Frame) {
        if frame.kind == HEADERS {
            if self.streams.len() >= MOST {
                self.streams.clear();
            }
            self.streams.entry(frame.stream).or_default();
        }
        if frame.length == 0 {
            self.leave(frame);
        } else {
            self.place = Place::Payload(frame, frame.length);
        }
    }

    fn leave(&mut self, frame: Frame) {
        let ends = frame.flags & END_STREAM != 0 && matches!(frame.kind, DATA | HEADERS);
        let padded = frame.kind == DATA && frame.flags & PADDED != 0;
        if ends || padded || frame.kind == RST_STREAM {
            self.streams.remove(&frame.stream);
        }
        self.place = Place::Header(Vec::new());
    }

    fn lose(&mut self) {
        self.place = Place::Lost;
        self.streams.clear();
    }
}

/// Whether the bytes are frames from their first to their last. A password cannot look like this: a
/// frame's header begins with a zero and has bytes that no text has.
fn is_chain(mut data: &[u8]) -> bool {
    let mut frames = 0;
    while data.len() >= FRAME_HEADER {
        let Some(frame) = Frame::parse(data) else { return false };
        frames += 1;
        data = data.get(FRAME_HEADER + frame.length..).unwrap_or_default();
    }
    frames > 0
}

#[cfg(test)]
#[path = "blank_tests.rs"]
mod tests;
