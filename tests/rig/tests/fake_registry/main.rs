//! The fake registry, as a client of a registry meets it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

use std::future::Future;
use std::net::TcpListener;
use std::sync::LazyLock;
use std::time::Duration;

use oci_client::Reference;
use pullfuse_rig::fake_registry::{Answer, FakeRegistry};
use pullfuse_rig::images::{self, Entry, Image, Settings};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;

mod answers;
mod credentials;
mod good;
mod push;
mod slow;

/// A registry where `team/app` has an answer.
fn registry(answer: Answer) -> FakeRegistry {
    let registry = FakeRegistry::serve(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
    registry.set("team/app", answer);
    registry
}

/// An image whose layer is large enough to be cut in pieces.
fn sample() -> Image {
    let noise: Vec<u8> =
        (0..50_u32).flat_map(|number| images::digest(&number.to_be_bytes()).into_bytes()).collect();
    let entry = Entry { path: "/bin/app".to_owned(), bytes: noise, mode: 0o755 };
    Image::files([entry], &Settings::default()).unwrap()
}

/// A request as a runtime sends it, without any comfort.
fn request(registry: &FakeRegistry, method: Method, path: &str) -> RequestBuilder {
    static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
        // Chooses the TLS library for the process.
        drop(images::client());
        // Each test has a runtime of its own, with which its connections end.
        reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap()
    });
    CLIENT.request(method, format!("http://{}{path}", registry.address()))
}

async fn get(registry: &FakeRegistry, path: &str) -> Response {
    soon(request(registry, Method::GET, path).send()).await.unwrap()
}

/// What a good answer takes, at most; what hangs fails here.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("no answer")
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// The code in the body of an error.
async fn code(response: Response) -> String {
    let body: Value = response.json().await.unwrap();
    body["errors"][0]["code"].as_str().unwrap().to_owned()
}

fn reference(registry: &FakeRegistry, name: &str) -> Reference {
    registry.image(name).parse().unwrap()
}

const MANIFEST: &str = "/v2/team/app/manifests/1";
