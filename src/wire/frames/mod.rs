//! HTTP/2 frames (RFC 9113, sections 4 and 6) of one direction, read as they come.
//!
//! DATA is passed on in slices of the input and never copied. Of the other frames at most
//! [`BLOCK_LIMIT`] bytes are held, and only bytes that arrived: a length field alone costs nothing.

mod head;

use std::fmt;

use super::sync;
pub(super) use head::{HEAD, Head, flag, kind};

/// What a client sends first (RFC 9113, section 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Most bytes of a header block, and of one frame other than DATA, that are held.
pub(super) const BLOCK_LIMIT: usize = 256 * 1024;
/// `SETTINGS_MAX_FRAME_SIZE` unless the peer raised it.
const DEFAULT_MAX_FRAME: u32 = 16_384;
const MOST_MAX_FRAME: u32 = (1 << 24) - 1;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event<'d> {
    /// A whole header block; [`Frames::block`] has it.
    Headers {
        stream: u32,
        /// When the first byte of its HEADERS frame was seen.
        start_us: u64,
        end_stream: bool,
    },
    /// A whole header block that opens a promised stream; it matters to the table only.
    Promise,
    /// A part of a DATA frame, without padding.
    Data {
        stream: u32,
        bytes: &'d [u8],
        /// The first part of its frame.
        opens: bool,
        /// The last part of the stream.
        end_stream: bool,
    },
    /// RST_STREAM.
    Reset { stream: u32 },
    /// GOAWAY: streams above `last` were not worked on.
    GoAway { last: u32 },
    /// The settings that matter to the decoding of the other direction.
    Settings { table_size: Option<u32>, max_frame: Option<u32> },
    /// What came is no frame: the place in the stream is lost, and with it the header table.
    Lost,
}

/// One record's bytes, as far as they have not been read.
#[derive(Debug)]
pub(super) struct Input<'d> {
    pub(super) bytes: &'d [u8],
    pub(super) t_us: u64,
    /// Nothing has been read of this record. A write nearly always starts with a frame.
    pub(super) at_start: bool,
}

impl<'d> Input<'d> {
    fn take(&mut self, most: usize) -> &'d [u8] {
        let (taken, rest) = self.bytes.split_at(most.min(self.bytes.len()));
        self.bytes = rest;
        self.at_start = false;
        taken
    }
}

#[derive(Debug)]
enum State {
    /// This many bytes of the preface were seen.
    Preface(usize),
    /// Looking for a chain of frames.
    Lost,
    Head {
        bytes: [u8; HEAD],
        have: usize,
        start_us: u64,
    },
    Payload(Payload),
}

impl State {
    const NEXT: Self = Self::Head { bytes: [0; HEAD], have: 0, start_us: 0 };
}

#[derive(Debug)]
struct Payload {
    head: Head,
    start_us: u64,
    /// Bytes to come, without padding once that is known.
    body: u32,
    /// Padding to come.
    padding: u32,
    /// DATA only: the next byte is the padding's length.
    padding_unread: bool,
    opened: bool,
}

/// HEADERS whose CONTINUATION is still to come.
#[derive(Debug, Clone, Copy)]
struct Unfinished {
    stream: u32,
    start_us: u64,
    end_stream: bool,
    promise: bool,
}

/// The reader of one direction of one connection.
pub(super) struct Frames {
    state: State,
    /// Joined in the middle: only frames as real peers write them are believed.
    strict: bool,
    max_frame: u32,
    frame: Vec<u8>,
    block: Vec<u8>,
    /// More came than is held.
    overflow: bool,
    unfinished: Option<Unfinished>,
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames")
            .field("state", &self.state)
            .field("strict", &self.strict)
            .field("max_frame", &self.max_frame)
            .field("held", &(self.frame.len() + self.block.len()))
            .finish_non_exhaustive()
    }
}

impl Frames {
    /// A direction of which nothing is known.
    pub(super) fn new() -> Self {
        Self {
            state: State::Lost,
            strict: true,
            max_frame: DEFAULT_MAX_FRAME,
            frame: Vec::new(),
            block: Vec::new(),
            overflow: false,
            unfinished: None,
        }
    }

    /// What follows is a client's direction from its first byte.
    pub(super) fn start_client(&mut self) {
        self.state = State::Preface(0);
        self.strict = false;
    }

    /// What follows is a server's direction from its first byte.
    pub(super) fn start_server(&mut self) {
        self.state = State::NEXT;
        self.strict = false;
    }

