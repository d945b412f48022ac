//! Brings the kernel side into the kernel, in the best mode that it allows.

use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::{Map, MapError},
    programs::{BtfTracePoint, FExit, Program, ProgramError},
};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::Mode;

/// Compiled by build.rs.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/capture.bpf.o"));

/// The function in `bpf/capture.bpf.c` that hears a connection's end in mode fentry; the other mode's
/// one program hears both.
const CLOSED: &str = "unix_closed";

/// Adapts the programs to the running kernel and makes their maps; nothing is attached yet.
pub(super) fn prepare(btf: &Btf, ring_bytes: u32, memlock: bool) -> Result<Ebpf, String> {
    if memlock {
        let unlimited = Rlimit { current: None, maximum: None };
        if let Err(error) = setrlimit(Resource::Memlock, unlimited) {
            tracing::warn!(%error, "RLIMIT_MEMLOCK cannot be raised; before Linux 5.11 BPF needs it");
        }
    }
    EbpfLoader::new()
        .btf(Some(btf))
        .map_max_entries("RECORDS", ring_bytes)
        .load(OBJECT)
        .map_err(|error| crate::say(&error))
}

/// Loads and attaches the mode's programs.
pub(super) fn attach(ebpf: &mut Ebpf, mode: Mode, btf: &Btf) -> Result<(), String> {
    let name = mode.program();
    let program = ebpf.program_mut(name).ok_or_else(|| format!("no program {name}"))?;
    let attached = match mode {
        Mode::Fentry => <&mut FExit>::try_from(program).and_then(|program| {
            program.load("unix_stream_sendmsg", btf)?;
            program.attach().map(drop)
        }),
        Mode::Tracepoint => <&mut BtfTracePoint>::try_from(program).and_then(|program| {
            program.load("sys_exit", btf)?;
            program.attach().map(drop)
        }),
    };
    attached.map_err(|error| explain(&error))?;
    if mode == Mode::Fentry
        && let Some(Program::FEntry(program)) = ebpf.program_mut(CLOSED)
        && let Err(error) = program.load("unix_release", btf).and_then(|()| program.attach())
    {
        // A pull whose connection broke then seems to go on until its pod's status says otherwise.
        tracing::warn!(error = explain(&error), "the end of a connection will not be heard");
    }
    Ok(())
}

/// Takes the mode's programs out again.
pub(super) fn detach(ebpf: &mut Ebpf, mode: Mode) {
    if let (Mode::Fentry, Some(Program::FEntry(program))) = (mode, ebpf.program_mut(CLOSED)) {
        let _ = program.unload();
    }
    // Unloading closes the links too. A program that never got in has nothing to unload.
    let _ = match (mode, ebpf.program_mut(mode.program())) {
        (Mode::Fentry, Some(Program::FExit(program))) => program.unload(),
        (Mode::Tracepoint, Some(Program::BtfTracePoint(program))) => program.unload(),
        _ => Ok(()),
    };
}

/// A program's error in one line; the verifier's log alone can have thousands.
fn explain(error: &ProgramError) -> String {
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            tracing::debug!(%verifier_log, "the kernel refuses the program");
            let log = verifier_log.to_string();
            // The log ends with statistics.
            let statistics = ["processed ", "verification time", "stack depth"];
            let last = log.lines().rev().find(|line| {
                !line.trim().is_empty() && !statistics.iter().any(|word| line.starts_with(word))
            });
            let why = last.map(|line| format!(": {}", line.trim())).unwrap_or_default();
            format!("the kernel refuses the program: {io_error}{why}")
        }
        other => crate::say(other),
    }
}

/// One of the kernel side's maps, as its type says.
pub(super) fn map<M: TryFrom<Map, Error = MapError>>(
    ebpf: &mut Ebpf,
    name: &str,
) -> Result<M, MapError> {
    let map = ebpf.take_map(name).ok_or_else(|| MapError::InvalidName { name: name.into() })?;
    M::try_from(map)
}
