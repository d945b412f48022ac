//! Where a rig keeps its files, and how others see whether it lives.

use std::env;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// A socket's path must fit into 108 bytes (unix(7)).
const LONGEST_SOCKET_PATH: usize = 107;

/// The folders of a rig that exist from the start.
const FOLDERS: [&str; 9] = [
    "log",
    "config",
    "config/certs.d",
    "config/cni",
    "config/manifests",
    "run",
    "run/lock",
    "var",
    "sysctl",
];

/// A rig's folder: `<cache>/rigs/<id>`.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Makes the folder of a new rig.
    pub(crate) fn create(id: &str) -> anyhow::Result<Self> {
        // The id becomes part of paths and of control groups' names.
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            bail!("a rig's name consists of letters, digits and hyphens: {id:?} does not");
        }
        let folder = Self { root: rigs()?.join(id) };
        let socket = folder.control_socket();
        if socket.as_os_str().len() > LONGEST_SOCKET_PATH {
            bail!(
                "{} is too long for a socket: set PULLFUSE_CACHE to a shorter path",
                socket.display()
            );
        }
        match fs::create_dir(&folder.root) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                bail!("a rig called {id} runs already: `rig stop --name {id}` ends it")
            }
            result => result.with_context(|| format!("cannot make {}", folder.root.display()))?,
        }
        for name in FOLDERS {
            fs::create_dir(folder.path(name))?;
        }
        // What programs expect of a /var.
        for name in ["log", "lib", "cache", "tmp"] {
            fs::create_dir(folder.path("var").join(name))?;
        }
        Ok(folder)
    }

    /// The folder of a rig that exists.
    pub(crate) fn open(root: &Path) -> anyhow::Result<Self> {
        if !root.is_dir() {
            bail!("there is no rig at {}", root.display());
        }
        Ok(Self { root: root.to_owned() })
    }

    /// The folders of all rigs, live and dead.
    pub(crate) fn all() -> anyhow::Result<Vec<Self>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(rigs()?)? {
            let path = entry?.path();
            if path.is_dir() {
                all.push(Self { root: path });
            }
        }
        all.sort_by(|a, b| a.root.cmp(&b.root));
        Ok(all)
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The rig's id, which is the folder's name.
    pub(crate) fn id(&self) -> String {
        self.root.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// A path below the folder.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// The socket on which the rig's init takes requests.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.path("control.sock")
    }

    /// Takes the lock that init holds for as long as the rig lives.
    pub(crate) fn lock_as_init(&self) -> anyhow::Result<File> {
        let lock = File::create(self.path("lock"))?;
        // Waits, because somebody may be looking whether this rig lives; no other init comes here.
        lock.lock().with_context(|| format!("cannot lock {}", self.root.display()))?;
        Ok(lock)
    }

    /// Whether the rig's init lives.
    pub(crate) fn is_alive(&self) -> bool {
        let Ok(lock) = File::open(self.path("lock")) else { return false };
        matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
    }
}

/// Where everything is kept that is worth keeping between runs.
pub(crate) fn cache() -> anyhow::Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("PULLFUSE_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("pullfuse")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/pullfuse")))
        .context("no place for the rig's files: set HOME or PULLFUSE_CACHE")
}

/// Held while a rig comes up or a dead one is swept, so that nobody sweeps a rig whose init has not
/// taken its lock yet.
pub(crate) fn lock_rigs() -> anyhow::Result<File> {
    let path = cache()?.join("rigs.lock");
    fs::create_dir_all(rigs()?)?;
    let lock = File::create(&path)?;
    lock.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(lock)
}

fn rigs() -> anyhow::Result<PathBuf> {
    let rigs = cache()?.join("rigs");
    fs::create_dir_all(&rigs).with_context(|| format!("cannot make {}", rigs.display()))?;
    Ok(rigs)
}
