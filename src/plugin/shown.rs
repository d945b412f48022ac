//! Times and names of an answer, in a bounded number.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// Most names that are remembered of a set.
const MOST: usize = 50;
/// Names that fit into a column.
const SHOWN: usize = 2;

/// Names, each once; those beyond the first [`MOST`] only leave a trace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names {
    set: BTreeSet<String>,
    more: bool,
}

impl Names {
    pub(super) fn add(&mut self, name: &str) {
        if name.is_empty() || self.set.contains(name) {
            return;
        }
        match self.set.len() < MOST {
            true => drop(self.set.insert(name.to_owned())),
            false => self.more = true,
        }
    }

    /// `a, b`, or `7: a, b, ...`.
    pub(super) fn short(&self) -> String {
        let some: Vec<_> = self.set.iter().take(SHOWN).map(String::as_str).collect();
        let some = some.join(", ");
        match (self.set.len(), self.more) {
            (0, _) => "-".into(),
            (count, _) if count <= SHOWN => some,
            (count, more) => format!("{count}{}: {some}, ...", if more { "+" } else { "" }),
        }
    }

    /// All that are known.
    pub(super) fn long(&self) -> String {
        let all: Vec<_> = self.set.iter().map(String::as_str).collect();
        let more = if self.more { ", ..." } else { "" };
        if all.is_empty() { "-".into() } else { format!("{}{more}", all.join(", ")) }
    }
}

impl Serialize for Names {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.set.serialize(serializer)
    }
}

/// How long ago, in the largest unit of which there are at least two.
pub(super) fn age(at: Option<Timestamp>, now: Timestamp) -> String {
    let Some(at) = at else { return "-".into() };
    match now.duration_since(at).as_secs().max(0) {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::fixtures::start;

    #[test]
    fn ages_have_one_unit() {
        let age_of = |seconds| age(Some(start()), start() + SignedDuration::from_secs(seconds));
        let shown = [-5, 0, 119, 120, 7199, 7200, 172_799, 172_800].map(age_of);
        assert_eq!(shown, ["0s", "0s", "119s", "2m", "119m", "2h", "47h", "2d"]);
        assert_eq!(age(None, start()), "-");
    }

    #[test]
    fn many_names_take_little_room() {
        let mut names = Names::default();
        assert_eq!(names.short(), "-");
        for number in 0..1000 {
            names.add(&format!("n{number:04}"));
            names.add("n0000");
        }
        assert_eq!(names.short(), "50+: n0000, n0001, ...");
        assert_eq!(serde_json::to_value(&names).unwrap().as_array().unwrap().len(), 50);
    }
}
