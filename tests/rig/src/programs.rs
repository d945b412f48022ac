//! The programs inside a rig, as a test handles them.

use std::fs;

use anyhow::{Context, bail};

use crate::protocol::{Answer, Exit, Program, ProgramStatus, Request};
use crate::rig::Rig;
use rustix::process::Signal;

impl Rig {
    /// Runs a program inside the rig; its output goes to `log/<name>.log`.
    ///
    /// The parts of the rig are programs too: `etcd`, `registry`, `containerd`, `kube-apiserver`,
    /// `kube-controller-manager`, `kube-scheduler` and `kubelet`.
    pub async fn spawn(&self, program: Program) -> anyhow::Result<()> {
        self.control.order(&Request::Start { program }).await
    }

    /// Sends a signal to a running program.
    pub async fn kill(&self, name: &str, signal: Signal) -> anyhow::Result<()> {
        let signal = signal.as_raw();
        self.control.order(&Request::Signal { name: name.to_owned(), signal }).await
    }

    /// Waits until a program has ended.
    pub async fn wait_exit(&self, name: &str) -> anyhow::Result<Exit> {
        match self.control.call(&Request::Wait { name: name.to_owned() }).await? {
            Answer::Exited(exit) => Ok(exit),
            other => bail!("the rig answered {other:?}"),
        }
    }

    /// Ends a program (SIGTERM, after 10 seconds SIGKILL) if it runs, and starts it again. Returns
    /// when a part of the rig takes requests again: a kubelet, for one, gives up if it finds no
    /// containerd.
    pub async fn restart(&self, name: &str) -> anyhow::Result<()> {
        self.control.order(&Request::Restart { name: name.to_owned() }).await?;
        self.serving(name).await
    }

    /// Every program started so far.
    pub async fn programs(&self) -> anyhow::Result<Vec<ProgramStatus>> {
        match self.control.call(&Request::List).await? {
            Answer::Programs(programs) => Ok(programs),
            other => bail!("the rig answered {other:?}"),
        }
    }

    /// What a program wrote so far, over all its runs.
    pub fn log(&self, name: &str) -> anyhow::Result<String> {
        let path = self.folder.path("log").join(format!("{name}.log"));
        let log = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&log).into_owned())
    }
}
