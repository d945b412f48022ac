//! Whatever a pod's author and a registry put into their texts, and whatever credentials are about:
//! nothing of it gets out of pullfuse.

use std::io::Read;

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::read::MultiGzDecoder;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use libtest_mimic::Trial;
use pullfuse_rig::{
    CONTAINERD_SOCKET, Options, Program, Signal,
    fake_registry::{Answer, FakeRegistry, StatusCode},
    images::Image,
};
use serde_json::{Value, json};

use crate::support::{
    AgentOptions, Node, condition, missing_pod, phase, pull_with, scenario, verdict,
};

const NAMESPACE: &str = "hostile";
const REGISTRY: u16 = 5020;
const LOCKED: u16 = 5021;
/// In Secrets and in `PullImage`.
const PASSWORD: &str = "MARKER-password-Qz7";
/// In errors of registries, and in the name of an image.
const QUOTED: &str = "MARKER-quoted-Qz7";
/// What a terminal would obey, and what turns the writing direction.
const SEQUENCES: &str = "\u{1b}[2J\u{1b}]8;;http://x\u{7}\u{9b}31m\u{202e}\u{2066}\u{2028}\0\r\n";

pub fn trials() -> Vec<Trial> {
    vec![scenario("hostile::no_credential_and_no_terminal_sequence_gets_out", nothing_gets_out)]
}

/// A text, and how it looks in base64 at each of three places and in hex.
fn spellings(secret: &str) -> Vec<Vec<u8>> {
    let shifted = (0..3).map(|shift| {
        let text = STANDARD.encode(format!("{}{secret}", "x".repeat(shift)));
        // The first and the last digits depend on what stands beside.
        text.as_bytes()[4..text.len() - 4].to_vec()
    });
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    shifted.chain([secret.into(), hex.into_bytes()]).collect()
}

fn holds(bytes: &[u8], secret: &str) -> bool {
    let has = |word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
    spellings(secret).iter().any(|word| has(word))
}

fn is_harmless(text: &str) -> bool {
    !text.chars().any(|c| {
        c.is_control() && c != '\n'
            || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200f}')
    })
}

/// An error of a registry that repeats what it was asked.
fn echo() -> String {
    let message = format!(
        "{SEQUENCES}sent Authorization: Basic {} to https://me:{QUOTED}@r/x?token={QUOTED}&sig={QUOTED} {}",
        STANDARD.encode(format!("me:{QUOTED}")),
        SEQUENCES.repeat(100_000),
    );
    json!({ "errors": [{ "code": "DENIED", "message": message }] }).to_string()
}

fn secret() -> String {
    let login = json!({ "username": "me", "password": PASSWORD });
    let auths = json!({ "auths": { format!("127.0.0.1:{LOCKED}"): login } });
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": { "namespace": NAMESPACE, "name": "login" },
        "data": { ".dockerconfigjson": STANDARD.encode(auths.to_string()) },
    })
    .to_string()
}

/// Pods that are ended.
const ENDED: [&str; 3] = ["locked", "echo", "wishes"];
/// Pods with a name of an image that is none: reported, so that a verdict's evidence, which the node
/// spells as the pod does, need not be compared.
const REPORTED: [&str; 2] = ["url", "turned"];

async fn apply_pods(node: &Node, images: &[(&str, String)]) -> anyhow::Result<()> {
    for (name, image) in images {
        let spec = json!({ "containers": [{ "name": "c", "image": image }],
                           "imagePullSecrets": [{ "name": "login" }] });
        let mut pod: Value = serde_json::from_str(&missing_pod(NAMESPACE, name, spec))?;
        if *name == "wishes" {
            // A wish that is none must not end the pod earlier, nor keep it.
            pod["metadata"]["annotations"] = json!({
                "pullfuse.io/mode": format!("{SEQUENCES}ignore"),
                "pullfuse.io/max-attempts": "9".repeat(10_000),
                "example.com/other": SEQUENCES.repeat(6_000),
            });
        }
        // YAML would not have such characters.
        let pod = serde_json::from_value(pod)?;
        node.pods(NAMESPACE).create(&PostParams::default(), &pod).await?;
    }
    Ok(())
}

