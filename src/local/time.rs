//! jiff's times as protobuf has them.

use jiff::{SignedDuration, Timestamp};

/// The same point in time.
pub(crate) fn timestamp(at: Timestamp) -> pbjson_types::Timestamp {
    let nanos = at.subsec_nanosecond();
    // Before 1970 jiff counts both parts below zero; protobuf wants the nanoseconds above.
    if nanos < 0 {
        pbjson_types::Timestamp { seconds: at.as_second() - 1, nanos: nanos + 1_000_000_000 }
    } else {
        pbjson_types::Timestamp { seconds: at.as_second(), nanos }
    }
}

/// The same length of time.
pub(crate) fn duration(of: SignedDuration) -> pbjson_types::Duration {
    pbjson_types::Duration { seconds: of.as_secs(), nanos: of.subsec_nanos() }
}

/// A length of time that somebody sent.
pub(crate) fn length(of: &pbjson_types::Duration) -> SignedDuration {
    // `new` would panic where the nanoseconds overflow the seconds.
    SignedDuration::from_secs(of.seconds)
        .saturating_add(SignedDuration::from_nanos(i64::from(of.nanos)))
}
