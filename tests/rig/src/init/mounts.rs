//! The rig's view of the file system: the real default paths, but private ones.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Context;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
};

use crate::NODE_ADDRESS;
use crate::folder::Folder;

/// Kernel settings that a kubelet insists on. They are the whole machine's, so the rig shows the
/// kubelet files that say what it wants to see, and the machine's settings stay as they are.
const KERNEL_SETTINGS: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Mounts everything in the fresh mount namespace.
pub(crate) fn set_up(folder: &Folder) -> anyhow::Result<()> {
    let cgroups = crate::cgroups::mounts()?;
    fresh_sys(&cgroups)?;
    for (name, value) in KERNEL_SETTINGS {
        let file = folder.path(&format!("sysctl/{}", name.replace('/', "_")));
        fs::write(&file, format!("{value}\n"))?;
        let target = Path::new("/proc/sys").join(name);
        if target.exists() {
            mount_bind(&file, &target)
                .with_context(|| format!("cannot cover {}", target.display()))?;
        }
    }
    cover_resolver(folder)?;
    let (run, var) = (folder.path("run"), folder.path("var"));
    symlink("/run", var.join("run")).context("cannot link /var/run")?;
    for (from, to) in [(run, "/run"), (var, "/var")] {
        mount_bind(&from, to).with_context(|| format!("cannot mount over {to}"))?;
    }
    // Shared among the rig's own processes only: pods' volumes have to reach their containers.
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    mount_change("/", shared).context("cannot make mounts shared")
}

/// Sends the rig's programs and pods to the rig's own name server.
fn cover_resolver(folder: &Folder) -> anyhow::Result<()> {
    let text = format!("nameserver {NODE_ADDRESS}\n");
    let file = folder.path("config/resolv.conf");
    fs::write(&file, &text)?;
    let Ok(target) = fs::canonicalize("/etc/resolv.conf") else { return Ok(()) };
    if let Ok(below) = target.strip_prefix("/run") {
        // A link into /run, which the rig replaces as a whole.
        let target = folder.path("run").join(below);
        fs::create_dir_all(target.parent().unwrap_or(&target))?;
        return fs::write(target, text).context("cannot write resolv.conf");
    }
    mount_bind(&file, &target).with_context(|| format!("cannot cover {}", target.display()))
}

/// Mounts /sys anew, so that it shows this network's interfaces and this rig's control groups.
fn fresh_sys(cgroups: &[crate::cgroups::Mount]) -> anyhow::Result<()> {
    let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    unmount("/sys", UnmountFlags::DETACH).context("cannot unmount /sys")?;
    mount("sysfs", "/sys", "sysfs", quiet, None).context("cannot mount /sys")?;
    // What a node usually has; a kernel without one of them is fine too.
    for (kind, path) in [("bpf", "/sys/fs/bpf"), ("tracefs", "/sys/kernel/tracing")] {
        let _ = mount(kind, path, kind, quiet, None);
    }
    if cgroups.iter().any(|cgroup| cgroup.point != Path::new("/sys/fs/cgroup")) {
        mount("tmpfs", "/sys/fs/cgroup", "tmpfs", quiet, None)
            .context("cannot mount /sys/fs/cgroup")?;
    }
    for cgroup in cgroups {
        fs::create_dir_all(&cgroup.point)?;
        let options = std::ffi::CString::new(cgroup.options.as_str())?;
        let options = (!cgroup.options.is_empty()).then_some(options.as_c_str());
        mount(cgroup.kind.as_str(), &cgroup.point, cgroup.kind.as_str(), quiet, options)
            .with_context(|| format!("cannot mount {}", cgroup.point.display()))?;
    }
    Ok(())
}
