//! An agent gives up what it does not need. No node: the API server that it is told of does not exist.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]
#![allow(missing_docs, reason = "nobody links to a test")]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

const NONE: &str = "0000000000000000";

/// An agent in a folder of its own.
struct Agent {
    process: Child,
    folder: TempDir,
}

impl Agent {
    fn start(config: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("kubeconfig"), KUBECONFIG).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let agent = Self::configure(folder.path(), config);
        // Core files are wanted: it is the agent who does not make any.
        let process = Command::new("sh")
            .args(["-c", "ulimit -S -c $(ulimit -H -c); exec \"$0\" \"$@\""])
            .arg(env!("CARGO_BIN_EXE_pullfuse"))
            .args(["run", "--node-name", "n", "--config"])
            .arg(agent)
            .env("KUBECONFIG", folder.path().join("kubeconfig"))
            .current_dir(folder.path())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { process, folder }
    }

    /// Writes the configuration, as whole as a ConfigMap comes.
    fn configure(folder: &Path, config: &str) -> PathBuf {
        let path = folder.join("config.toml");
        let own = folder.display();
        let text = format!(
            "{config}\n[serve]\naddress = \"127.0.0.1:0\"\nsocket = \"{own}/run/pullfuse.sock\"\n\
             [ledger]\ndir = \"{own}/ledger\"\n"
        );
        fs::write(folder.join("draft"), text).unwrap();
        fs::rename(folder.join("draft"), &path).unwrap();
        path
    }

    /// What the command line shows of a part, once it contains this.
    fn until(&mut self, part: &str, word: &str) -> String {
        let began = Instant::now();
        loop {
            let text = self.part(part).unwrap_or_default();
            if text.contains(word) {
                return text;
            }
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
            assert!(self.process.try_wait().unwrap().is_none(), "it ended: {log}");
            assert!(began.elapsed() < Duration::from_secs(60), "{part}: {text}; {log}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn part(&self, part: &str) -> Option<String> {
        let output = Command::new(env!("CARGO_BIN_EXE_pullfuse"))
            .args(["status", "-o", "json", "--socket"])
            .arg(self.folder.path().join("run/pullfuse.sock"))
            .output()
            .unwrap();
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        let parts = status["parts"].as_array()?;
        let part = parts.iter().find(|known| known["name"] == part)?;
        Some(part["text"].as_str()?.to_owned())
    }

    /// What the kernel says of each of its threads.
    fn threads(&self) -> Vec<BTreeMap<String, String>> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        let status = |task: PathBuf| fs::read_to_string(task.join("status")).ok();
        tasks.filter_map(|task| status(task.unwrap().path())).map(|text| fields(&text)).collect()
    }

    fn end(mut self, signal: Signal) -> ExitStatus {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
        self.process.wait().unwrap()
    }
}

fn fields(status: &str) -> BTreeMap<String, String> {
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim().to_owned()))
    };
    status.lines().filter_map(field).collect()
}

const KUBECONFIG: &str = "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
    clusters: [{ name: c, cluster: { server: \"http://127.0.0.1:1\" } }]\n\
    contexts: [{ name: c, context: { cluster: c, user: c } }]\nusers: [{ name: c, user: {} }]\n";

#[test]
fn an_agent_keeps_no_capability_and_few_system_calls() {
    let mut agent = Agent::start("[runtime]\nendpoint = \"unix:///run/no-such-runtime.sock\"\n");
    let text = agent.until("confinement", "dropped");
    assert!(text.contains("capabilities dropped, seccomp on, Landlock "), "{text}");
    let threads = agent.threads();
    assert!(!threads.is_empty());
    for status in &threads {
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(status[set], NONE, "{set} of {}", status["Name"]);
        }
        assert_eq!((&*status["NoNewPrivs"], &*status["Seccomp"]), ("1", "2"));
    }
    assert_eq!(agent.end(Signal::TERM).code(), Some(0));
}

#[test]
fn an_agent_that_does_not_ask_the_runtime_can_no_longer_connect_to_it() {
    let endpoint =
        "[runtime]\ncapture = \"off\"\nendpoint = \"unix:///run/no-such-runtime.sock\"\n";
    let mut agent = Agent::start(&format!("{endpoint}[act]\ncheck_image = false\n"));
    agent.until("confinement", "capabilities dropped");
    agent.until("runtime", "not asked");
    Agent::configure(agent.folder.path(), endpoint);
    agent.until("config", "act.check_image, which takes a restart");
    let text = agent.until("runtime", "verdicts are held back");
    assert!(text.contains("Operation not permitted"), "{text}");
    assert_eq!(agent.end(Signal::TERM).code(), Some(0));
}

#[test]
fn an_agent_leaves_no_core_file() {
    for confine in [true, false] {
        let process = format!("[runtime]\ncapture = \"off\"\n[process]\nconfine = {confine}\n");
        let mut agent = Agent::start(&process);
        let text = agent.until("confinement", if confine { "seccomp" } else { "off" });
        assert_eq!(text == "off, as configured", !confine, "{text}");
        let status = agent.end(Signal::ABORT);
        assert_eq!(status.signal(), Some(6), "{status}");
        assert!(!status.core_dumped(), "{status}");
    }
    // Here others do make one, so the above says something.
    let folder = TempDir::new().unwrap();
    let other = Command::new("sh")
        .args(["-c", "ulimit -S -c $(ulimit -H -c); kill -ABRT $$"])
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    if !other.core_dumped() {
        eprintln!("nobody leaves a core file on this machine");
    }
}
