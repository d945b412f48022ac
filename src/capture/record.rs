//! What the kernel side hands over: the same layout as `struct header` in `bpf/capture.bpf.c`.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::wire;

/// Bytes before the data in a ring-buffer record.
const HEADER: usize = 32;

/// Who sent the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The client, such as the kubelet.
    ToServer,
    /// The runtime.
    ToClient,
}

impl From<Direction> for wire::Direction {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::ToServer => Self::ToRuntime,
            Direction::ToClient => Self::ToKubelet,
        }
    }
}

/// Something that happened on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// One end sent something.
    Sent(Record),
    /// One end is closed, so the connection is over. May be told more than once.
    Closed {
        /// The connection.
        connection: u64,
        /// Monotonic time, in microseconds.
        t_us: u64,
    },
}

/// Bytes that one end of a connection sent, in the order of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The connection, the same for both directions. A new socket has a new number, even at an old
    /// address.
    pub connection: u64,
    /// Who sent the bytes.
    pub direction: Direction,
    /// Bytes sent in this direction before these, counted from when the connection was first heard.
    /// More than the end of the record before means that something could not be copied; by at least
    /// [`wire::UNKNOWN_GAP`] more, that nobody knows how much.
    pub offset: u64,
    /// Monotonic time of the send's end, in microseconds.
    pub t_us: u64,
    /// What was sent; never empty.
    pub data: Vec<u8>,
}

impl Heard {
    /// Reads a ring-buffer record; `None` when it is none of ours.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, data) = bytes.split_at_checked(HEADER)?;
        let word = |at: usize| {
            let bytes = header.get(at..at + 8)?.try_into().ok()?;
            Some(u64::from_ne_bytes(bytes))
        };
        let length = u32::from_ne_bytes(header.get(24..28)?.try_into().ok()?);
        let direction = match header.get(28)? {
            0 => Direction::ToServer,
            1 => Direction::ToClient,
            _ => return None,
        };
        let data = data.get(..usize::try_from(length).ok()?)?.to_vec();
        let (connection, t_us) = (word(0)?, word(8)? / 1000);
        if data.is_empty() {
            return Some(Self::Closed { connection, t_us });
        }
        Some(Self::Sent(Record { connection, direction, offset: word(16)?, t_us, data }))
    }
}

/// The instant of a [`Record::t_us`]: BPF's clock (`bpf_ktime_get_ns`) and [`Instant`] are both
/// `CLOCK_MONOTONIC` on Linux.
pub fn instant(t_us: u64) -> Instant {
    let (clock, now) = (clock(), Instant::now());
    now.checked_sub(clock.saturating_sub(Duration::from_micros(t_us))).unwrap_or(now)
}

/// What [`Record::t_us`] of something sent now would be.
pub(super) fn now_us() -> u64 {
    u64::try_from(clock().as_micros()).unwrap_or(u64::MAX)
}

fn clock() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_and_nothing_else() {
        let mut bytes = Vec::new();
        for word in [7_u64, 2_999, 5] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(3_u32.to_ne_bytes());
        bytes.extend([1, 0, 0, 0]);
        bytes.extend(*b"abc");
        let expected = Record {
            connection: 7,
            direction: Direction::ToClient,
            offset: 5,
            t_us: 2,
            data: b"abc".to_vec(),
        };
        assert_eq!(Heard::parse(&bytes), Some(Heard::Sent(expected)));
        assert_eq!(Heard::parse(&bytes[..34]), None, "shorter than it says");
        assert_eq!(Heard::parse(&bytes[..31]), None);
        bytes[24] = 0;
        assert_eq!(Heard::parse(&bytes), Some(Heard::Closed { connection: 7, t_us: 2 }));
        bytes[28] = 2;
        assert_eq!(Heard::parse(&bytes), None, "an unknown direction");
    }

    #[test]
    fn a_time_of_the_capture_is_an_instant() {
        let (before, ago) = (Instant::now(), Duration::from_secs(5));
        let clock = Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap();
        let then = instant(u64::try_from((clock - ago).as_micros()).unwrap());
        assert!(then >= before - ago - Duration::from_micros(1), "{:?}", before - then);
        assert!(then <= Instant::now() - ago, "{:?}", before - then);
        let future = instant(u64::MAX);
        assert!(before <= future && future <= Instant::now(), "nothing is heard ahead of its time");
    }
}
