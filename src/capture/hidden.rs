//! Sends that the kernel hid from the program are shown as gaps: in every connection, since nobody
//! knows in which, and of unknown length.
//!
//! Where the kernel is preemptible (`preempt=full`, or built so), a task
//! may be stopped while the program runs for its send. The kernel then skips the program for every
//! other send on that processor, and counts that (`recursion_misses`). When a send was hidden is not
//! known any better than when its count was read.

use std::collections::HashMap;

use super::{Direction, Heard, Record};
use crate::wire::UNKNOWN_GAP;

/// Directions kept. Those of more are forgotten, and show a gap too many.
const MOST: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Hidden {
    /// Sends that were hidden, as the kernel counts them.
    sends: u64,
    /// When that was last more than before, by the capture's clock. What was sent until then may have
    /// come before a hidden send or after it.
    until_us: u64,
    /// Whether anything that was sent later was heard.
    passed: bool,
    /// Gaps so far.
    gaps: u64,
    /// Those of the gaps that were before the first bytes of this direction.
    before: HashMap<(u64, Direction), u64>,
}

impl Hidden {
    /// Whether any send was hidden so far.
    pub(super) fn any(&self) -> bool {
        self.sends > 0
    }

    /// Moves what was heard behind the gaps before it. `sends` were hidden by `now_us` of the
    /// capture's clock, which is after this was heard.
    pub(super) fn show(&mut self, sends: u64, now_us: u64, heard: &mut Heard) {
        if sends > self.sends {
            self.sends = sends;
            self.until_us = now_us;
            self.passed = false;
        }
        if self.sends == 0 {
            return;
        }
        match heard {
            Heard::Sent(Record { connection, direction, offset, t_us, .. }) => {
                if !self.passed {
                    self.gaps += 1;
                    self.passed = *t_us > self.until_us;
                }
                let end = (*connection, *direction);
                if *offset == 0 {
                    if self.before.len() >= MOST {
                        self.before.clear();
                    }
                    self.before.insert(end, self.gaps);
                }
                let gaps = self.gaps - self.before.get(&end).copied().unwrap_or(0);
                *offset = offset.saturating_add(gaps.saturating_mul(UNKNOWN_GAP));
            }
            Heard::Closed { connection, .. } => {
                for direction in [Direction::ToServer, Direction::ToClient] {
                    self.before.remove(&(*connection, direction));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where bytes of this connection are shown that were sent at this offset, long ago or now.
    fn shown(hidden: &mut Hidden, (sends, now_us): (u64, u64), at: (u64, u64, u64)) -> u64 {
        let (connection, t_us, offset) = at;
        let direction = Direction::ToClient;
        let mut heard = Heard::Sent(Record { connection, direction, offset, t_us, data: vec![1] });
        hidden.show(sends, now_us, &mut heard);
        let Heard::Sent(record) = heard else { unreachable!("it was sent") };
        record.offset
    }

    #[test]
    fn a_hidden_send_is_a_gap_in_all_that_was_heard_before_and_in_nothing_else() {
        let mut hidden = Hidden::default();
        let mut shown = |counted, at| shown(&mut hidden, counted, at);
        assert_eq!([0, 5].map(|offset| shown((0, 1), (1, 1, offset))), [0, 5]);
        assert_eq!(shown((0, 2), (2, 2, 0)), 0);
        assert_eq!(shown((3, 5), (1, 6, 9)), UNKNOWN_GAP + 9, "three at once are one gap");
        assert_eq!(shown((3, 7), (1, 7, 10)), UNKNOWN_GAP + 10, "and it is not repeated");
        assert_eq!(shown((3, 8), (2, 8, 7)), UNKNOWN_GAP + 7);
        assert_eq!([0, 4].map(|offset| shown((3, 9), (3, 9, offset))), [0, 4], "a new one");
        assert_eq!(shown((4, 10), (3, 11, 8)), UNKNOWN_GAP + 8);
        assert_eq!(shown((4, 11), (1, 11, 20)), 2 * UNKNOWN_GAP + 20);
    }

    #[test]
    fn what_is_heard_late_may_have_a_hidden_send_before_each_of_its_records() {
        let mut hidden = Hidden::default();
        let mut shown = |counted, at| shown(&mut hidden, counted, at);
        assert_eq!(shown((0, 1), (1, 1, 0)), 0);
        // All of it was sent before the count was read.
        let late = [(1, 2, 10), (1, 3, 20), (1, 4, 30)].map(|at| shown((1, 5), at));
        assert_eq!(late, [(1, 10), (2, 20), (3, 30)].map(|(gaps, at)| gaps * UNKNOWN_GAP + at));
        // This is the first that surely is behind it, and then there is no doubt.
        assert_eq!(shown((1, 7), (1, 6, 40)), 4 * UNKNOWN_GAP + 40);
        assert_eq!(shown((1, 8), (1, 7, 50)), 4 * UNKNOWN_GAP + 50);
    }

    #[test]
    fn whoever_is_forgotten_has_a_gap_too_many_and_never_bytes_twice() {
        let mut hidden = Hidden::default();
        let gaps = |hidden: &mut Hidden, sends, connection, offset| {
            shown(hidden, (sends, 0), (connection, 1, offset)) / UNKNOWN_GAP
        };
        gaps(&mut hidden, 1, 0, 0);
        gaps(&mut hidden, 2, 7, 0);
        assert_eq!([0, 7].map(|connection| gaps(&mut hidden, 2, connection, 1)), [1, 0]);
        hidden.show(2, 0, &mut Heard::Closed { connection: 7, t_us: 1 });
        assert_eq!(gaps(&mut hidden, 2, 7, 1), 2);
        for connection in 10..10 + MOST as u64 {
            gaps(&mut hidden, 2, connection, 0);
        }
        assert_eq!(gaps(&mut hidden, 2, 0, 1), 2);
        assert!(hidden.before.len() <= MOST);
    }
}
