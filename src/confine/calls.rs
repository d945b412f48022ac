//! Which system calls may be made: two seccomp filters.
//!
//! What is not allowed fails as on a kernel that does not have it, so that libraries take their
//! other way; nothing is killed for a call that nobody thought of.

use std::{collections::BTreeMap, process};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Width, SeccompCmpOp as Is, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};

use super::Limit;

/// Names of system calls with their numbers.
type Calls = &'static [(&'static str, i64)];

macro_rules! calls {
    ($($name:ident: $number:ident),* $(,)?) => { &[$((stringify!($name), libc::$number)),*] };
}

/// What the agent calls, besides those that are allowed with some arguments only.
#[rustfmt::skip]
const ALLOWED: Calls = calls!(
    // Files: configuration, tokens, ledger.
    close: SYS_close, fallocate: SYS_fallocate, fchmod: SYS_fchmod, fchmodat: SYS_fchmodat,
    fcntl: SYS_fcntl, fdatasync: SYS_fdatasync, flock: SYS_flock, fstat: SYS_fstat,
    fstatfs: SYS_fstatfs, fsync: SYS_fsync, ftruncate: SYS_ftruncate, getcwd: SYS_getcwd,
    getdents64: SYS_getdents64, lseek: SYS_lseek, mkdirat: SYS_mkdirat,
    faccessat: SYS_faccessat, faccessat2: SYS_faccessat2, openat: SYS_openat,
    pread64: SYS_pread64, preadv: SYS_preadv, pwrite64: SYS_pwrite64, pwritev: SYS_pwritev,
    read: SYS_read, readlinkat: SYS_readlinkat, readv: SYS_readv, renameat: SYS_renameat,
    renameat2: SYS_renameat2, statfs: SYS_statfs, statx: SYS_statx, unlinkat: SYS_unlinkat,
    write: SYS_write, writev: SYS_writev, dup: SYS_dup, dup3: SYS_dup3,
    // Sockets.
    accept: SYS_accept, accept4: SYS_accept4, bind: SYS_bind, connect: SYS_connect,
    getpeername: SYS_getpeername, getsockname: SYS_getsockname, getsockopt: SYS_getsockopt,
    listen: SYS_listen, recvfrom: SYS_recvfrom, recvmmsg: SYS_recvmmsg, recvmsg: SYS_recvmsg,
    sendmmsg: SYS_sendmmsg, sendmsg: SYS_sendmsg, sendto: SYS_sendto,
    setsockopt: SYS_setsockopt, shutdown: SYS_shutdown, socketpair: SYS_socketpair,
    // Waiting.
    clock_nanosleep: SYS_clock_nanosleep, epoll_create1: SYS_epoll_create1,
    epoll_ctl: SYS_epoll_ctl, epoll_pwait: SYS_epoll_pwait, epoll_pwait2: SYS_epoll_pwait2,
    eventfd2: SYS_eventfd2, inotify_add_watch: SYS_inotify_add_watch,
    inotify_init1: SYS_inotify_init1, inotify_rm_watch: SYS_inotify_rm_watch,
    nanosleep: SYS_nanosleep, pipe2: SYS_pipe2, ppoll: SYS_ppoll, pselect6: SYS_pselect6,
    restart_syscall: SYS_restart_syscall,
    // Memory, threads, signals, time, and who this is.
    brk: SYS_brk, clock_getres: SYS_clock_getres, clock_gettime: SYS_clock_gettime,
    exit: SYS_exit, exit_group: SYS_exit_group, futex: SYS_futex, getegid: SYS_getegid,
    geteuid: SYS_geteuid, getgid: SYS_getgid, getpid: SYS_getpid, getppid: SYS_getppid,
    getrandom: SYS_getrandom, gettid: SYS_gettid, gettimeofday: SYS_gettimeofday,
    getuid: SYS_getuid, madvise: SYS_madvise, membarrier: SYS_membarrier,
    mincore: SYS_mincore, mremap: SYS_mremap, munmap: SYS_munmap, prctl: SYS_prctl,
    prlimit64: SYS_prlimit64, rseq: SYS_rseq, rt_sigaction: SYS_rt_sigaction,
    rt_sigprocmask: SYS_rt_sigprocmask, rt_sigreturn: SYS_rt_sigreturn,
    rt_sigtimedwait: SYS_rt_sigtimedwait, sched_getaffinity: SYS_sched_getaffinity,
    sched_yield: SYS_sched_yield, set_robust_list: SYS_set_robust_list,
    set_tid_address: SYS_set_tid_address, sigaltstack: SYS_sigaltstack,
    sysinfo: SYS_sysinfo, umask: SYS_umask, uname: SYS_uname,
);

