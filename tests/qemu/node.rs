//! What a node has, as far as pulls need it: containerd and a registry.
//!
//! In: nothing. Out: containerd's socket and the names of images. Touches a folder of its own.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    thread,
};

use pullfuse_rig::{
    fake_registry::{Answer, FakeRegistry},
    images::{Image, Settings},
};
use tempfile::TempDir;

pub(crate) const USER: &str = "MARKER-SECRET-user";
pub(crate) const PASSWORD: &str = "MARKER-SECRET-right";

/// A running containerd. It ends when this is dropped.
pub(crate) struct Node {
    registry: FakeRegistry,
    containerd: Child,
    socket: PathBuf,
    _folder: TempDir,
}

impl Node {
    /// Returns when pulls are answered.
    pub(crate) fn start() -> Self {
        let registry = FakeRegistry::serve(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
        let image = Image::files([], &Settings::default()).unwrap();
        registry.set("fine", Answer::Image(image.clone()));
        registry.set("private", Answer::basic(USER, PASSWORD, Answer::Image(image)));
        let folder = TempDir::new().unwrap();
        let config = folder.path().join("config.toml");
        fs::write(&config, configuration(folder.path())).unwrap();
        let mut containerd = Command::new("containerd")
            .arg("--config")
            .arg(&config)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for("containerd successfully booted", containerd.stderr.take().unwrap());
        let socket = folder.path().join("containerd.sock");
        Self { registry, containerd, socket, _folder: folder }
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// An image that is there.
    pub(crate) fn fine(&self) -> String {
        self.registry.image("fine:1")
    }

    /// One that is there for [`USER`] with [`PASSWORD`].
    pub(crate) fn private(&self) -> String {
        self.registry.image("private:1")
    }

    /// One that is not there.
    pub(crate) fn missing(&self, repository: &str) -> String {
        self.registry.image(&format!("missing/{repository}:1"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.containerd.kill().and_then(|()| self.containerd.wait());
    }
}

/// Reads on after these words, or the writer would stop one day.
fn wait_for(words: &str, log: ChildStderr) {
    let mut lines = BufReader::new(log).lines().map_while(Result::ok);
    let mut seen = Vec::new();
    let found = lines.by_ref().any(|line| {
        seen.push(line);
        seen.last().is_some_and(|line| line.contains(words))
    });
    assert!(found, "containerd did not start: {seen:#?}");
    thread::spawn(move || lines.for_each(drop));
}

/// Snapshots that need no file system of the kernel's, and nothing that listens elsewhere.
fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "version = 3
root = '{folder}/root'
state = '{folder}/state'
disabled_plugins = ['io.containerd.nri.v1.nri', 'io.containerd.internal.v1.tracing']
[grpc]
address = '{folder}/containerd.sock'
[plugins.'io.containerd.internal.v1.opt']
path = '{folder}/opt'
[plugins.'io.containerd.cri.v1.images']
snapshotter = 'native'
[[plugins.'io.containerd.transfer.v1.local'.unpack_config]]
platform = 'linux/amd64'
snapshotter = 'native'
"
    )
}
