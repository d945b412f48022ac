//! When the kubelet tries to pull an image that does not come.

use jiff::SignedDuration;

use crate::config::InForce;

/// Seconds from the time a pod is added to its first attempts: the median of six pods, with
/// containerd.
const FIRST: [i64; 6] = [1, 15, 40, 88, 174, 338];
/// Its longest back-off, which it has reached by then.
const THEN_EVERY: i64 = 300;

/// From the time a pod is added to its attempt of this number.
pub(super) fn attempt(number: u32) -> SignedDuration {
    let number = usize::try_from(number).unwrap_or(usize::MAX).max(1);
    let seconds = FIRST.get(number - 1).copied().unwrap_or_else(|| {
        let more = i64::try_from(number - FIRST.len()).unwrap_or(i64::MAX);
        FIRST[FIRST.len() - 1].saturating_add(more.saturating_mul(THEN_EVERY))
    });
    SignedDuration::from_secs(seconds)
}

/// From the time a pod is added to its verdict, at the earliest; `None`: there will be none.
pub(super) fn earliest(limit: InForce) -> Option<SignedDuration> {
    let attempts = attempt(limit.max_attempts.number()?);
    Some(attempts.max(attempt(1).saturating_add(limit.min_elapsed)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MaxAttempts;

    #[test]
    fn the_later_of_count_and_time_decides() {
        let earliest = |number, minutes| {
            let min_elapsed = SignedDuration::from_mins(minutes);
            earliest(InForce { max_attempts: MaxAttempts::Number(number), min_elapsed })
                .map(|at| at.as_secs())
        };
        assert_eq!(earliest(5, 1), Some(174));
        assert_eq!(earliest(1, 1), Some(61));
        assert_eq!(earliest(8, 0), Some(338 + 600));
        assert!(earliest(u32::MAX, 0) > earliest(1000, 0));
    }
}