/// All that pullfuse wrote on a pod.
fn written(pod: &Pod) -> anyhow::Result<String> {
    let status = pod.status.as_ref().context("no status")?;
    let condition = condition(pod, "pullfuse.io/ImagePullFailed").context("no condition")?;
    anyhow::ensure!(verdict(pod)["class"].is_string(), "no verdict: {}", verdict(pod));
    let annotations = pod.metadata.annotations.as_ref().context("no annotations")?;
    let texts = [&status.reason, &status.message, &condition.reason, &condition.message];
    let texts = texts.map(|text| text.clone().unwrap_or_default());
    anyhow::ensure!(texts.iter().all(|text| text.len() <= 1024), "long: {texts:?}");
    Ok(texts.join("\n") + "\n" + &annotations["pullfuse.io/verdict"])
}

/// The bytes of a recording as they were on the socket.
fn recorded(node: &Node) -> anyhow::Result<Vec<u8>> {
    let file = std::fs::File::open(node.rig.host_path("/run/hostile.wire.jsonl.gz"))?;
    let mut text = String::new();
    MultiGzDecoder::new(file).read_to_string(&mut text)?;
    let mut bytes = text.clone().into_bytes();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line)?;
        bytes.extend(STANDARD.decode(line["data"].as_str().unwrap_or_default())?);
    }
    Ok(bytes)
}

