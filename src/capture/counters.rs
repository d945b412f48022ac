//! How much was heard, and every way of not hearing.

use std::{
    fmt,
    fs::File,
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::FileExt,
    },
};

use aya::{
    Ebpf,
    maps::{Array, MapData, MapError},
    programs::ProgramFd,
};

use super::{Mode, load::map};

/// Totals since the capture began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Records handed over.
    pub records: u64,
    /// Records lost because the ring buffer was full; each is a gap.
    pub dropped: u64,
    /// Pieces that could not be read from the sender's memory; each is a gap.
    pub faults: u64,
    /// Sends from something else than user memory, such as splice; each is a gap.
    pub unsupported: u64,
    /// Sends with more pieces than are looked at; the rest is a gap.
    pub truncated: u64,
    /// Sends on any unix socket that the kernel hid from the program, because it was already running
    /// on that processor. Each may be a gap, see `hidden.rs`. Always 0 before Linux 5.12, which does
    /// not count them.
    pub missed: u64,
}

impl Counters {
    /// Everything that was sent and not heard.
    pub fn unheard(&self) -> u64 {
        let Self { records: _, dropped, faults, unsupported, truncated, missed } = self;
        dropped + faults + unsupported + truncated + missed
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, dropped, faults, unsupported, truncated, missed } = self;
        write!(
            f,
            "heard {records}, dropped {dropped}, faults {faults}, unsupported {unsupported}, \
             truncated {truncated}, missed {missed}"
        )
    }
}

/// Reads the counters from the kernel.
pub(super) struct Counts {
    counts: Array<MapData, u64>,
    program: Option<Program>,
}

/// What the kernel says of a program.
struct Program {
    /// The file is about whatever has this number.
    _fd: ProgramFd,
    /// Opened once, since it is read after each record.
    info: File,
}

impl Program {
    fn of(ebpf: &Ebpf, mode: Mode) -> Result<Self, String> {
        let name = mode.program();
        let program = ebpf.program(name).ok_or_else(|| format!("no program {name}"))?;
        let fd = program.fd().map_err(|error| crate::say(&error))?;
        let fd = fd.try_clone().map_err(|error| error.to_string())?;
        let path = format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd());
        let info = File::open(&path).map_err(|error| {
            format!("what the kernel hides cannot be known without {path}: {error}")
        })?;
        Ok(Self { _fd: fd, info })
    }
}

impl Counts {
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, MapError> {
        Ok(Self { counts: map(ebpf, "COUNTS")?, program: None })
    }

    /// From now on also counts what this mode's program misses.
    pub(super) fn of(&mut self, ebpf: &Ebpf, mode: Mode) -> Result<(), String> {
        self.program = Some(Program::of(ebpf, mode)?);
        Ok(())
    }

    pub(super) fn read(&self) -> Counters {
        // An array's slots always exist.
        let count = |slot| self.counts.get(&slot, 0).unwrap_or(0);
        Counters {
            records: count(0),
            dropped: count(1),
            faults: count(2),
            unsupported: count(3),
            truncated: count(4),
            missed: self.missed(),
        }
    }

    /// [`Counters::missed`].
    pub(super) fn missed(&self) -> u64 {
        self.counted().unwrap_or(0)
    }

    fn counted(&self) -> Option<u64> {
        // It has some 300 bytes.
        let mut info = [0; 2048];
        let length = self.program.as_ref()?.info.read_at(&mut info, 0).ok()?;
        let info = str::from_utf8(info.get(..length)?).ok()?;
        info.lines().find_map(|line| line.strip_prefix("recursion_misses:"))?.trim().parse().ok()
    }
}
