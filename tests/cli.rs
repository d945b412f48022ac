//! The command line without a cluster: every wrong input is a sentence and an exit code.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]
#![allow(missing_docs, reason = "nobody links to a test")]

use std::{net::TcpListener, path::Path};

use assert_cmd::Command;
use tempfile::TempDir;

/// Runs pullfuse away from any cluster; returns exit code and standard error.
fn pullfuse(args: &[&str], kubeconfig: Option<&Path>) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pullfuse"));
    command.args(args).env_clear().timeout(std::time::Duration::from_secs(60));
    command.env("KUBECONFIG", kubeconfig.unwrap_or(Path::new("/nonexistent/kubeconfig")));
    let output = command.output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(!errors.contains("panicked"), "{errors}");
    (output.status.code().unwrap(), errors)
}

fn config(dir: &TempDir, text: &str) -> String {
    let path = dir.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn run(config: &str, kubeconfig: Option<&Path>) -> (i32, String) {
    pullfuse(&["run", "--config", config, "--node-name", "node-a"], kubeconfig)
}

/// A kubeconfig of a cluster that nobody serves.
fn kubeconfig(dir: &TempDir) -> std::path::PathBuf {
    let path = dir.path().join("kubeconfig");
    let text = "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
        contexts: [{name: c, context: {cluster: c, user: u}}]\n\
        clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
        users: [{name: u, user: {token: x}}]\n";
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_bad_configuration_names_file_key_and_line_and_exits_with_1() {
    let dir = TempDir::new().unwrap();
    let file = config(&dir, "mode = \"enforce\"\n[limits]\nmax_attemps = 3\n");
    for args in [&["check", &file][..], &["run", "--config", &file, "--node-name", "n"]] {
        let (code, errors) = pullfuse(args, None);
        assert_eq!(code, 1, "{errors}");
        for words in [file.as_str(), "line 3", "max_attemps", "max_attempts"] {
            assert!(errors.contains(words), "lacks {words}: {errors}");
        }
    }
}

#[test]
fn a_missing_configuration_exits_with_1() {
    let (code, errors) = pullfuse(&["check", "/nonexistent.toml"], None);
    assert_eq!(code, 1);
    assert!(errors.contains("/nonexistent.toml"), "{errors}");
}

#[test]
fn the_shipped_configuration_is_fine() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/daemonset/config.toml");
    let (code, errors) = pullfuse(&["check", shipped], None);
    assert_eq!((code, errors.as_str()), (0, ""));
}

#[test]
fn a_doubtful_configuration_is_fine_and_warned_about() {
    let dir = TempDir::new().unwrap();
    let file = config(&dir, "[limits.transient]\nmax_attempts = 1\n");
    for args in [&["check", &file][..], &["check", "-o", "json", &file]] {
        let (code, errors) = pullfuse(args, None);
        assert_eq!(code, 0, "{errors}");
        assert!(errors.contains("warning: limits.transient.max_attempts = 1"), "{errors}");
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    for args in [&["blow"][..], &["run", "--node-name"], &["run", "--config", "x"], &[]] {
        assert_eq!(pullfuse(args, None).0, 2, "{args:?}");
    }
}

#[test]
fn no_cluster_at_all_exits_with_69() {
    let dir = TempDir::new().unwrap();
    let (code, errors) = run(&config(&dir, ""), None);
    assert_eq!(code, 69, "{errors}");
    assert!(errors.contains("KUBECONFIG") && errors.contains("ServiceAccount"), "{errors}");
}

#[test]
fn an_unusable_ledger_folder_exits_with_69() {
    let dir = TempDir::new().unwrap();
    let file = config(&dir, "[ledger]\ndir = \"/dev/null/ledger\"\n");
    let (code, errors) = run(&file, Some(&kubeconfig(&dir)));
    assert_eq!(code, 69, "{errors}");
    assert!(errors.contains("/dev/null/ledger") && errors.contains("ledger.dir"), "{errors}");
}

#[test]
fn a_taken_address_exits_with_69() {
    let dir = TempDir::new().unwrap();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    let text = format!(
        "[serve]\naddress = \"{taken}\"\n[ledger]\ndir = \"{}\"\n",
        dir.path().join("state").display()
    );
    let (code, errors) = run(&config(&dir, &text), Some(&kubeconfig(&dir)));
    assert_eq!(code, 69, "{errors}");
    assert!(errors.contains(&taken.to_string()) && errors.contains("serve.address"), "{errors}");
}

/// `pullfuse record` as root that may do nothing but what is named.
fn record_with(capabilities: &str) -> (i32, String) {
    let dir = TempDir::new().unwrap();
    let output = Command::new("setpriv")
        .arg(format!("--bounding-set={capabilities}"))
        .args(["--inh-caps=-all", env!("CARGO_BIN_EXE_pullfuse"), "record", "--seconds", "1"])
        .args(["--endpoint", "unix:///nonexistent/cri.sock", "--out"])
        .arg(dir.path().join("cri.wire.jsonl"))
        .output()
        .unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn two_capabilities_suffice_to_listen_and_a_missing_one_is_named() {
    let (code, errors) = record_with("-all,+bpf,+perfmon");
    assert_eq!(code, 0, "{errors}");
    assert!(errors.contains("listening"), "{errors}");
    for (given, missing) in [("-all,+bpf", "CAP_PERFMON"), ("-all,+perfmon", "CAP_BPF")] {
        let (code, errors) = record_with(given);
        assert_eq!(code, 69, "{errors}");
        assert!(errors.contains(missing) && !errors.contains("panicked"), "{errors}");
        assert_eq!(errors.matches("pod status").count(), 1, "said twice: {errors}");
    }
}

/// What a command prints to standard output.
fn printed(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_pullfuse")).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&["completions", shell]);
        for word in ["registries", "log-level", "max-attempts"] {
            assert!(script.contains(word), "{shell} lacks {word}");
        }
    }
    assert_eq!(pullfuse(&["completions", "cmd.exe"], None).0, 2);
    assert!(printed(&["man"]).contains("Exit codes"));
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("man1");
    printed(&["man", "--out", folder.to_str().unwrap()]);
    let page = std::fs::read_to_string(folder.join("pullfuse-release.1")).unwrap();
    assert!(page.contains("dry run stays one"), "{page}");
    let (code, errors) = pullfuse(&["man", "--out", "/dev/null/man"], None);
    assert_eq!(code, 69);
    assert!(errors.contains("/dev/null/man"), "{errors}");
}

#[test]
fn without_an_agent_every_question_exits_with_69_and_says_where_to_ask() {
    for args in [
        &["status"][..],
        &["pods", "-w"],
        &["pod", "a/b"],
        &["images"],
        &["registries", "-o", "wide"],
        &["changes"],
        &["watch"],
        &["release", "r.example"],
        &["log-level"],
    ] {
        let (code, errors) = pullfuse(&[args, &["--socket", "/nonexistent/p.sock"]].concat(), None);
        assert_eq!(code, 69, "{args:?}: {errors}");
        for words in ["/nonexistent/p.sock", "kubectl -n pullfuse exec", "--socket"] {
            assert!(errors.contains(words), "{args:?} lacks {words}: {errors}");
        }
    }
}

#[test]
fn a_time_that_is_none_is_wrong_usage() {
    for args in [
        &["changes", "--since", "-1h"][..],
        &["changes", "--since", "yesterday"],
        &["watch", "--since", "0s"],
        &["log-level", "debug", "--for", "0s"],
    ] {
        let (code, errors) = pullfuse(args, None);
        assert_eq!(code, 2, "{args:?}: {errors}");
        assert!(errors.contains("--since") || errors.contains("--for"), "{errors}");
    }
}
