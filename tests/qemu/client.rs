//! Pulls over one connection, as the kubelet does; a Go program, tests/rig/parts/cri-client.
//!
//! In: calls. Out: their answers, and every byte of the connection. Touches containerd's socket.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use k8s_cri::v1::AuthConfig;
use prost::Message;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// A pull to be made.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Call {
    pub(crate) image: String,
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) uid: String,
    pub(crate) user: String,
    /// Without one no credentials are sent.
    pub(crate) password: String,
    /// Bytes by which the request is larger.
    pub(crate) padding: usize,
    /// Whether the answer must be a good one.
    #[serde(skip)]
    pub(crate) succeeds: bool,
}

impl Call {
    /// The credentials as they are sent, if they are.
    pub(crate) fn auth(&self) -> Option<Vec<u8>> {
        let (username, password) = (self.user.clone(), self.password.clone());
        (!password.is_empty())
            .then(|| AuthConfig { username, password, ..Default::default() }.encode_to_vec())
    }
}

/// A pull that was made, and its answer.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) call: Call,
    pub(crate) code: u32,
    pub(crate) message: String,
}

/// Bytes to the runtime and to the kubelet.
pub(crate) type Passed = (usize, usize);

/// What passed over the connection, whole.
pub(crate) struct Tee {
    pub(crate) to_runtime: Vec<u8>,
    pub(crate) to_kubelet: Vec<u8>,
}

#[derive(Deserialize)]
struct Answer {
    code: u32,
    message: String,
}

#[derive(Deserialize)]
struct Report {
    answers: Vec<Answer>,
    to_runtime: usize,
    to_kubelet: usize,
}

/// A client with an open connection.
pub(crate) struct Client {
    program: Child,
    batches: ChildStdin,
    reports: BufReader<ChildStdout>,
    made: Vec<Made>,
    passed: Passed,
    folder: TempDir,
}

impl Client {
    /// Returns when the runtime has greeted.
    pub(crate) fn connect(socket: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let mut program = Command::new("cri-client")
            .args([socket, folder.path()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let batches = program.stdin.take().unwrap();
        let reports = BufReader::new(program.stdout.take().unwrap());
        let mut client = Self { program, batches, reports, made: vec![], passed: (0, 0), folder };
        client.pull(Vec::new());
        client
    }

    /// Makes these calls all at once and waits for their answers.
    pub(crate) fn pull(&mut self, calls: Vec<Call>) {
        serde_json::to_writer(&mut self.batches, &calls).unwrap();
        self.batches.write_all(b"\n").unwrap();
        let mut line = String::new();
        self.reports.read_line(&mut line).unwrap();
        let report: Report = serde_json::from_str(&line).unwrap();
        assert_eq!(report.answers.len(), calls.len());
        self.passed = (report.to_runtime, report.to_kubelet);
        for (call, Answer { code, message }) in calls.into_iter().zip(report.answers) {
            assert_eq!(code == 0, call.succeeds, "{call:?}: {code} {message}");
            self.made.push(Made { call, code, message });
        }
    }

    /// How much had passed when the last answer was there.
    pub(crate) fn passed(&self) -> Passed {
        self.passed
    }

    /// Closes the connection; all that was ever said over it, and the calls with their answers.
    pub(crate) fn close(self) -> (Tee, Vec<Made>) {
        let Self { mut program, batches, reports, made, passed: _, folder } = self;
        drop(batches);
        assert!(program.wait().unwrap().success());
        drop(reports);
        let read = |name| fs::read(folder.path().join(name)).unwrap();
        (Tee { to_runtime: read("to-runtime"), to_kubelet: read("to-kubelet") }, made)
    }
}
