//! A rig's life: how it starts, how it ends.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fmt, thread};

use anyhow::{Context, bail};
use rustix::process::{PidfdFlags, pidfd_open};
use tokio::sync::Mutex;

use crate::control::Control;
use crate::folder::Folder;
use crate::options::Options;
use crate::{config, folder, manage, parts, seed};

/// How long the namespaces may take to come up.
const INIT_DEADLINE: Duration = Duration::from_secs(60);

/// A running Kubernetes node. Dropping it ends it.
#[must_use = "a rig ends when it is dropped"]
pub struct Rig {
    pub(crate) folder: Folder,
    pub(crate) parts: PathBuf,
    pub(crate) control: Control,
    pub(crate) client: kube::Client,
    /// Host addresses of ports inside.
    pub(crate) forwards: Mutex<BTreeMap<u16, SocketAddr>>,
    /// The rig's network namespace.
    pub(crate) network: File,
    /// The rig's init; a process id alone could be someone else's by the time it is used.
    init: OwnedFd,
    /// `unshare`, the parent of init. Its standard input is how init learns of our death.
    child: Option<Child>,
}

impl Rig {
    /// Starts a rig and waits until pods can run in it.
    ///
    /// When this process ends, even by SIGKILL, the rig ends too.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let rig = Self::launch(&options, false).await?;
        rig.boot(&options).await?;
        Ok(rig)
    }

    /// Starts a rig that outlives this process, and returns its folder.
    pub async fn start_detached(options: Options) -> anyhow::Result<PathBuf> {
        let mut rig = Self::launch(&options, true).await?;
        rig.boot(&options).await?;
        rig.child = None;
        Ok(rig.folder.root().to_owned())
    }

    /// Ends the rig and removes everything that was its own.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        tokio::task::spawn_blocking(move || self.end()).await?
    }

    /// The rig's folder on the host; `log/` and `config/` are in it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.root()
    }

    /// The folder of the programs the rig is made of: `bin/`, `cni/`, `containerd-1.6/`.
    #[must_use]
    pub fn parts(&self) -> &Path {
        &self.parts
    }

    /// A path on the host of what is at `inside` in the rig, for paths under /run and /var.
    #[must_use]
    pub fn host_path(&self, inside: &str) -> PathBuf {
        self.folder.path(inside.trim_start_matches('/'))
    }

    /// Makes the namespaces; nothing of Kubernetes runs in them yet.
    async fn launch(options: &Options, detached: bool) -> anyhow::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            bail!("a rig needs root: it makes namespaces, mounts and control groups");
        }
        let program = find_program()?;
        let parts = parts::build().await?.to_owned();
        let id = match &options.name {
            Some(name) => name.clone(),
            None => config::pki::random_hex(4)?,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let api_server = listener.local_addr()?;

        let lock = tokio::task::spawn_blocking(|| {
            let lock = folder::lock_rigs()?;
            manage::sweep();
            Ok::<_, anyhow::Error>(lock)
        })
        .await??;
        let folder = Folder::create(&id)?;
        config::write(&folder, &parts, options, api_server)?;
        seed::write(&folder, &parts)?;
        let mut child = spawn_init(&program, &folder, detached)?;
        let control = Control::new(folder.control_socket());
        let pid = wait_for_init(&mut child, &folder, &control).await?;
        let init = pidfd_open(pid, PidfdFlags::empty()).context("the rig's init went away")?;
        let network = File::open(format!("/proc/{}/ns/net", pid.as_raw_nonzero()))?;
        drop(lock);

        let client = crate::kubernetes::client(&folder.path("config/admin.kubeconfig")).await?;
        let forwards = Mutex::new(BTreeMap::from([(crate::port::API_SERVER, api_server)]));
        let rig =
            Self { folder, parts, control, client, forwards, network, init, child: Some(child) };
        rig.control.forward(&listener, crate::port::API_SERVER).await?;
        Ok(rig)
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        // The init of a process namespace becomes waitable only after all of its processes are gone.
        manage::kill(&self.init)?;
        child.wait().context("cannot wait for the rig's end")?;
        manage::remove(&self.folder)
    }
}

impl fmt::Debug for Rig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rig").field(&self.folder.root()).finish()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if self.child.is_none() {
            return;
        }
        if thread::panicking() {
            match manage::keep_logs(&self.folder) {
                Ok(kept) => eprintln!("rig: the logs of the failed run are in {}", kept.display()),
                Err(error) => eprintln!("rig: the logs are lost: {error:#}"),
            }
        }
        if let Err(error) = self.end() {
            eprintln!("rig: {error:#}; the next start removes what is left");
        }
    }
}

fn spawn_init(program: &Path, folder: &Folder, detached: bool) -> anyhow::Result<Child> {
    let log = File::create(folder.path("log/init.log"))?;
    let mut command = Command::new(program);
    command.arg("enter").arg(folder.root());
    if detached {
        command.arg("--detached");
    } else {
        // Ctrl-C in a terminal goes to the owner alone; the rig follows when the owner is gone.
        command.process_group(0);
    }
    command
        .stdin(if detached { Stdio::null() } else { Stdio::piped() })
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))
}

async fn wait_for_init(
    child: &mut Child,
    folder: &Folder,
    control: &Control,
) -> anyhow::Result<rustix::process::Pid> {
    let deadline = Instant::now() + INIT_DEADLINE;
    loop {
        if let Ok(pid) = control.init() {
            return Ok(pid);
        }
        let late = Instant::now() > deadline;
        if late || child.try_wait()?.is_some() {
            let _ = child.kill();
            let log = fs::read_to_string(folder.path("log/init.log")).unwrap_or_default();
            bail!("the rig's namespaces did not come up: {}", log.trim());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The `rig` program, which cargo puts beside the tests' folder.
fn find_program() -> anyhow::Result<PathBuf> {
    if let Some(path) = env::var_os("PULLFUSE_RIG") {
        return Ok(path.into());
    }
    let own = env::current_exe().context("cannot find this program's own path")?;
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("rig"))
        .find(|path| path.is_file())
        .context("the program `rig` is missing: run `cargo build -p pullfuse-rig`")
}
