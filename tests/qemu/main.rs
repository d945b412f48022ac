//! The whole of it in a virtual machine: a real containerd, a client that keeps what passes over its
//! connection, and the agent with its two capabilities. Run by `run.sh`, which puts `containerd`,
//! `cri-client`, `pullfuse` and `setpriv` on `PATH`.
//!
//! Each pull is made for a pod of its own, so a call is known by its pod's UID.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]
#![allow(missing_docs, reason = "nobody links to a test")]

mod agent;
mod client;
mod node;
mod streams;

use serde_json::Value;

use self::{
    agent::Agent,
    client::{Call, Client, Made},
    node::{Node, USER},
    streams::{Compared, compare},
};

/// A request of this size does not fit into a frame, nor into a record of the capture.
const LARGE: usize = 100_000;
/// What a pod's annotations and labels may well be.
const USUAL: usize = 5_000;
const BURST: usize = 300;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a machine of its own: tests/qemu/run.sh"]
async fn three_hundred_pulls_at_once_are_heard_byte_for_byte() {
    let node = Node::start();
    let agent = Agent::record(node.socket());
    let mut client = Client::connect(node.socket());
    client.pull(some(&node, "first"));
    client.pull((0..BURST).map(|number| varied(&node, "burst", number)).collect());
    let (tee, made) = client.close();
    let recording = agent.end();

    let secrets = made.iter().filter_map(|made| made.call.auth()).collect::<Vec<_>>();
    let Compared { joined, blanked } = compare(&recording.path, &tee, &secrets);
    assert_eq!(joined, (0, 0), "the beginning is missing");
    assert_eq!(blanked, secrets.len(), "requests whose credentials are blanked");
    let calls = recording.replay();
    assert_eq!(calls.len(), made.len(), "calls in the recording");
    for Made { call, code, message } in &made {
        let seen = &calls[&call.uid];
        assert_same_pull(seen, call, *code);
        assert_eq!(seen["code"], *code, "{seen}");
        assert_eq!(seen["message"], message.as_str(), "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a machine of its own: tests/qemu/run.sh"]
async fn an_agent_that_comes_late_hears_every_pull_from_then_on() {
    let node = Node::start();
    let mut client = Client::connect(node.socket());
    client.pull(some(&node, "unheard"));
    let before = client.passed();
    let agent = Agent::record(node.socket());
    client.pull(some(&node, "late"));
    client.pull((0..20).map(|number| varied(&node, "later", number)).collect());
    let (tee, made) = client.close();
    let recording = agent.end();

    let secrets = made.iter().filter_map(|made| made.call.auth()).collect::<Vec<_>>();
    let Compared { joined, .. } = compare(&recording.path, &tee, &secrets);
    // The runtime may have added a few bytes to the last answer before the agent came.
    assert!(joined.0 >= before.0 && joined.1 >= before.1, "{joined:?}, {before:?}");
    let calls = recording.replay();
    let heard: Vec<_> = made.iter().filter(|made| !made.call.uid.contains("unheard")).collect();
    assert_eq!(calls.len(), heard.len(), "calls in the recording");
    for Made { call, code, message } in heard {
        let seen = &calls[&call.uid];
        assert_same_pull(seen, call, *code);
        assert!(seen["code"] == *code || seen["code"].is_null(), "{seen}");
        assert!(seen["message"] == message.as_str() || seen["message"].is_null(), "{seen}");
    }
}

/// One pull of each kind, among them a large request.
fn some(node: &Node, prefix: &str) -> Vec<Call> {
    let mut all: Vec<_> = (0..4).map(|number| varied(node, prefix, number)).collect();
    all[1].padding = LARGE;
    all
}

/// A pull that succeeds, without credentials or with them, or one that fails: a missing image, of
/// which each has a text of its own, or wrong credentials.
fn varied(node: &Node, prefix: &str, number: usize) -> Call {
    let (image, password, succeeds) = match number % 4 {
        0 => (node.fine(), String::new(), true),
        1 => {
            let image = node.missing(&format!("{prefix}/{number}"));
            (image, format!("MARKER-SECRET-{number}"), false)
        }
        2 => (node.private(), node::PASSWORD.to_owned(), true),
        _ => (node.private(), format!("MARKER-SECRET-wrong-{number}"), false),
    };
    Call {
        image,
        namespace: format!("team-{}", number % 3),
        pod: format!("{prefix}-{number}"),
        uid: format!("00000000-{prefix}-{number}"),
        user: USER.to_owned(),
        password,
        padding: USUAL,
        succeeds,
    }
}

fn assert_same_pull(seen: &Value, call: &Call, code: u32) {
    assert_eq!(seen["image"], call.image.as_str(), "{seen}");
    assert_eq!(seen["namespace"], call.namespace.as_str(), "{seen}");
    assert_eq!(seen["pod"], call.pod.as_str(), "{seen}");
    assert_eq!(seen["outcome"], if code == 0 { "succeeded" } else { "failed" }, "{seen}");
}
