//! Process 1 of a rig: when it ends, the kernel ends every process, mount and interface of the rig.

use std::io::Read;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::Context;

use crate::folder::Folder;

mod dns;
mod forward;
mod mounts;
mod network;
mod programs;
mod server;

/// Joins the rig's control groups and becomes `unshare`, which starts [`run`] in fresh namespaces.
/// Comes back only with an error.
pub fn enter(folder: &Path, detached: bool) -> anyhow::Result<()> {
    let rig = Folder::open(folder)?;
    if detached {
        // A terminal that closes must not take a rig along that was started by hand.
        rustix::process::setsid().context("cannot start a session")?;
    }
    crate::cgroups::enter(&rig)?;
    let mut command = Command::new("unshare");
    command
        .args([
            "--pid",
            "--fork",
            "--kill-child",
            "--mount",
            "--mount-proc",
            "--net",
            "--uts",
            "--",
        ])
        .arg(std::env::current_exe().context("cannot find this program's own path")?)
        .arg("init")
        .arg(folder);
    if detached {
        command.arg("--detached");
    }
    Err(command.exec()).context("cannot run `unshare`: install util-linux")
}

/// Sets the namespaces up and serves the control socket until the owner goes away, which closes
/// standard input, or the process is killed.
pub fn run(folder: &Path, detached: bool) -> anyhow::Result<()> {
    let folder = Folder::open(folder)?;
    // Held as long as this process lives: this is how others tell a live rig from a dead one.
    let _alive = folder.lock_as_init()?;
    if !detached {
        thread::spawn(|| {
            let mut stdin = std::io::stdin().lock();
            let mut byte = [0];
            while stdin.read(&mut byte).is_ok_and(|read| read > 0) {}
            std::process::exit(0);
        });
    }
    rustix::system::sethostname(crate::NODE.as_bytes()).context("cannot set the host name")?;
    mounts::set_up(&folder)?;
    network::set_up()?;
    dns::serve()?;
    let programs = programs::Programs::new(&folder.path("log"));
    let reaper = programs.clone();
    thread::spawn(move || reaper.reap());
    let socket = folder.control_socket();
    let listener = UnixListener::bind(&socket)
        .with_context(|| format!("cannot listen on {}", socket.display()))?;
    server::serve(&listener, &programs);
    Ok(())
}
