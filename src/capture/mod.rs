//! Listens to the container runtime's CRI socket from the kernel, without being in anybody's way.
//!
//! In: the runtime's endpoints. Out: a stream of what is [`Heard`], the bytes of both directions of
//! each connection and its end. Touches the kernel (`bpf/`), the endpoints' folders (to notice a new socket) and, for
//! a moment, a socket of its own for a self-test. It needs CAP_BPF and CAP_PERFMON and nothing else.

mod counters;
mod filter;
mod hidden;
mod load;
mod poll;
mod preflight;
mod record;
mod selftest;
mod watch;

use std::{fmt, io, path::PathBuf};

use aya::{
    Btf, Ebpf,
    maps::{HashMap, MapData, MapError, RingBuf},
};
use thiserror::Error;
use tokio::io::unix::AsyncFd;

use self::{counters::Counts, filter::Filter, hidden::Hidden, watch::Watch};
use crate::config;

pub use counters::Counters;
pub use filter::Match;
pub use preflight::{Missing, Preflight};
pub use record::{Direction, Heard, Record, instant};

/// What to listen to, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Paths of the runtime's sockets, in any spelling; those that do not exist yet are awaited.
    pub endpoints: Vec<PathBuf>,
    /// By what a connection is recognised.
    pub by: Match,
    /// The mode asked for.
    pub mode: config::Capture,
    /// Folders where the self-test may bind a socket; the first that can be written is used.
    pub scratch: Vec<PathBuf>,
    /// Size of the ring buffer in bytes; a power of two.
    pub ring_bytes: u32,
}

impl Options {
    /// Listens to these endpoints in the best mode.
    pub fn new(endpoints: Vec<PathBuf>) -> Self {
        Self {
            endpoints,
            by: Match::default(),
            mode: config::Capture::Auto,
            // The image has no /tmp and a read-only root, but a ledger.
            scratch: vec![std::env::temp_dir(), config::Ledger::default().dir],
            // A burst of 300 pulls at once is 2 MB.
            ring_bytes: 4 << 20,
        }
    }
}

/// How the kernel side is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Behind the kernel's own unix-socket send.
    Fentry,
    /// Behind every system call.
    Tracepoint,
}

impl Mode {
    /// The name as the configuration, the log and the metrics spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::Tracepoint => "tracepoint",
        }
    }

    /// The function in `bpf/capture.bpf.c` that hears what is sent.
    fn program(self) -> &'static str {
        match self {
            Self::Fentry => "unix_sent",
            Self::Tracepoint => "syscall_done",
        }
    }
}

/// A mode that could not be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The mode.
    pub mode: Mode,
    /// One sentence.
    pub why: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.mode.as_str(), self.why)
    }
}

/// Why nothing can be heard.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// The configuration says so.
    #[error("the capture is switched off (runtime.capture = \"off\")")]
    Off,
    /// Preconditions are not met.
    #[error("{}", sentences(.0))]
    Missing(Vec<Missing>),
    /// The kernel took neither mode, or not the one asked for.
    #[error("the kernel takes none of the modes: {}", sentences(.0))]
    Refused(Vec<Refusal>),
    /// The programs cannot be adapted to this kernel, or their maps cannot be made.
    #[error("the kernel side cannot be prepared: {0}")]
    Prepare(String),
}

fn sentences<T: ToString>(all: &[T]) -> String {
    all.iter().map(T::to_string).collect::<Vec<_>>().join("; ")
}

impl From<MapError> for CaptureError {
    fn from(error: MapError) -> Self {
        Self::Prepare(crate::say(&error))
    }
}

/// A capture that hears. Dropping it takes everything out of the kernel again.
pub struct Capture {
    ring: AsyncFd<RingBuf<MapData>>,
    filter: Filter,
    muted: HashMap<MapData, u64, u8>,
    counts: Counts,
    hidden: Hidden,
    watch: Watch,
    endpoints: Vec<PathBuf>,
    mode: Mode,
    refused: Vec<Refusal>,
    ebpf: Ebpf,
}

