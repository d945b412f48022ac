//! What the kernel and this process must offer for a capture, and what is missing.

use std::{fs, path::Path};

use thiserror::Error;

const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// The first kernel with ring buffers and with capabilities for BPF alone.
const OLDEST_KERNEL: (u32, u32) = (5, 8);
/// The first kernel that charges BPF memory to control groups and not to `RLIMIT_MEMLOCK`.
const NO_MEMLOCK_KERNEL: (u32, u32) = (5, 11);

/// A precondition that is not met, as a sentence that says how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Missing {
    /// The kernel is older than anything that works.
    #[error(
        "Linux {}.{} is too old to watch the CRI socket: 5.8 or newer is needed; {LOST}",
        .0.0, .0.1
    )]
    Kernel((u32, u32)),
    /// The kernel does not describe its types.
    #[error(
        "the kernel has no BTF (/sys/kernel/btf/vmlinux): it must be built with \
         CONFIG_DEBUG_INFO_BTF and /sys must be visible to the container; {LOST}"
    )]
    Btf,
    /// The process lacks a capability.
    #[error(
        "the capability {0} is missing: add it to the container's \
         securityContext.capabilities; {LOST}"
    )]
    Capability(&'static str),
    /// The kernel lets nobody read kernel memory.
    #[error(
        "the kernel is locked down (lockdown=confidentiality): programs may not read what is \
         sent; lockdown=integrity would allow it; {LOST}"
    )]
    Lockdown,
}

/// What every missing precondition means in the end.
const LOST: &str = "without it attempts are counted from pod status alone";

/// What is known about kernel and process before anything is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preflight {
    kernel: (u32, u32),
    btf: bool,
    capabilities: u64,
    lockdown: bool,
}

impl Preflight {
    /// Looks at the running kernel and this process.
    pub fn read() -> Self {
        Self::read_below(Path::new("/"), rustix::system::uname().release().to_bytes())
    }

    /// What cannot be read counts as fine: the kernel has the last word anyway.
    fn read_below(root: &Path, release: &[u8]) -> Self {
        let lockdown = fs::read_to_string(root.join("sys/kernel/security/lockdown"));
        let status = fs::read_to_string(root.join("proc/self/status")).ok();
        Self {
            kernel: version(release).unwrap_or(NO_MEMLOCK_KERNEL),
            btf: root.join("sys/kernel/btf/vmlinux").exists(),
            capabilities: status.as_deref().and_then(effective).unwrap_or(u64::MAX),
            lockdown: lockdown.is_ok_and(|text| text.contains("[confidentiality]")),
        }
    }

    /// Every precondition that is not met; empty when a capture may be tried.
    pub fn missing(&self) -> Vec<Missing> {
        let has = |capability: u32| self.capabilities >> capability & 1 == 1;
        let lacks = |capability| !has(capability) && !has(CAP_SYS_ADMIN);
        let Self { kernel, btf, capabilities: _, lockdown } = *self;
        [
            (kernel < OLDEST_KERNEL, Missing::Kernel(kernel)),
            (!btf, Missing::Btf),
            (lacks(CAP_BPF), Missing::Capability("CAP_BPF")),
            (lacks(CAP_PERFMON), Missing::Capability("CAP_PERFMON")),
            (lockdown, Missing::Lockdown),
        ]
        .into_iter()
        .filter_map(|(is_missing, missing)| is_missing.then_some(missing))
        .collect()
    }

    /// Whether the kernel counts BPF memory against `RLIMIT_MEMLOCK`, which is 64 KiB by default.
    pub fn needs_memlock(&self) -> bool {
        self.kernel < NO_MEMLOCK_KERNEL
    }
}

/// The two numbers that `uname -r` begins with.
fn version(release: &[u8]) -> Option<(u32, u32)> {
    let text = std::str::from_utf8(release).ok()?;
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The effective capabilities in a `/proc/PID/status`.
fn effective(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(release: &str, caps: &str, btf: bool, lockdown: Option<&str>) -> Preflight {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/self/status", &format!("Name:\tx\nCapPrm:\t0\nCapEff:\t{caps}\n"));
        if btf {
            write("sys/kernel/btf/vmlinux", "");
        }
        if let Some(lockdown) = lockdown {
            write("sys/kernel/security/lockdown", lockdown);
        }
        Preflight::read_below(root.path(), release.as_bytes())
    }

    const BOTH: &str = "000000c000000000";

    #[test]
    fn two_capabilities_and_btf_suffice() {
        for lockdown in [None, Some("[none] integrity confidentiality\n"), Some("none [integrity]")]
        {
            assert_eq!(node("6.1.0-18-amd64", BOTH, true, lockdown).missing(), []);
        }
        assert_eq!(node("5.10.0", "0000000000200000", true, None).missing(), []);
    }

    #[test]
    fn each_missing_precondition_is_one_sentence_with_its_cure_and_its_cost() {
        let lockdown = Some("none integrity [confidentiality]\n");
        let missing = node("5.4.0-1-amd64", "0", false, lockdown).missing();
        let words = [
            &["Linux 5.4", "5.8"][..],
            &["/sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF"],
            &["CAP_BPF", "securityContext"],
            &["CAP_PERFMON", "securityContext"],
            &["lockdown=confidentiality", "lockdown=integrity"],
        ];
        assert_eq!(missing.len(), words.len());
        for (missing, words) in missing.iter().zip(words) {
            let sentence = missing.to_string();
            for word in words.iter().chain(&["pod status"]) {
                assert!(sentence.contains(word), "lacks {word}: {sentence}");
            }
        }
    }

    #[test]
    fn only_kernels_before_5_11_need_locked_memory() {
        assert!(node("5.10.0-28-amd64", BOTH, true, None).needs_memlock());
        assert!(!node("5.11.0", BOTH, true, None).needs_memlock());
        assert!(!node("7.2", BOTH, true, None).needs_memlock());
    }
}
