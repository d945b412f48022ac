//! The head of a frame: what kind it is, how long, and whether that can be.

/// Length of a frame's head.
pub(in crate::wire) const HEAD: usize = 9;

/// The frame types of RFC 9113, section 6.
pub(in crate::wire) mod kind {
    pub(in crate::wire) const DATA: u8 = 0;
    pub(in crate::wire) const HEADERS: u8 = 1;
    pub(in crate::wire) const PRIORITY: u8 = 2;
    pub(in crate::wire) const RST_STREAM: u8 = 3;
    pub(in crate::wire) const SETTINGS: u8 = 4;
    pub(in crate::wire) const PUSH_PROMISE: u8 = 5;
    pub(in crate::wire) const PING: u8 = 6;
    pub(in crate::wire) const GOAWAY: u8 = 7;
    pub(in crate::wire) const WINDOW_UPDATE: u8 = 8;
    pub(in crate::wire) const CONTINUATION: u8 = 9;
}

/// The flags of RFC 9113, section 6.
pub(in crate::wire) mod flag {
    pub(in crate::wire) const END_STREAM: u8 = 0x1;
    pub(in crate::wire) const ACK: u8 = 0x1;
    pub(in crate::wire) const END_HEADERS: u8 = 0x4;
    pub(in crate::wire) const PADDED: u8 = 0x8;
    pub(in crate::wire) const PRIORITY: u8 = 0x20;
}

/// A frame's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) struct Head {
    pub(in crate::wire) length: u32,
    pub(in crate::wire) kind: u8,
    pub(in crate::wire) flags: u8,
    pub(in crate::wire) stream: u32,
    /// A bit that senders leave 0 and receivers ignore.
    pub(in crate::wire) reserved: bool,
}

impl Head {
    pub(in crate::wire) fn parse(bytes: &[u8; HEAD]) -> Self {
        let [l2, l1, l0, kind, flags, s3, s2, s1, s0] = *bytes;
        let stream = u32::from_be_bytes([s3, s2, s1, s0]);
        Self {
            length: u32::from_be_bytes([0, l2, l1, l0]),
            kind,
            flags,
            stream: stream & (u32::MAX >> 1),
            reserved: stream >> 31 == 1,
        }
    }

    pub(in crate::wire) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// What every sender must keep to; a breach means that this is no frame.
    pub(in crate::wire) fn lawful(&self, max_frame: u32) -> bool {
        let on_stream = self.stream != 0;
        let fits = match self.kind {
            kind::DATA => on_stream && self.length >= u32::from(self.has(flag::PADDED)),
            kind::HEADERS => on_stream && self.length >= self.preamble(),
            kind::PRIORITY => on_stream && self.length == 5,
            kind::RST_STREAM => on_stream && self.length == 4,
            kind::SETTINGS => {
                let most = if self.has(flag::ACK) { 0 } else { self.length };
                !on_stream && self.length <= most && self.length.is_multiple_of(6)
            }
            kind::PUSH_PROMISE => on_stream && self.length >= self.preamble(),
            kind::PING => !on_stream && self.length == 8,
            kind::GOAWAY => !on_stream && self.length >= 8,
            kind::WINDOW_UPDATE => self.length == 4,
            kind::CONTINUATION => on_stream,
            _ => true,
        };
        fits && self.length <= max_frame
    }

    /// Bytes of the payload before the header block, without the padding's length.
    pub(super) fn fixed(&self) -> u32 {
        match self.kind {
            kind::HEADERS if self.has(flag::PRIORITY) => 5,
            kind::PUSH_PROMISE => 4,
            _ => 0,
        }
    }

    fn preamble(&self) -> u32 {
        self.fixed() + u32::from(self.has(flag::PADDED))
    }
}