    /// Whether the place in the stream is known.
    pub(super) fn in_step(&self) -> bool {
        !matches!(self.state, State::Lost)
    }

    /// The header block that an event announced, unless it was larger than is held.
    pub(super) fn block(&self) -> Option<&[u8]> {
        (!self.overflow).then_some(&self.block)
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        self.frame.capacity() + self.block.capacity()
    }

    /// The other side allows frames of this size.
    pub(super) fn allow_frame(&mut self, size: u32) {
        self.max_frame = self.max_frame.max(size.min(MOST_MAX_FRAME));
    }

    /// `missing` bytes of the stream were not seen. If all of them belong to a DATA frame, the
    /// place is still known, and the answer is its stream.
    pub(super) fn skip(&mut self, missing: u64) -> Option<u32> {
        if let State::Payload(payload) = &mut self.state
            && payload.head.kind == kind::DATA
            && !payload.padding_unread
            && missing <= u64::from(payload.body) + u64::from(payload.padding)
        {
            // It is at most the sum of two 24-bit numbers.
            let missing = u32::try_from(missing).unwrap_or(u32::MAX);
            let of_body = missing.min(payload.body);
            payload.body -= of_body;
            payload.padding -= missing - of_body;
            return Some(payload.head.stream);
        }
        self.lose();
        None
    }

