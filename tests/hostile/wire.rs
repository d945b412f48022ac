//! Bytes of a CRI connection: a flag, then segments of a head (see [`Segment`]) and bytes.

use pullfuse::wire::{Decoder, Direction, Exchange, Record};

/// A connection may hold this much whatever it is told.
const MOST_HELD: usize = 4 * 1024 * 1024;
/// Where a connection stands that was joined late.
const LATE: u64 = 1_000_000;

/// A head of one byte of flags and two of the length, and as many bytes.
struct Segment<'a> {
    direction: Direction,
    /// Bytes that are lost before it.
    gap: u64,
    /// The same bytes come once as a whole and once in pieces of this size.
    piece: usize,
    data: &'a [u8],
}

/// The next segment; of the last one there may be less than its length says.
fn segment<'a>(rest: &mut &'a [u8]) -> Option<Segment<'a>> {
    let (&[flags, low, high], tail) = rest.split_first_chunk()?;
    let length = usize::from(u16::from_le_bytes([low, high]));
    let (data, tail) = tail.split_at(length.min(tail.len()));
    *rest = tail;
    let (direction, number) = ([Direction::ToRuntime, Direction::ToKubelet], flags >> 2);
    Some(Segment {
        direction: direction[usize::from(flags & 1)],
        gap: if flags & 2 == 0 { 0 } else { 1 + 13 * u64::from(number) },
        piece: 1 + usize::from(number),
        data,
    })
}

struct Tap {
    decoder: Decoder,
    offsets: [u64; 2],
    seen: Vec<Exchange>,
}

impl Tap {
    fn new(start: u64) -> Self {
        Self { decoder: Decoder::new(), offsets: [start; 2], seen: Vec::new() }
    }

    fn hears(&mut self, t_us: u64, segment: &Segment<'_>, pieces: usize) {
        let Segment { direction, gap, .. } = *segment;
        let offset = &mut self.offsets[usize::from(direction == Direction::ToKubelet)];
        *offset += gap;
        for data in segment.data.chunks(pieces) {
            let record = Record { t_us, connection: 1, direction, offset: *offset, data };
            self.seen.extend(self.decoder.feed(&record));
            *offset += data.len() as u64;
            let held = self.decoder.held();
            assert!(held < MOST_HELD, "{held} bytes are held");
        }
    }
}

pub fn look(bytes: &[u8]) {
    let Some((&late, mut rest)) = bytes.split_first() else { return };
    let start = if late & 1 == 0 { 0 } else { LATE };
    let (mut whole, mut cut) = (Tap::new(start), Tap::new(start));
    let mut t_us = 0;
    while let Some(segment) = segment(&mut rest) {
        t_us += 1;
        whole.hears(t_us, &segment, usize::MAX);
        cut.hears(t_us, &segment, segment.piece);
    }
    // Where the frames must be found again, the pieces tell where they may begin.
    if [&whole, &cut].iter().all(|tap| tap.decoder.counters().resyncs == 0) {
        let pulls = |tap: &Tap| format!("{:?}", tap.decoder.in_flight().collect::<Vec<_>>());
        assert_eq!(pulls(&whole), pulls(&cut), "in flight");
        for tap in [&mut whole, &mut cut] {
            let closed = tap.decoder.close(1, t_us);
            tap.seen.extend(closed);
        }
        assert_eq!(whole.seen, cut.seen);
        assert_eq!(whole.decoder.counters(), cut.decoder.counters());
    }
}
