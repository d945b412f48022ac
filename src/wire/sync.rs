//! Finding frames in the middle of a stream: after a late attach or a gap.
//!
//! Looks at one record and holds nothing: what is skipped may be anything, passwords included.

use super::frames::{HEAD, Head, flag, kind};

/// Heads that are looked at; more would not convince more.
const ENOUGH: usize = 4;

/// Where in a record a plausible chain of frames starts.
///
/// At the start of a record, thus of a write, one frame is believed. Further in, the bytes may be
/// the content of a message, which pods can influence: only a chain of [`ENOUGH`] frames counts,
/// or a shorter one of at least two that fills the record to its last byte.
pub(super) fn find(bytes: &[u8], at_start: bool, max_frame: u32) -> Option<usize> {
    if at_start && convincing(bytes, 1, max_frame) {
        return Some(0);
    }
    let last = bytes.len().checked_sub(2 * HEAD)?;
    (usize::from(at_start)..=last)
        .find(|&at| convincing(bytes.get(at..).unwrap_or_default(), 2, max_frame))
}

/// Whether `bytes` starts with frames: at least `least` that fill it, or [`ENOUGH`] that do not.
fn convincing(bytes: &[u8], least: usize, max_frame: u32) -> bool {
    let mut rest = bytes;
    let mut block_of: Option<u32> = None;
    for seen in 0..ENOUGH {
        if rest.is_empty() {
            return seen >= least;
        }
        let Some(head) = rest.first_chunk::<HEAD>() else {
            // A head that the next record completes says nothing.
            return least == 1 && seen >= 1;
        };
        let head = Head::parse(head);
        let in_order = match block_of {
            Some(stream) => head.kind == kind::CONTINUATION && head.stream == stream,
            None => head.kind != kind::CONTINUATION,
        };
        if !in_order || !usual(&head) || !head.lawful(max_frame) {
            return false;
        }
        let opens_block =
            matches!(head.kind, kind::HEADERS | kind::CONTINUATION) && !head.has(flag::END_HEADERS);
        block_of = opens_block.then_some(head.stream);
        match rest.get(HEAD + head.length as usize..) {
            Some(after) => rest = after,
            // The frame goes on in the next record.
            None => return least == 1,
        }
    }
    true
}

/// Whether a frame looks like those of real peers: no unknown type, no undefined flag, no push.
pub(super) fn usual(head: &Head) -> bool {
    let flags = match head.kind {
        kind::DATA => flag::END_STREAM | flag::PADDED,
        kind::HEADERS => flag::END_STREAM | flag::END_HEADERS | flag::PADDED | flag::PRIORITY,
        kind::SETTINGS | kind::PING => flag::ACK,
        kind::CONTINUATION => flag::END_HEADERS,
        kind::PRIORITY | kind::RST_STREAM | kind::GOAWAY | kind::WINDOW_UPDATE => 0,
        _ => return false,
    };
    let opened_by_client = head.stream == 0 || head.stream % 2 == 1;
    head.flags & !flags == 0 && !head.reserved && opened_by_client
}
