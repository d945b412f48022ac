//! Rigs come up, run pods side by side, and leave nothing behind, however they end.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use pullfuse_rig::{Containerd, FINE_IMAGE, Kubelet, Options, Program, Rig, Signal, port};

/// Long enough for two rigs at once on a slow machine.
const LONG: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread")]
async fn two_rigs_run_side_by_side_and_leave_nothing() {
    let (one, two) = tokio::join!(Rig::start(Options::default()), Rig::start(Options::default()));
    let (one, two) = (one.unwrap(), two.unwrap());
    tokio::join!(run_fine_pod(&one), run_fine_pod(&two));

    let trace = Trace::of(one.folder());
    one.stop().await.unwrap();
    trace.assert_gone();
    // The other one does not notice.
    two.namespace("still-here").await.unwrap();
    let trace = Trace::of(two.folder());
    drop(two);
    trace.assert_gone();
}

#[tokio::test(flavor = "multi_thread")]
async fn old_parts_work_too() {
    let options =
        Options { kubelet: Kubelet::V1_33, containerd: Containerd::V1_6, ..Options::default() };
    let rig = Rig::start(options).await.unwrap();
    run_fine_pod(&rig).await;
    rig.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_and_programs_can_be_killed_and_restarted() {
    let rig = Rig::start(Options::default()).await.unwrap();
    for part in ["etcd", "kube-apiserver", "containerd", "kubelet"] {
        rig.kill(part, Signal::KILL).await.unwrap();
        assert_eq!(rig.wait_exit(part).await.unwrap().signal, Some(9));
        rig.restart(part).await.unwrap();
    }
    rig.wait_ready().await.unwrap();
    run_fine_pod(&rig).await;

    let script = "echo out; echo err >&2; echo $MARK; exit 3";
    let program = Program::new("script", ["sh", "-c", script]).env("MARK", "marked");
    rig.spawn(program).await.unwrap();
    assert_eq!(rig.wait_exit("script").await.unwrap().code, Some(3));
    assert_eq!(rig.log("script").unwrap(), "out\nerr\nmarked\n");
    let missing = rig.spawn(Program::new("missing", ["/no/such/program"])).await.unwrap_err();
    assert!(format!("{missing:#}").contains("/no/such/program"), "{missing:#}");
    assert!(rig.kill("script", Signal::TERM).await.is_err());

    let (status, body) = rig.http_get(port::REGISTRY, "/v2/_catalog").await.unwrap();
    assert_eq!((status, body.trim()), (200, r#"{"repositories":["fine","pause"]}"#));
    assert!(rig.kubelet_metrics().await.unwrap().contains("kubelet_running_pods"));
    let told = async {
        while rig.events("default", "fine").await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(LONG, told).await.expect("no Event about the pod");
    let pods = |entry: &serde_json::Value| entry["objectRef"]["name"] == "fine";
    assert!(rig.audit().unwrap().iter().any(pods));
    rig.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_in_vain_says_what_was_there() {
    let rig = Rig::start(Options::default()).await.unwrap();
    rig.apply(&pod("absent", "127.0.0.1:5000/no/such:1")).await.unwrap();
    let failed = |pod: Option<&Pod>| {
        pod.is_some_and(|pod| serde_json::to_string(pod).unwrap().contains("not found"))
    };
    rig.wait_for("default", "absent", LONG, "it failed", failed).await.unwrap();
    let error = rig
        .wait_for::<Pod>("default", "absent", Duration::from_secs(1), "it runs", is_running)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("it runs"), "{error}");
    assert!(error.contains("Pending") && error.contains("not found"), "{error}");
    rig.stop().await.unwrap();
}

/// Not a test by itself: the owner that the next test kills. It prints its rig's folder.
#[tokio::test(flavor = "multi_thread")]
async fn owner_to_be_killed() {
    if std::env::var_os("RIG_TEST_OWNER").is_none() {
        return;
    }
    let rig = Rig::start(Options::default()).await.unwrap();
    run_fine_pod(&rig).await;
    println!("\nfolder={}", rig.folder().display());
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_owner_takes_its_rig_along() {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "owner_to_be_killed", "--nocapture"])
        .env("RIG_TEST_OWNER", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let folder = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("folder=").map(PathBuf::from))
        .expect("the owner started no rig");
    let trace = Trace::of(&folder);
    owner.kill().unwrap();
    owner.wait().unwrap();

    let deadline = Instant::now() + LONG;
    while is_listed(&folder) {
        assert!(Instant::now() < deadline, "the rig outlives its owner");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Folder and control groups stay until the next start.
    let next = Rig::start(Options::default()).await.unwrap();
    trace.assert_gone();
    next.stop().await.unwrap();
}

fn is_listed(folder: &Path) -> bool {
    pullfuse_rig::list().unwrap().iter().any(|rig| rig.folder() == folder)
}

async fn run_fine_pod(rig: &Rig) {
    rig.apply(&pod("fine", FINE_IMAGE)).await.unwrap();
    rig.wait_for::<Pod>("default", "fine", LONG, "it runs", is_running).await.unwrap();
}

fn is_running(pod: Option<&Pod>) -> bool {
    let phase = pod.and_then(|pod| pod.status.as_ref()?.phase.as_deref());
    phase == Some("Running")
}

fn pod(name: &str, image: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{ name: {name} }}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{{ name: main, image: '{image}' }}]
"
    )
}

/// What a rig consists of, as the host sees it.
struct Trace {
    folder: PathBuf,
    groups: Vec<PathBuf>,
    /// With their starting times: process ids, like the numbers of namespaces, are soon used again.
    processes: Vec<(String, String)>,
}

impl Trace {
    fn of(folder: &Path) -> Self {
        assert!(is_listed(folder), "{} is not listed", folder.display());
        let groups = fs::read_to_string(folder.join("cgroups")).unwrap();
        let groups: Vec<_> = groups.lines().map(PathBuf::from).collect();
        let mut processes = Vec::new();
        members(&groups[0], &mut processes);
        assert!(processes.len() > 10, "{processes:?}");
        Self { folder: folder.to_owned(), groups, processes }
    }

    fn assert_no_process(&self) {
        for (pid, started) in &self.processes {
            assert_ne!(start_time(pid).as_ref(), Some(started), "{pid} is left");
        }
    }

    /// Mounts and interfaces live only as long as a process is in their namespace, and a group
    /// cannot be removed while a process is in it.
    fn assert_gone(&self) {
        self.assert_no_process();
        assert!(!self.folder.exists(), "{} is left", self.folder.display());
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.folder.to_str().unwrap()), "{mounts}");
        for group in &self.groups {
            assert!(!group.exists(), "{} is left", group.display());
        }
    }
}

/// The processes in a control group and in the groups below it.
fn members(group: &Path, found: &mut Vec<(String, String)>) {
    let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap();
    found.extend(processes.lines().filter_map(|pid| Some((pid.to_owned(), start_time(pid)?))));
    for entry in fs::read_dir(group).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            members(&entry.path(), found);
        }
    }
}

/// Field 22 of proc_pid_stat(5); the second one, in parentheses, may contain spaces.
fn start_time(pid: &str) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after) = stat.rsplit_once(") ")?;
    after.split(' ').nth(19).map(str::to_owned)
}
