//! A rig's control groups: one group of its own in every hierarchy, which the rig sees as the root.
//!
//! All processes of the rig are counted there, kubelet and containers make their groups below it,
//! and one removal from outside takes all of them away.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::folder::Folder;

/// One mounted hierarchy of control groups.
pub(crate) struct Mount {
    /// Where it is mounted.
    pub(crate) point: PathBuf,
    /// `cgroup` (version 1) or `cgroup2`.
    pub(crate) kind: String,
    /// What selects this hierarchy: controllers or a name; empty for version 2.
    pub(crate) options: String,
}

/// The hierarchies mounted now.
pub(crate) fn mounts() -> anyhow::Result<Vec<Mount>> {
    let info = fs::read_to_string("/proc/self/mountinfo").context("cannot read the mounts")?;
    Ok(info.lines().filter_map(parse_mount).collect())
}

/// One line of proc_pid_mountinfo(5): `id parent dev root point flags... - kind source options`.
fn parse_mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let point = before.split(' ').nth(4)?;
    let mut after = after.split(' ');
    let kind = after.next()?;
    let all = after.nth(1)?;
    let selects = |option: &&str| {
        !matches!(*option, "rw" | "ro" | "xattr" | "clone_children" | "noprefix")
            && !option.starts_with("release_agent=")
    };
    let options = match kind {
        "cgroup" => all.split(',').filter(selects).collect::<Vec<_>>().join(","),
        "cgroup2" => String::new(),
        _ => return None,
    };
    Some(Mount { point: point.into(), kind: kind.into(), options })
}

/// Makes the rig's groups, moves this process into them and makes them the root of what it sees.
pub(crate) fn enter(rig: &Folder) -> anyhow::Result<()> {
    let own = fs::read_to_string("/proc/self/cgroup").context("cannot read the control groups")?;
    let mounts = mounts()?;
    let unified = mounts.len() == 1;
    let mut groups = Vec::new();
    for mount in mounts {
        let Some(parent) = own_group(&own, &mount) else { continue };
        let group = parent.join(format!("pullfuse-rig-{}", rig.id()));
        fs::create_dir(&group).with_context(|| format!("cannot make {}", group.display()))?;
        // Written at once: whatever fails from here on, a sweep finds the group.
        groups.push(group.to_string_lossy().into_owned());
        fs::write(rig.path("cgroups"), groups.join("\n"))?;
        for file in ["cpuset.cpus", "cpuset.mems"] {
            // A version 1 group without processors takes no process.
            if mount.kind == "cgroup" && group.join(file).exists() {
                fs::write(group.join(file), fs::read(parent.join(file))?)?;
            }
        }
        join(&group)?;
    }
    #[allow(deprecated, reason = "unsafe only for file tables, which stay shared")]
    rustix::thread::unshare(rustix::thread::UnshareFlags::NEWCGROUP)
        .context("cannot leave the host's control groups: this needs root")?;
    if let (true, Some(group)) = (unified, groups.first()) {
        delegate(Path::new(group))?;
    }
    Ok(())
}

/// Version 2 hands controllers to children only where no process sits: everything of the rig that is
/// not a container moves one level down.
fn delegate(group: &Path) -> anyhow::Result<()> {
    let leaf = group.join("rig");
    fs::create_dir(&leaf)?;
    join(&leaf)?;
    for controller in fs::read_to_string(group.join("cgroup.controllers"))?.split_whitespace() {
        fs::write(group.join("cgroup.subtree_control"), format!("+{controller}"))
            .with_context(|| format!("cannot use the controller {controller}"))?;
    }
    Ok(())
}

fn join(group: &Path) -> anyhow::Result<()> {
    let file = group.join("cgroup.procs");
    let mut procs = fs::OpenOptions::new().write(true).open(&file)?;
    procs.write_all(b"0").with_context(|| format!("cannot write {}", file.display()))
}

/// Where this process is in a hierarchy, from lines like `4:memory:/a/b` and `0::/a/b`.
fn own_group(own: &str, mount: &Mount) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let same = parts.next()? == mount.options;
        parts.next().filter(|_| same)
    })?;
    Some(mount.point.join(path.trim_start_matches('/')))
}

/// Removes the groups of a rig whose processes are gone.
pub(crate) fn remove(rig: &Folder) -> anyhow::Result<()> {
    let groups = match fs::read_to_string(rig.path("cgroups")) {
        Ok(groups) => groups,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).context("cannot read the rig's control groups"),
    };
    // The kernel lets go of a group a moment after its last process.
    let deadline = Instant::now() + Duration::from_secs(30);
    for group in groups.lines().map(Path::new) {
        while let Err(error) = remove_tree(group) {
            if Instant::now() > deadline {
                return Err(error).with_context(|| format!("cannot remove {}", group.display()));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

fn remove_tree(group: &Path) -> std::io::Result<()> {
    let entries = match fs::read_dir(group) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}

#[cfg(test)]
mod tests {
    use super::{Mount, own_group, parse_mount};
    use std::path::PathBuf;

    #[test]
    fn a_hierarchy_is_told_by_its_controllers() {
        let mount = parse_mount(
            "35 31 0:32 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,xattr,cpu,cpuacct",
        )
        .unwrap();
        assert_eq!(mount.options, "cpu,cpuacct");
        let own = "9:name=systemd:/\n4:cpu,cpuacct:/a/b\n0::/c";
        assert_eq!(own_group(own, &mount), Some(PathBuf::from("/sys/fs/cgroup/cpu,cpuacct/a/b")));
    }

    #[test]
    fn version_2_has_no_controllers_in_its_name() {
        let line = "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate";
        let mount = parse_mount(line).unwrap();
        assert_eq!(own_group("1:cpu:/x\n0::/a", &mount), Some("/sys/fs/cgroup/a".into()));
    }

    #[test]
    fn other_mounts_and_unknown_hierarchies_are_left_out() {
        assert!(parse_mount("31 23 0:28 / /tmp rw - tmpfs tmpfs rw").is_none());
        let mount = Mount { point: "/x".into(), kind: "cgroup".into(), options: "rdma".into() };
        assert!(own_group("0::/a", &mount).is_none());
    }
}
