//! The capture on a real kubelet's and containerd's socket.
//!
//! Other rigs on this machine bind the same path, so only the socket's file tells them apart.

use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use libtest_mimic::Trial;
use pullfuse::capture::{Capture, Direction, Heard, Options, Record};
use pullfuse_rig::{CONTAINERD_SOCKET, Containerd, Options as RigOptions, Signal};
use serde_json::json;
use tokio::time::timeout;

use crate::support::{LONG, Node, Waiting, missing_pod, scenario};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("capture::requests_are_heard_also_after_a_restart_of_containerd", || {
            restarted(RigOptions::default())
        }),
        scenario("capture::requests_are_heard_also_after_a_restart_of_containerd_1_6", || {
            restarted(RigOptions { containerd: Containerd::V1_6, ..RigOptions::default() })
        }),
        scenario("capture::a_recording_has_the_request_and_no_password", recorded),
    ]
}

/// Listens to one rig's socket.
async fn listen(node: &Node) -> anyhow::Result<Capture> {
    let options = Options::new(vec![node.rig.host_path(CONTAINERD_SOCKET)]);
    let capture = Capture::start(options).await?;
    for refusal in capture.refused() {
        eprintln!("capture: {refusal}");
    }
    Ok(capture)
}

/// Hears until one connection's requests contain all these words; returns the records until then.
async fn hear(capture: &mut Capture, words: &[&str]) -> anyhow::Result<Vec<Record>> {
    let mut heard = Vec::new();
    let hearing = async {
        loop {
            let Heard::Sent(record) = capture.next().await? else { continue };
            let connection = record.connection;
            let is_request = record.direction == Direction::ToServer;
            heard.push(record);
            if is_request && asked(&heard, connection, words) {
                return anyhow::Ok(());
            }
        }
    };
    let ended = timeout(LONG, hearing).await;
    ended.with_context(|| format!("{words:?} not among {} records", heard.len()))??;
    Ok(heard)
}

fn asked(records: &[Record], connection: u64, words: &[&str]) -> bool {
    let of = |record: &&Record| {
        record.connection == connection && record.direction == Direction::ToServer
    };
    let bytes: Vec<u8> =
        records.iter().filter(of).flat_map(|record| record.data.iter().copied()).collect();
    words.iter().all(|word| bytes.windows(word.len()).any(|window| window == word.as_bytes()))
}

async fn missing(node: &Node, name: &str) -> anyhow::Result<Pod> {
    node.rig.namespace(name).await?;
    node.rig.apply(&missing_pod(name, "p", json!({}))).await?;
    Ok(node.pods(name).get("p").await?)
}

async fn restarted(options: RigOptions) -> anyhow::Result<()> {
    // The kubelet's connections are older than the capture.
    let node = Node::start_bare(options).await?;
    let mut capture = listen(&node).await?;
    for name in ["late-attach", "after-restart"] {
        let pod = missing(&node, name).await?;
        let uid = pod.metadata.uid.context("a pod without a UID")?;
        let image = format!("127.0.0.1:5000/{}:nosuch", "p");
        let heard = hear(&mut capture, &[&uid, &image, "nosuch"]).await?;
        assert!(heard.iter().any(|record| record.direction == Direction::ToClient));
        assert_eq!(capture.counters().dropped, 0);
        if name == "late-attach" {
            node.rig.kill("containerd", Signal::KILL).await?;
            node.rig.wait_exit("containerd").await?;
            node.rig.restart("containerd").await?;
        }
    }
    eprintln!("capture: {}", capture.counters());
    Ok(())
}

/// `pullfuse record` while a pod pulls with a password.
async fn recorded() -> anyhow::Result<()> {
    const PASSWORD: &str = "MARKER-SECRET-1";
    let node = Node::start_bare(RigOptions::default()).await?;
    let out = node.rig.folder().join("cri.wire.jsonl.gz");
    let socket = node.rig.host_path(CONTAINERD_SOCKET);
    let mut capture = listen(&node).await?;
    let mut recorder = std::process::Command::new(env!("CARGO_BIN_EXE_pullfuse"))
        .arg("record")
        .arg("--out")
        .arg(&out)
        .arg("--endpoint")
        .arg(format!("unix://{}", socket.display()))
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    let mut said = std::io::BufReader::new(recorder.stderr.take().context("no pipe")?);
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line)?;
    assert!(line.contains("listening"), "{line}");

    node.rig.namespace("secret").await?;
    let auth = json!({ "auths": { "127.0.0.1:5000": { "username": "u", "password": PASSWORD } } });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": { "namespace": "secret", "name": "registry" },
        "stringData": { ".dockerconfigjson": auth.to_string() },
    });
    node.rig.apply(&secret.to_string()).await?;
    let change = json!({ "imagePullSecrets": [{ "name": "registry" }] });
    node.rig.apply(&missing_pod("secret", "p", change)).await?;
    let pod = node.pods("secret").get("p").await?;
    let uid = pod.metadata.uid.context("a pod without a UID")?;
    // The password really passes.
    hear(&mut capture, &[&uid, "p:nosuch", PASSWORD]).await?;
    node.wait_pod("secret", "p", "it failed", |pod| pod.waits_for("ErrImagePull")).await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let pid = rustix::process::Pid::from_child(&recorder);
    rustix::process::kill_process(pid, Signal::INT)?;
    assert!(recorder.wait()?.success());

    let mut text = String::new();
    let file = std::fs::File::open(&out)?;
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut text)?;
    let (mut requests, mut all) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let record: serde_json::Value = serde_json::from_str(line)?;
        let data = record["data"].as_str().context("a record without data")?;
        let data = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, data)?;
        if record["direction"] == "c2s" {
            requests.extend_from_slice(&data);
        }
        all.extend(data);
    }
    let has = |bytes: &[u8], word: &str| bytes.windows(word.len()).any(|w| w == word.as_bytes());
    assert!(has(&requests, &uid) && has(&requests, "p:nosuch"), "the request is not there");
    assert!(!has(&all, PASSWORD), "the password is in the recording");
    Ok(())
}