/// The older spellings that one processor has besides.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const OLDER: Calls = calls!(
    access: SYS_access, arch_prctl: SYS_arch_prctl, chmod: SYS_chmod, dup2: SYS_dup2,
    epoll_wait: SYS_epoll_wait, getrlimit: SYS_getrlimit, lstat: SYS_lstat, mkdir: SYS_mkdir,
    newfstatat: SYS_newfstatat, open: SYS_open, pipe: SYS_pipe, poll: SYS_poll,
    readlink: SYS_readlink, rename: SYS_rename, rmdir: SYS_rmdir, select: SYS_select,
    setrlimit: SYS_setrlimit, stat: SYS_stat, time: SYS_time, unlink: SYS_unlink,
);
#[cfg(not(target_arch = "x86_64"))]
const OLDER: Calls = calls!(newfstatat: SYS_newfstatat);

/// What is called until the capture is attached, and the process settles.
const ALLOWED_ONCE: Calls = calls!(
    bpf: SYS_bpf,
    capget: SYS_capget,
    capset: SYS_capset,
    seccomp: SYS_seccomp,
);

/// The commands of bpf(2) that read and write a map: which sockets are heard, and how much was.
const MAP_COMMANDS: [u64; 4] = [1, 2, 3, 4];

/// From now on only what the agent calls, in this thread and those that it makes.
pub(super) fn limit() -> Limit {
    let Ok(processor) = TargetArch::try_from(std::env::consts::ARCH) else {
        return Limit::Absent("not known for this processor".into());
    };
    let built = first().and_then(|rules| {
        let otherwise = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
        program(rules, otherwise, SeccompAction::Allow, processor)
    });
    match built.and_then(apply) {
        Ok(()) => Limit::On("on".into()),
        Err(error) => Limit::Failed(error),
    }
}

/// From now on nothing is attached either, and no limit taken back.
pub(super) fn limit_further(unix_sockets: bool) -> Result<(), String> {
    let processor = TargetArch::try_from(std::env::consts::ARCH).map_err(|e| crate::say(&e))?;
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    apply(program(second(unix_sockets)?, SeccompAction::Allow, refused, processor)?)
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn first() -> Result<Rules, String> {
    let mut rules: Rules = [ALLOWED, OLDER, ALLOWED_ONCE]
        .into_iter()
        .flatten()
        .map(|(_, number)| (*number, Vec::new()))
        .collect();
    let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6].map(bits);
    rules.insert(libc::SYS_socket, any_of(0, families)?);
    rules.insert(libc::SYS_ioctl, any_of(1, IOCTLS)?);
    // A thread, in the namespaces of this one. The newer call cannot be looked into.
    rules.insert(libc::SYS_clone, all([[without(0, NAMESPACES)?].into()])?);
    // What was written is not executed.
    let no_write = without(2, bits(libc::PROT_WRITE))?;
    let no_execution = without(2, bits(libc::PROT_EXEC))?;
    rules.insert(libc::SYS_mmap, all([[no_write].into(), [no_execution.clone()].into()])?);
    rules.insert(libc::SYS_mprotect, all([[no_execution].into()])?);
    for signal in [libc::SYS_tgkill, libc::SYS_kill] {
        // To end itself.
        rules.insert(signal, any_of(0, [process::id().into()])?);
    }
    Ok(rules)
}

fn second(unix_sockets: bool) -> Result<Rules, String> {
    let commands: Result<Vec<_>, _> = MAP_COMMANDS.iter().map(|c| when(0, Is::Ne, *c)).collect();
    let name = when(0, Is::Ne, bits(libc::PR_SET_NAME))?;
    let mut rules = Rules::from([
        (libc::SYS_bpf, all([commands?])?),
        (libc::SYS_seccomp, Vec::new()),
        (libc::SYS_capset, Vec::new()),
        // Threads name themselves; the memory stays private.
        (libc::SYS_prctl, all([[name].into()])?),
        // Limits are read.
        (libc::SYS_prlimit64, all([[wide(2, Is::Ne, 0)?].into()])?),
    ]);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_setrlimit, Vec::new());
    if !unix_sockets {
        rules.insert(libc::SYS_socket, any_of(0, [bits(libc::AF_UNIX)])?);
    }
    Ok(rules)
}

/// Flags of clone(2) that make namespaces.
const NAMESPACES: u64 = (libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWUTS) as u64;

/// What the libraries ask of sockets, files and standard error.
const IOCTLS: [u64; 3] = [libc::FIONBIO, libc::FIOCLEX, libc::TCGETS];

/// A C constant as the argument of a call.
fn bits(constant: libc::c_int) -> u64 {
    constant.unsigned_abs().into()
}

/// An argument with one of these values.
fn any_of(argument: u8, values: impl IntoIterator<Item = u64>) -> Result<Vec<SeccompRule>, String> {
    values.into_iter().map(|value| rule(vec![when(argument, Is::Eq, value)?])).collect()
}

/// One of these groups of conditions, all of which hold.
fn all<const N: usize>(groups: [Vec<SeccompCondition>; N]) -> Result<Vec<SeccompRule>, String> {
    groups.into_iter().map(rule).collect()
}

