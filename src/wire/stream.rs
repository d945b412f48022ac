//! One call: its request and its response, whichever comes first.

use serde::Serialize;

use super::{
    grpc::{Ending, Framing, Piece},
    request::{Parser, Pull},
};

/// How a `PullImage` call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The runtime answered with a message.
    Succeeded,
    /// The runtime answered with a status alone.
    Failed,
    /// No answer: the stream was reset or refused, or the connection closed.
    Transport,
}

/// How a call ended, as far as it can be told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Known {
        end_us: u64,
        outcome: Outcome,
        code: Option<u32>,
        message: Option<String>,
    },
    /// It is over, but what tells the outcome was in a gap.
    Unknown,
}

#[derive(Debug)]
enum Request {
    /// Only its response has been seen.
    Awaited,
    Reading(Reading),
    /// A call of `PullImage`.
    Pull(Pull),
}

#[derive(Debug)]
struct Reading {
    /// `:path` is `PullImage`'s; otherwise it is unknown.
    named: bool,
    framing: Framing,
    parser: Option<Box<Parser>>,
}

#[derive(Debug, Default)]
struct Response {
    framing: Framing,
    /// A message was seen.
    message: bool,
    /// Part of it may be missing.
    gap: bool,
    /// Header blocks were seen before the last one.
    headers: bool,
    ended: Option<(u64, End)>,
}

#[derive(Debug)]
enum End {
    Status(Ending),
    /// Reset or refused.
    Reset,
}

/// One call. It is dropped as soon as it turns out to be no pull.
#[derive(Debug)]
pub(super) struct Stream {
    start_us: u64,
    request: Request,
    response: Response,
}

/// What is to be done with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Fate {
    Keep,
    /// It is no pull.
    Drop,
}

impl Stream {
    /// Opened by a response whose request was not seen yet.
    pub(super) fn awaited() -> Self {
        Self { start_us: 0, request: Request::Awaited, response: Response::default() }
    }

    /// Its request begins; `named` if `:path` is `PullImage`'s and not unknown.
    pub(super) fn open(&mut self, start_us: u64, named: bool) {
        self.start_us = start_us;
        let framing = Framing::default();
        self.request = Request::Reading(Reading { named, framing, parser: None });
    }

    /// Bytes held, about.
    pub(super) fn held(&self) -> usize {
        let request = match &self.request {
            Request::Awaited => 0,
            Request::Reading(reading) => reading.parser.as_ref().map_or(0, |parser| parser.held()),
            Request::Pull(pull) => pull.held(),
        };
        let response = match &self.response.ended {
            Some((_, End::Status(ending))) => ending.held(),
            _ => 0,
        };
        size_of::<Self>() + request + response
    }

    /// When its request began.
    pub(super) fn start_us(&self) -> u64 {
        self.start_us
    }

    /// What it asks for, once that was read.
    pub(super) fn pull(&self) -> Option<&Pull> {
        match &self.request {
            Request::Pull(pull) => Some(pull),
            Request::Awaited | Request::Reading(_) => None,
        }
    }

    pub(super) fn into_pull(self) -> Option<Pull> {
        match self.request {
            Request::Pull(pull) => Some(pull),
            Request::Awaited | Request::Reading(_) => None,
        }
    }

    /// Whether its end may have been missed.
    pub(super) fn is_unsure(&self) -> bool {
        self.response.gap
    }

    /// DATA of the request. Only the first message counts: the call has one.
    pub(super) fn request_data(&mut self, mut bytes: &[u8], end_stream: bool) -> Fate {
        let Request::Reading(reading) = &mut self.request else { return Fate::Keep };
        while let Some(piece) = reading.framing.next(&mut bytes) {
            match piece {
                // A compressed message cannot be read; the kubelet sends none.
                Piece::Start { compressed: true, .. } => return self.give_up(),
                Piece::Start { length, .. } => {
                    reading.parser = Some(Box::new(Parser::new(length)));
                }
                Piece::Bytes(bytes) => {
                    if let Some(parser) = &mut reading.parser {
                        parser.feed(bytes);
                    }
                }
                Piece::End => {
                    let pull = reading.parser.take().and_then(|parser| parser.finish());
                    let complete = |pull: &Pull| pull.image.is_some() && pull.pod_uid.is_some();
                    return match pull {
                        Some(pull) if reading.named || complete(&pull) => {
                            self.request = Request::Pull(pull);
                            Fate::Keep
                        }
                        _ => self.give_up(),
                    };
                }
            }
        }
        if end_stream { self.give_up() } else { Fate::Keep }
    }

    /// The rest of the request will not be read: it is a pull only if its path says so.
    pub(super) fn give_up(&mut self) -> Fate {
        match &self.request {
            Request::Reading(Reading { named: true, .. }) => {
                self.request = Request::Pull(Pull::default());
                Fate::Keep
            }
            Request::Reading(_) => Fate::Drop,
            Request::Awaited | Request::Pull(_) => Fate::Keep,
        }
    }

    /// Part of the response may have been missed.
    pub(super) fn response_gap(&mut self) {
        if self.response.ended.is_none() {
            self.response.gap = true;
        }
    }

    /// Whether its response is over.
    pub(super) fn has_ended(&self) -> bool {
        self.response.ended.is_some()
    }

    /// There will be no answer.
    pub(super) fn reset(&mut self, t_us: u64) {
        self.response.ended.get_or_insert((t_us, End::Reset));
    }

    /// A header block of the response.
    pub(super) fn response_headers(&mut self, block: Ending, t_us: u64, end_stream: bool) {
        let response = &mut self.response;
        if end_stream && response.ended.is_none() {
            response.ended = Some((t_us, End::Status(block)));
        } else if !block.interim {
            response.headers = true;
        }
    }

    /// DATA of the response.
    pub(super) fn response_data(&mut self, mut bytes: &[u8], t_us: u64, end_stream: bool) {
        let response = &mut self.response;
        if response.gap {
            // Where messages start is unknown, but only messages are in DATA.
            response.message |= !bytes.is_empty();
        } else {
            while let Some(piece) = response.framing.next(&mut bytes) {
                response.message |= piece == Piece::End;
            }
        }
        if end_stream && response.ended.is_none() {
            response.ended = Some((t_us, End::Status(Ending::default())));
        }
    }

    /// How the call ended; `None` while it goes on or its request is not yet read.
    pub(super) fn settled(&self) -> Option<Settled> {
        self.pull()?;
        let Response { message, gap, headers, ended, framing: _ } = &self.response;
        let (end_us, ending) = match ended.as_ref()? {
            (end_us, End::Status(ending)) => (*end_us, ending),
            // It may have been answered in the gap.
            (_, End::Reset) if *gap => return Some(Settled::Unknown),
            (end_us, End::Reset) => {
                let (end_us, outcome) = (*end_us, Outcome::Transport);
                return Some(Settled::Known { end_us, outcome, code: None, message: None });
            }
        };
        // `:status` opens a response: whatever a gap hid, it was not a part of this one.
        let nothing_before = ending.first && !headers;
        let (code, text) = ending.status(nothing_before && !message);
        let succeeded = match (message, code) {
            (true, Some(code)) => code == 0,
            (true, None) => true,
            (false, _) if !gap || nothing_before => false,
            (false, Some(code)) => code == 0,
            (false, None) => return Some(Settled::Unknown),
        };
        let (outcome, code, message) = if succeeded {
            (Outcome::Succeeded, Some(0), Some(String::new()))
        } else {
            (Outcome::Failed, code, text)
        };
        Some(Settled::Known { end_us, outcome, code, message })
    }
}
