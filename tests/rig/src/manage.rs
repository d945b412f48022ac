//! All rigs of this machine: finding them, ending them, sweeping up after dead ones.

use std::fs;
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::control::Control;
use crate::folder::{self, Folder};
use crate::{cgroups, config};

/// How long the kernel may take to end all processes of a rig.
const END_DEADLINE: Duration = Duration::from_secs(120);

/// A rig that some process started and that lives.
#[derive(Debug)]
pub struct RunningRig {
    folder: Folder,
    init: Pid,
}

impl RunningRig {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> String {
        self.folder.id()
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.root()
    }

    /// The process id of its init, whose namespaces are the rig's.
    #[must_use]
    pub fn init(&self) -> i32 {
        self.init.as_raw_nonzero().get()
    }

    /// The kubeconfig with which the host reaches it.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path("config/admin.kubeconfig")
    }

    /// Ends it and removes everything that was its own.
    pub fn stop(self) -> anyhow::Result<()> {
        let init = pidfd_open(self.init, PidfdFlags::empty()).context("the rig is gone")?;
        // The lock and the process belong together: checked after the process can no longer change.
        if !self.folder.is_alive() {
            bail!("the rig {} is gone", self.id());
        }
        kill(&init)?;
        let _lock = folder::lock_rigs()?;
        remove(&self.folder)
    }
}

/// All live rigs.
pub fn list() -> anyhow::Result<Vec<RunningRig>> {
    let alive = |folder: Folder| {
        let init = Control::new(folder.control_socket()).init().ok()?;
        folder.is_alive().then_some(RunningRig { folder, init })
    };
    Ok(Folder::all()?.into_iter().filter_map(alive).collect())
}

/// The live rig with this name, or the only one if no name is given.
pub fn find(name: Option<&str>) -> anyhow::Result<RunningRig> {
    let mut rigs = list()?;
    rigs.retain(|rig| name.is_none_or(|name| rig.id() == name));
    match (rigs.pop(), rigs.is_empty(), name) {
        (Some(rig), true, _) => Ok(rig),
        (None, _, Some(name)) => bail!("no rig is called {name}: see `rig list`"),
        (None, _, None) => bail!("no rig runs: start one with `rig start`"),
        (Some(_), false, _) => bail!("several rigs run: say which with --name"),
    }
}

/// Removes what dead rigs left. The caller holds the lock on all rigs.
pub(crate) fn sweep() {
    for folder in Folder::all().unwrap_or_default() {
        if !folder.is_alive()
            && let Err(error) = remove(&folder)
        {
            // The next start tries again; this one has nothing to do with it.
            eprintln!("rig: cannot sweep {}: {error:#}", folder.root().display());
        }
    }
}

/// Ends a rig's init and with it everything in the rig; returns when all of it is gone.
pub(crate) fn kill(init: &OwnedFd) -> anyhow::Result<()> {
    match pidfd_send_signal(init, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => return Err(error).context("cannot kill the rig's init"),
    }
    let deadline = Instant::now() + END_DEADLINE;
    loop {
        let mut descriptors = [PollFd::from_borrowed_fd(init.as_fd(), PollFlags::IN)];
        let step = Timespec { tv_sec: 1, tv_nsec: 0 };
        match poll(&mut descriptors, Some(&step)) {
            Ok(ready) if ready > 0 => return Ok(()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for the rig's end"),
        }
        if Instant::now() > deadline {
            bail!("the rig's processes did not end within {END_DEADLINE:?}");
        }
    }
}

/// Removes the control groups and the folder of a rig whose processes are gone.
pub(crate) fn remove(folder: &Folder) -> anyhow::Result<()> {
    cgroups::remove(folder)?;
    let root = folder.root();
    match fs::remove_dir_all(root) {
        // Somebody else's sweep was faster.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result.with_context(|| format!("cannot remove {}", root.display())),
    }
}

/// Copies a rig's logs to where they stay.
pub(crate) fn keep_logs(folder: &Folder) -> anyhow::Result<PathBuf> {
    let kept = folder::cache()?.join("log").join(format!("rig-{}", folder.id()));
    let kept = if kept.exists() { kept.with_extension(config::pki::random_hex(2)?) } else { kept };
    fs::create_dir_all(&kept)?;
    for entry in fs::read_dir(folder.path("log"))? {
        let entry = entry?;
        fs::copy(entry.path(), kept.join(entry.file_name()))?;
    }
    Ok(kept)
}