impl Capture {
    /// Attaches in the best mode, or the one asked for, and shows that it hears.
    ///
    /// # Errors
    /// When preconditions are missing or the kernel takes no mode; one sentence for each.
    pub async fn start(options: Options) -> Result<Self, CaptureError> {
        let Options { endpoints, by, mode, scratch, ring_bytes } = options;
        let modes: &[Mode] = match mode {
            config::Capture::Auto => &[Mode::Fentry, Mode::Tracepoint],
            config::Capture::Fentry => &[Mode::Fentry],
            config::Capture::Tracepoint => &[Mode::Tracepoint],
            config::Capture::Off => return Err(CaptureError::Off),
        };
        let preflight = Preflight::read();
        let missing = preflight.missing();
        if !missing.is_empty() {
            return Err(CaptureError::Missing(missing));
        }
        let btf = Btf::from_sys_fs().map_err(|error| CaptureError::Prepare(crate::say(&error)))?;
        let mut ebpf = load::prepare(&btf, ring_bytes, preflight.needs_memlock())
            .map_err(CaptureError::Prepare)?;
        let ring = poll::ring(load::map::<RingBuf<MapData>>(&mut ebpf, "RECORDS")?)
            .map_err(|error| CaptureError::Prepare(error.to_string()))?;
        let mut capture = Self {
            ring,
            filter: Filter::new(&mut ebpf, by)?,
            muted: load::map(&mut ebpf, "MUTED")?,
            counts: Counts::new(&mut ebpf)?,
            hidden: Hidden::default(),
            watch: Watch::new(&endpoints),
            endpoints,
            mode: Mode::Fentry,
            refused: Vec::new(),
            ebpf,
        };
        for mode in modes {
            match capture.attempt(*mode, &btf, &scratch).await {
                Ok(()) => return Ok(capture),
                Err(why) => capture.refused.push(Refusal { mode: *mode, why }),
            }
            load::detach(&mut capture.ebpf, *mode);
        }
        Err(CaptureError::Refused(capture.refused))
    }

    async fn attempt(&mut self, mode: Mode, btf: &Btf, scratch: &[PathBuf]) -> Result<(), String> {
        load::attach(&mut self.ebpf, mode, btf)?;
        selftest::run(self, scratch).await?;
        self.filter.set(&self.endpoints).map_err(|error| crate::say(&error))?;
        self.mode = mode;
        self.counts.of(&self.ebpf, mode)
    }

    /// What happens next. Losing the future loses nothing.
    ///
    /// # Errors
    /// When the ring buffer can no longer be waited for.
    pub async fn next(&mut self) -> io::Result<Heard> {
        loop {
            let Self { ring, watch, filter, endpoints, .. } = self;
            tokio::select! {
                biased;
                () = watch.changed() => match filter.refresh(endpoints) {
                    Ok(true) => tracing::info!("the runtime's socket is new; it is heard"),
                    Ok(false) => {}
                    Err(error) => tracing::warn!(error = %crate::say(&error), "the socket filter"),
                },
                heard = pop(ring) => return heard.map(|heard| self.shown(heard)),
            }
        }
    }

    /// What happens next, whatever happens to the endpoints meanwhile.
    async fn heard(&mut self) -> io::Result<Heard> {
        pop(&mut self.ring).await
    }

    fn shown(&mut self, mut heard: Heard) -> Heard {
        // After it was taken: the kernel counts a hidden send before it hands over what follows.
        let missed = self.counts.missed();
        if missed > 0 && !self.hidden.any() && self.mode == Mode::Fentry {
            tracing::warn!(
                "this kernel preempts the capture and hides sends from it: what they held is counted \
                 from pod status; runtime.capture = \"tracepoint\" hears them all, at a price for \
                 every system call of the node"
            );
        }
        self.hidden.show(missed, record::now_us(), &mut heard);
        heard
    }

    /// Hears nothing from now on. What was heard before is still there for [`Self::left`].
    pub fn stop(&mut self) {
        load::detach(&mut self.ebpf, self.mode);
    }

    /// What was heard and is not yet taken, without waiting.
    pub fn left(&mut self) -> Option<Heard> {
        loop {
            let heard = Heard::parse(&self.ring.get_mut().next()?);
            if let Some(heard) = heard {
                return Some(self.shown(heard));
            }
        }
    }

    /// Stops hearing a connection. A later socket at the same address is heard again.
    pub fn mute(&mut self, connection: u64) {
        if let Err(error) = self.muted.insert(connection, 0, 0) {
            // It only costs some time.
            tracing::debug!(connection, error = %crate::say(&error), "a connection stays loud");
        }
    }

    /// Whether the kernel lets this process go on to say what is heard.
    pub fn is_steered(&mut self) -> bool {
        self.filter.set_head().is_ok()
    }

    /// How much was heard, and what was not.
    pub fn counters(&self) -> Counters {
        self.counts.read()
    }

    /// How the kernel side is attached.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The better modes that the kernel refused.
    pub fn refused(&self) -> &[Refusal] {
        &self.refused
    }
}

async fn pop(ring: &mut AsyncFd<RingBuf<MapData>>) -> io::Result<Heard> {
    loop {
        let mut guard = ring.readable_mut().await?;
        while let Some(bytes) = guard.get_inner_mut().next() {
            if let Some(heard) = Heard::parse(&bytes) {
                return Ok(heard);
            }
        }
        guard.clear_ready();
    }
}