    fn lose(&mut self) -> Event<'static> {
        self.state = State::Lost;
        self.strict = true;
        self.unfinished = None;
        self.frame.clear();
        Event::Lost
    }

    /// Reads up to the next event; `None` when the input is used up.
    pub(super) fn next<'d>(&mut self, input: &mut Input<'d>) -> Option<Event<'d>> {
        loop {
            match &mut self.state {
                State::Preface(seen) => {
                    let expected = PREFACE.get(*seen..).unwrap_or_default();
                    let most = expected.len().min(input.bytes.len());
                    if input.bytes.get(..most) != expected.get(..most) {
                        return Some(self.lose());
                    }
                    *seen += input.take(most).len();
                    if *seen < PREFACE.len() {
                        return None;
                    }
                    self.state = State::NEXT;
                }
                State::Lost => {
                    let Some(at) = sync::find(input.bytes, input.at_start, self.max_frame) else {
                        input.take(usize::MAX);
                        return None;
                    };
                    input.take(at);
                    self.state = State::NEXT;
                }
                State::Head { bytes, have, start_us } => {
                    if *have == 0 {
                        *start_us = input.t_us;
                    }
                    let taken = input.take(HEAD - *have);
                    for (to, from) in bytes.iter_mut().skip(*have).zip(taken) {
                        *to = *from;
                    }
                    *have += taken.len();
                    if *have < HEAD {
                        return None;
                    }
                    let (head, start_us) = (Head::parse(bytes), *start_us);
                    if !self.accepts(&head) {
                        return Some(self.lose());
                    }
                    self.frame.clear();
                    self.frame.shrink_to(DEFAULT_MAX_FRAME as usize);
                    self.state = State::Payload(Payload {
                        head,
                        start_us,
                        body: head.length,
                        padding: 0,
                        padding_unread: head.kind == kind::DATA && head.has(flag::PADDED),
                        opened: false,
                    });
                }
                State::Payload(payload) if payload.head.kind == kind::DATA => {
                    if let Some(event) = self.data(input) {
                        return Some(event);
                    }
                    if input.bytes.is_empty() && matches!(self.state, State::Payload(_)) {
                        return None;
                    }
                }
                State::Payload(payload) => {
                    let taken = input.take(payload.body as usize);
                    // A slice is never longer than `body`, which is 32 bits wide.
                    payload.body -= u32::try_from(taken.len()).unwrap_or(payload.body);
                    let room = BLOCK_LIMIT.saturating_sub(self.frame.len());
                    self.frame.extend_from_slice(taken.get(..room).unwrap_or(taken));
                    if payload.body > 0 {
                        return None;
                    }
                    let (head, start_us) = (payload.head, payload.start_us);
                    self.state = State::NEXT;
                    if let Some(event) = self.finish(head, start_us) {
                        return Some(event);
                    }
                }
            }
        }
    }

    fn accepts(&self, head: &Head) -> bool {
        let in_order = match self.unfinished {
            Some(block) => head.kind == kind::CONTINUATION && head.stream == block.stream,
            None => head.kind != kind::CONTINUATION,
        };
        let known = !self.strict || sync::usual(head);
        in_order && known && head.lawful(self.max_frame)
    }

    fn data<'d>(&mut self, input: &mut Input<'d>) -> Option<Event<'d>> {
        let State::Payload(payload) = &mut self.state else { return None };
        if payload.padding_unread {
            let &length = input.take(1).first()?;
            payload.padding_unread = false;
            payload.body -= 1;
            let Some(body) = payload.body.checked_sub(u32::from(length)) else {
                return Some(self.lose());
            };
            payload.body = body;
            payload.padding = u32::from(length);
        }
        let bytes = input.take(payload.body as usize);
        payload.body -= u32::try_from(bytes.len()).unwrap_or(payload.body);
        if payload.body == 0 {
            let padding = input.take(payload.padding as usize);
            payload.padding -= u32::try_from(padding.len()).unwrap_or(payload.padding);
        }
        let (stream, opens) = (payload.head.stream, !payload.opened);
        let ended = payload.body == 0 && payload.padding == 0;
        let end_stream = ended && payload.head.has(flag::END_STREAM);
        let tells = !bytes.is_empty() || end_stream;
        // The bytes may have ended with the frame's head.
        payload.opened |= tells;
        if ended {
            self.state = State::NEXT;
        }
        tells.then_some(Event::Data { stream, bytes, opens, end_stream })
    }

    /// A frame other than DATA is complete.
    fn finish(&mut self, head: Head, start_us: u64) -> Option<Event<'static>> {
        match head.kind {
            kind::HEADERS | kind::PUSH_PROMISE => {
                self.block.clear();
                self.block.shrink_to(DEFAULT_MAX_FRAME as usize);
                self.overflow = head.length as usize > BLOCK_LIMIT;
                let Some(fragment) = fragment(&head, &self.frame) else {
                    return Some(self.lose());
                };
                self.block.extend_from_slice(fragment);
                let block = Unfinished {
                    stream: head.stream,
                    start_us,
                    end_stream: head.kind == kind::HEADERS && head.has(flag::END_STREAM),
                    promise: head.kind == kind::PUSH_PROMISE,
                };
                self.continued(head, block)
            }
            kind::CONTINUATION => {
                let block = self.unfinished.take()?;
                let room = BLOCK_LIMIT.saturating_sub(self.block.len());
                self.overflow |= self.frame.len() > room || head.length as usize > BLOCK_LIMIT;
                self.block.extend_from_slice(self.frame.get(..room).unwrap_or(&self.frame));
                self.continued(head, block)
            }
            kind::RST_STREAM => Some(Event::Reset { stream: head.stream }),
            kind::GOAWAY => {
                let last = self.frame.first_chunk().copied().map_or(0, u32::from_be_bytes);
                Some(Event::GoAway { last: last & (u32::MAX >> 1) })
            }
            kind::SETTINGS => self.settings(),
            _ => None,
        }
    }

    fn continued(&mut self, head: Head, block: Unfinished) -> Option<Event<'static>> {
        if !head.has(flag::END_HEADERS) {
            self.unfinished = Some(block);
            return None;
        }
        let Unfinished { stream, start_us, end_stream, promise } = block;
        Some(if promise { Event::Promise } else { Event::Headers { stream, start_us, end_stream } })
    }

    fn settings(&self) -> Option<Event<'static>> {
        let (mut table_size, mut max_frame) = (None, None);
        let (all, _) = self.frame.as_chunks::<6>();
        for &[id1, id0, v3, v2, v1, v0] in all {
            let value = u32::from_be_bytes([v3, v2, v1, v0]);
            match u16::from_be_bytes([id1, id0]) {
                1 => table_size = Some(value),
                5 => max_frame = Some(value),
                _ => {}
            }
        }
        let any = table_size.is_some() || max_frame.is_some();
        any.then_some(Event::Settings { table_size, max_frame })
    }
}

/// A HEADERS or PUSH_PROMISE payload without padding, priority and promised stream.
fn fragment<'f>(head: &Head, payload: &'f [u8]) -> Option<&'f [u8]> {
    let (padding, rest) = match payload.split_first() {
        Some((&padding, rest)) if head.has(flag::PADDED) => (usize::from(padding), rest),
        _ => (0, payload),
    };
    let rest = rest.get(head.fixed() as usize..)?;
    if payload.len() < head.length as usize {
        // Cut at the limit: the padding is in what was not held.
        return Some(rest);
    }
    rest.get(..rest.len().checked_sub(padding)?)
}

#[cfg(test)]
mod tests;