fn rule(conditions: Vec<SeccompCondition>) -> Result<SeccompRule, String> {
    SeccompRule::new(conditions).map_err(|error| crate::say(&error))
}

/// An argument that has none of these bits.
fn without(argument: u8, bits: u64) -> Result<SeccompCondition, String> {
    when(argument, Is::MaskedEq(bits), 0)
}

fn when(argument: u8, is: Is, value: u64) -> Result<SeccompCondition, String> {
    SeccompCondition::new(argument, Width::Dword, is, value).map_err(|error| crate::say(&error))
}

/// A pointer.
fn wide(argument: u8, is: Is, value: u64) -> Result<SeccompCondition, String> {
    SeccompCondition::new(argument, Width::Qword, is, value).map_err(|error| crate::say(&error))
}

fn program(
    rules: Rules,
    otherwise: SeccompAction,
    matched: SeccompAction,
    processor: TargetArch,
) -> Result<BpfProgram, String> {
    SeccompFilter::new(rules, otherwise, matched, processor)
        .and_then(BpfProgram::try_from)
        .map_err(|error| crate::say(&error))
}

fn apply(program: BpfProgram) -> Result<(), String> {
    apply_filter_all_threads(&program).map_err(|error| crate::say(&error))
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        env,
        fs::File,
        net::{TcpListener, ToSocketAddrs},
        os::unix::net::UnixListener,
        process::{Command, Stdio},
        thread,
    };

    use rustix::{
        fs::{MemfdFlags, memfd_create},
        io::Errno,
        net::{AddressFamily, SocketType, socket},
        process::{DumpableBehavior, set_dumpable_behavior},
        thread::{CapabilitySet, CapabilitySets, set_capabilities},
    };
    use serde_json::Value;

    use super::*;

    const PROFILE: &str = include_str!("../../daemonset/components/seccomp/profile.json");

    #[test]
    fn the_shipped_profile_allows_what_the_agent_allows_itself() {
        let profile: Value = serde_json::from_str(PROFILE).unwrap();
        let rules = profile["syscalls"].as_array().unwrap();
        let names = rules.iter().flat_map(|rule| rule["names"].as_array().unwrap());
        let names: BTreeSet<_> = names.filter_map(Value::as_str).collect();
        for (name, _) in [ALLOWED, OLDER, ALLOWED_ONCE].into_iter().flatten() {
            assert!(names.contains(name), "{name} is not in the profile");
        }
        for name in ["socket", "ioctl", "clone", "mmap", "mprotect", "tgkill", "kill"] {
            assert!(names.contains(name), "{name} is not in the profile");
        }
        for name in ["ptrace", "mount", "setns", "unshare", "perf_event_open", "init_module"] {
            assert!(!names.contains(name), "{name} is in the profile");
        }
    }

    /// A process of its own, since limits cannot be taken back.
    #[test]
    fn what_is_not_allowed_fails_and_kills_nothing() {
        let myself = env::current_exe().unwrap();
        let child = Command::new(myself)
            .args(["--exact", "confine::calls::tests::limited", "--ignored", "--nocapture"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(child.status.success(), "{child:?}");
        assert!(String::from_utf8_lossy(&child.stdout).contains("1 passed"), "{child:?}");
    }

    #[test]
    #[ignore = "run by the test above"]
    fn limited() {
        let folder = tempfile::tempdir().unwrap();
        let netlink = || socket(AddressFamily::NETLINK, SocketType::RAW, None).unwrap_err();
        if let Limit::Absent(_) = limit() {
            return;
        }
        let program = Command::new("/bin/true").status().unwrap_err();
        assert_eq!(program.raw_os_error(), Some(libc::ENOSYS));
        assert_eq!(netlink(), Errno::NOSYS);
        assert_eq!(memfd_create("x", MemfdFlags::empty()).unwrap_err(), Errno::NOSYS);
        // What an agent does.
        thread::scope(|scope| scope.spawn(|| ()).join()).unwrap();
        UnixListener::bind(folder.path().join("a.sock")).unwrap();
        TcpListener::bind("127.0.0.1:0").unwrap();
        "localhost:1".to_socket_addrs().unwrap();
        let file = File::create(folder.path().join("file")).unwrap();
        file.lock().unwrap();
        file.set_len(4096).unwrap();
        file.sync_all().unwrap();

        limit_further(false).unwrap();
        UnixListener::bind(folder.path().join("b.sock")).unwrap_err();
        TcpListener::bind("127.0.0.1:0").unwrap();
        let none = CapabilitySet::empty();
        let nothing = CapabilitySets { effective: none, permitted: none, inheritable: none };
        assert_eq!(set_capabilities(None, nothing), Err(Errno::PERM));
        assert_eq!(set_dumpable_behavior(DumpableBehavior::Dumpable), Err(Errno::PERM));
        // Not even in other threads.
        let listening = thread::spawn(move || UnixListener::bind(folder.path().join("c.sock")));
        listening.join().unwrap().unwrap_err();
    }
}