async fn nothing_gets_out() -> anyhow::Result<()> {
    let mut agent = AgentOptions::new(
        "[limits]\nmax_attempts = 1\nmin_elapsed = \"0s\"\n[limits.ambiguous]\nmax_attempts = 1\n\
         min_elapsed = \"0s\"\n[breaker]\nimages = 0\n[caps]\nper_node = 99\nper_namespace = 99\n\
         [[scopes]]\nname = \"none\"\nimages = [\"https:*\", \"r.example/*\"]\naction = \"report\"\n",
    )
    .listening();
    agent.log = "trace".into();
    let node = Node::start(Options::default(), Some(agent.clone())).await?;
    let endpoint = format!("unix://{CONTAINERD_SOCKET}");
    let record = [
        env!("CARGO_BIN_EXE_pullfuse"),
        "record",
        "--endpoint",
        &endpoint,
        "--out",
        "/run/hostile.wire.jsonl.gz",
    ];
    node.rig.spawn(Program::new("recorder", record)).await?;
    let listens = async || Ok(node.rig.log("recorder")?.contains("listening").then_some(()));
    crate::support::until(listens).await?;

    let fine = Image::program("fine", &node.rig.parts().join("bin/fine"))?;
    let refused = |status, location: Option<String>, body| Answer::RefusedBlob {
        image: fine.clone(),
        status,
        location,
        body,
    };
    let registry = FakeRegistry::serve(node.rig.listen(REGISTRY)?)?;
    registry.set("echo", refused(StatusCode::FORBIDDEN, None, echo()));
    let signed = format!("http://127.0.0.1:9/layer?X-Amz-Algorithm=A&X-Amz-Signature={QUOTED}");
    let redirect = StatusCode::TEMPORARY_REDIRECT;
    registry.set("signed", refused(redirect, Some(signed), String::new()));
    let locked = FakeRegistry::serve(node.rig.listen(LOCKED)?)?;
    locked.set_default(Answer::basic("me", "right", Answer::NotFound));

    node.rig.namespace(NAMESPACE).await?;
    node.rig.apply(&secret()).await?;
    let images = [
        ("locked", locked.image("team/app:1")),
        ("echo", registry.image("echo:1")),
        ("signed", registry.image("signed:1")),
        ("url", format!("https://me:{QUOTED}@127.0.0.1:{REGISTRY}/app?sig={QUOTED}")),
        ("turned", format!("r.example/{SEQUENCES}{}x", "\u{202e}".repeat(10_000))),
        ("wishes", "127.0.0.1:5000/wishes:nosuch".into()),
    ];
    apply_pods(&node, &images).await?;
    pull_with(&node.rig, "127.0.0.1:5000/by-hand:nosuch", PASSWORD).await?;
    node.until_logged(&agent, &["attempt failed", "\"pod\":\"signed\""]).await?;

    let mut told = Vec::new();
    for name in ENDED {
        let pod =
            node.wait_pod(NAMESPACE, name, "it is Failed", |pod| phase(pod) == "Failed").await;
        let pod = pod.with_context(|| format!("{name}; {}", node.log_of(&agent)))?;
        told.push((format!("pod {name}"), written(&pod)?));
        let event = node.until_told(NAMESPACE, name, "ImagePullFailed").await?;
        let note = event.note.unwrap_or_default();
        assert!(note.len() <= 1024, "{} bytes", note.len());
        told.push((format!("Event about {name}"), note));
    }
    for name in REPORTED {
        let note = node.until_told(NAMESPACE, name, "ImagePullFailing").await?.note;
        told.push((format!("Event about {name}"), note.unwrap_or_default()));
    }
    let note = node.until_told(NAMESPACE, "wishes", "BadAnnotation").await?.note;
    told.push(("Event about a wish".into(), note.unwrap_or_default()));
    for words in [
        &["status"][..],
        &["status", "-o", "json"],
        &["pods"],
        &["pods", "-o", "json"],
        &["pod", "hostile/signed"],
        &["pod", "hostile/signed", "-o", "json"],
        &["explain", "hostile/signed"],
        &["pod", "hostile/echo"],
        &["explain", "hostile/echo"],
    ] {
        told.push((words.join(" "), node.ask(&agent, words).await?));
    }
    told.push(("metrics".into(), node.rig.metrics(agent.port).await?));
    told.push(("readyz".into(), node.rig.http_get(agent.port, "/readyz").await?.1));
    told.push(("log".into(), node.log_of(&agent)));
    let ledger = std::fs::read(node.rig.host_path("/var/lib/pullfuse/ledger.redb"))?;
    node.rig.kill("recorder", Signal::TERM).await?;
    node.rig.wait_exit("recorder").await?;

    let kubeconfig = node.rig.folder().join("config").join(format!("{}.kubeconfig", agent.name));
    let kubeconfig: Value = serde_json::from_slice(&std::fs::read(kubeconfig)?)?;
    let token = kubeconfig["users"][0]["user"]["token"].as_str().context("no token")?;
    let signature = token.rsplit('.').next().unwrap_or_default();
    assert!(signature.len() > 40, "no token of a ServiceAccount: {signature}");

    let bytes = told.iter().map(|(what, text)| (what.as_str(), text.as_bytes()));
    for (what, bytes) in bytes.chain([("ledger", &*ledger)]) {
        for secret in [PASSWORD, QUOTED, signature] {
            assert!(
                !holds(bytes, secret),
                "{what} holds {secret}:\n{}",
                String::from_utf8_lossy(bytes)
            );
        }
    }
    for (what, text) in &told {
        assert!(is_harmless(text), "{what}: {text:?}");
    }
    let recording = recorded(&node)?;
    assert!(holds(&recording, "by-hand:nosuch"), "nothing was recorded");
    assert!(!holds(&recording, PASSWORD), "the recording holds a password");

    // What is left still tells what it is about.
    let of = |what: &str| told.iter().find(|(name, _)| name == what).map_or("", |(_, text)| text);
    for (what, words) in [
        ("pod echo", "(forbidden)"),
        ("pod locked", "(unauthorized)"),
        ("Event about url", "https://***@"),
        ("pod hostile/signed", "X-Amz-Signature=***"),
        ("pod hostile/echo", "the pod was ended"),
        ("Event about a wish", "9…"),
    ] {
        assert!(of(what).contains(words), "{what} lacks {words}: {}", of(what));
    }
    Ok(())
}
