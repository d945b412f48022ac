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

/// The kubectl plugin away from any cluster.
fn plugin(args: &[&str], kubeconfig: &Path) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-pullfuse"));
    let output = command.args(args).env_clear().env("KUBECONFIG", kubeconfig).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_plugin_says_which_cluster_it_lacks_and_exits_with_69() {
    let dir = TempDir::new().unwrap();
    let nobody = kubeconfig(&dir);
    let absent = dir.path().join("absent");
    for (args, file, words) in [
        (&[][..], &absent, &["absent", "--kubeconfig"][..]),
        (&["--context", "other"], &nobody, &["other", "--context"]),
        (&["agents"], &nobody, &["cannot list daemonsets", "cannot be reached"]),
        (&["-A"], &nobody, &["cannot list pods in all namespaces"]),
    ] {
        let (code, errors) = plugin(args, file);
        assert_eq!(code, 69, "{errors}");
        for word in words {
            assert!(errors.contains(word), "lacks {word}: {errors}");
        }
    }
    for args in [&["blow"][..], &["-A", "-n", "x"], &["-o", "xml"]] {
        assert_eq!(plugin(args, &nobody).0, 2, "{args:?}");
    }
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

/// Whatever the path leads to: an answer, at once, that names it.
#[test]
fn a_configuration_that_is_no_text_file_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::os::unix::fs::symlink("loop", path("loop")).unwrap();
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(rustix::fs::CWD, path("pipe"), rustix::fs::FileType::Fifo, mode, 0)
        .unwrap();
    std::fs::write(path("large"), "#".repeat((1 << 20) + 1)).unwrap();
    std::fs::write(path("latin-1"), b"# comment\nmode = \"\xe4\"\n").unwrap();
    for (file, says) in [
        (path("."), "is a directory"),
        (path("loop"), "symbolic links"),
        (path("pipe"), "no regular file"),
        ("/dev/zero".into(), "no regular file"),
        (path("large"), "larger than 1048576 bytes"),
        (path("latin-1"), "line 2 is no UTF-8"),
    ] {
        let (code, errors) = pullfuse(&["check", &file], None);
        assert_eq!(code, 1, "{errors}");
        assert!(errors.contains(&file) && errors.contains(says), "{errors}");
    }
}

#[test]
fn a_hostile_configuration_is_refused_in_a_few_lines() {
    let dir = TempDir::new().unwrap();
    let deep = |open: &str, close: &str| open.repeat(100_000) + "1" + &close.repeat(100_000);
    for (text, says) in [
        (format!("x = {}", deep("[", "]")), "line 1"),
        (format!("x = {}", deep("{a=", "}")), "line 1"),
        (format!("[{}a]", "a.".repeat(100_000)), "nested too deeply"),
        ("[limits]\nmax_attempts = nan".into(), "line 2"),
        ("[limits]\nmax_attempts = 1e999".into(), "line 2"),
        ("[limits]\nmax_attempts = 99999999999999999999999999999999999999999".into(), "line 2"),
        ("[limits]\nmin_elapsed = \"999999999999y\"".into(), "limits.min_elapsed"),
        ("[limits]\nmax_attempts = 1\nmax_attempts = 2".into(), "line 3"),
        ("mode = \"\u{1b}[2J\u{202e}\"".into(), "line 1"),
        (
            format!("[[rules]]\nmatch = \"{}\"\nclass = \"not_found\"", "(x{99}){99}".repeat(99)),
            "1048576 bytes",
        ),
        (
            format!("[[rules]]\nmatch = \"{}\"\nclass = \"not_found\"", deep("(", ")")),
            "rules[0].match",
        ),
        (
            format!(
                "[[scopes]]\nname = \"x\"\naction = \"ignore\"\nnamespaces = [\"{}\"]",
                deep("{", "}")
            ),
            "1024 bytes",
        ),
        ("password = \"MARKER\"\nx = [".into(), "line 2"),
    ] {
        let file = config(&dir, &text);
        let (code, errors) = pullfuse(&["check", &file], None);
        assert_eq!(code, 1, "{errors}");
        assert!(errors.contains(&file) && errors.contains(says), "lacks {says}: {errors}");
        assert!(errors.len() < 4000, "{} bytes", errors.len());
        assert!(
            !errors.contains(|c: char| c == '\u{202e}' || c.is_control() && c != '\n'),
            "{errors:?}"
        );
        assert!(!errors.contains("MARKER"), "{errors}");
    }
}

/// What is wrong with a kubeconfig is said without what stands in it.
#[test]
fn a_bad_kubeconfig_is_not_quoted() {
    let dir = TempDir::new().unwrap();
    let file = config(&dir, "");
    let path = dir.path().join("kubeconfig");
    let head = "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
        contexts: [{name: c, context: {cluster: c, user: u}}]\n\
        clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n";
    for users in [
        "users: MARKER",
        "users: [{name: u, user: {token: {x: MARKER}}}]",
        "users: [{name: u, user: [MARKER]}]",
        "users: [{name: u, user: {token: MARKER",
        "users:\n- user:\n    token: MARKER\n   bad: [",
        "users: [{name: u, user: {token: \"MARKER\\nMARKER\"}}]",
        "users: [{name: u, user: {client-key-data: MARKER, client-certificate-data: MARKER}}]",
        "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, \
          command: /bin/sh, args: [-c, 'echo MARKER; exit 1']}}}]",
    ] {
        std::fs::write(&path, format!("{head}{users}\n")).unwrap();
        let (code, errors) = run(&file, Some(&path));
        assert_eq!(code, 69, "{errors}");
        assert!(errors.contains("KUBECONFIG") && !errors.contains("MARKER"), "{errors}");
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
        &["changes", "--since=-1h"][..],
        &["changes", "--since", "yesterday"],
        &["watch", "--since", "0s"],
        &["log-level", "debug", "--for", "0s"],
    ] {
        let (code, errors) = pullfuse(args, None);
        assert_eq!(code, 2, "{args:?}: {errors}");
        assert!(errors.contains("--since") || errors.contains("--for"), "{errors}");
    }
}
