//! `pullfuse record`, started with the agent's two capabilities, and `pullfuse replay` of what it wrote.
//!
//! In: containerd's socket. Out: a recording and its calls. Touches the kernel, as the agent does.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// No capability; from Linux 5.19 on none is needed any more once the capture is attached.
const NONE: &str = "0000000000000000";

/// An agent that listens.
pub(crate) struct Agent {
    program: Child,
    remarks: BufReader<ChildStderr>,
    folder: TempDir,
    path: PathBuf,
}

/// What an agent has written.
pub(crate) struct Recording {
    pub(crate) path: PathBuf,
    _folder: TempDir,
}

impl Agent {
    /// Returns when it listens.
    pub(crate) fn record(socket: &Path) -> Self {
        let mode = std::env::var("PULLFUSE_TEST_CAPTURE").unwrap_or_else(|_| "fentry".to_owned());
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("live.wire.jsonl");
        let mut program = Command::new("setpriv")
            .args(["--inh-caps=-all", "--bounding-set=-all,+bpf,+perfmon", "pullfuse", "record"])
            .args(["--capture", &mode, "--endpoint", &format!("unix://{}", socket.display())])
            .arg("--out")
            .arg(&path)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut remarks = BufReader::new(program.stderr.take().unwrap());
        let mut line = String::new();
        remarks.read_line(&mut line).unwrap();
        eprint!("{line}");
        assert!(line.contains(&format!("listening ({mode})")), "{line}");
        let status = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
        for set in ["CapPrm", "CapEff", "CapInh"] {
            assert!(status.contains(&format!("{set}:\t{NONE}\n")), "{status}");
        }
        Self { program, remarks, folder, path }
    }

    /// Ends it, and shows that it missed nothing.
    pub(crate) fn end(self) -> Recording {
        let Self { mut program, mut remarks, folder, path } = self;
        kill_process(Pid::from_child(&program), Signal::INT).unwrap();
        let mut said = String::new();
        remarks.read_to_string(&mut said).unwrap();
        eprint!("{said}");
        assert!(program.wait().unwrap().success());
        let nothing = "dropped 0, faults 0, unsupported 0, truncated 0, missed 0";
        assert!(said.contains(nothing), "{said}");
        Recording { path, _folder: folder }
    }
}

impl Recording {
    /// Its calls by the UID of their pods.
    pub(crate) fn replay(&self) -> HashMap<String, Value> {
        let output = Command::new("pullfuse")
            .args(["replay", "-o", "json"])
            .arg(&self.path)
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains("MARKER-SECRET"));
        let mut calls = HashMap::new();
        for line in text.lines() {
            let call: Value = serde_json::from_str(line).unwrap();
            let uid = call["pod_uid"].as_str().unwrap().to_owned();
            assert!(calls.insert(uid, call).is_none(), "twice: {line}");
        }
        calls
    }
}
