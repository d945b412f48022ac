//! Measures the calls to the API server: how long writes take, and when the watch last brought
//! anything.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use parking_lot::Mutex;
use prometheus_client::metrics::histogram::Histogram;

use super::Series;
use crate::api::lists_or_watches;

/// When the API server was last heard of; clones share it.
#[derive(Debug, Clone)]
pub struct Contact(Arc<Mutex<Instant>>);

impl Default for Contact {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Contact {
    /// Time since then, or since the start.
    pub fn age(&self) -> Duration {
        self.0.lock().elapsed()
    }

    fn heard(&self) {
        *self.0.lock() = Instant::now();
    }
}

/// A client that measures what goes through it: writes, and each piece that a watch or a list of
/// pods brings.
pub fn measured(client: Client, writes: Series<Histogram>, contact: Contact) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, contact) = (client.clone(), contact.clone());
        let write = written(&request).map(|write| Write::begin(&writes, write));
        let follows = lists_or_watches(&request);
        async move {
            let answer = client.send(request).await;
            if let Some(write) = write {
                write.end(answer.as_ref().map_or("unavailable", result));
            }
            let answer = answer?;
            let follows = follows && answer.status().is_success();
            if follows {
                contact.heard();
            }
            Ok::<Response<_>, kube::Error>(answer.map(move |body| {
                body.map_frame(move |frame| {
                    if follows {
                        contact.heard();
                    }
                    frame
                })
            }))
        }
    });
    Client::new(service, namespace)
}

/// What a request writes; `None`: nothing that others see.
fn written(request: &Request<Body>) -> Option<&'static str> {
    let path = request.uri().path();
    if *request.method() == Method::PATCH && path.contains("/apis/events.k8s.io/") {
        return Some("event");
    }
    if *request.method() == Method::PATCH {
        return Some(if path.ends_with("/status") { "status" } else { "deadline" });
    }
    (*request.method() == Method::POST && path.ends_with("/events")).then_some("event")
}

fn result(answer: &Response<Body>) -> &'static str {
    match answer.status() {
        status if status.is_success() => "ok",
        StatusCode::NOT_FOUND => "gone",
        StatusCode::CONFLICT => "conflict",
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "forbidden",
        StatusCode::TOO_MANY_REQUESTS => "unavailable",
        status if status.is_client_error() => "rejected",
        _ => "unavailable",
    }
}

/// A write under way. Whoever gives it up drops it.
struct Write {
    writes: Series<Histogram>,
    write: &'static str,
    result: &'static str,
    began: Instant,
}

impl Write {
    fn begin(writes: &Series<Histogram>, write: &'static str) -> Self {
        Self { writes: writes.clone(), write, result: "given_up", began: Instant::now() }
    }

    fn end(mut self, result: &'static str) {
        self.result = result;
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        let took = self.began.elapsed().as_secs_f64();
        self.writes.with([self.write, self.result]).observe(took);
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use kube::{
        Api,
        api::{ListParams, Patch, PatchParams},
    };
    use prometheus_client::registry::Registry;
    use serde_json::json;
    use tower_test::mock;

    use super::*;
    use crate::metrics::table;

    #[tokio::test]
    async fn writes_are_measured_by_answer_and_a_list_is_a_sign_of_life() {
        let (service, mut api) = mock::pair::<Request<Body>, Response<Body>>();
        let mut registry = Registry::default();
        let writes = table::API_WRITE_DURATION.series(&mut registry, || Histogram::new([1.0]));
        let long_ago = Instant::now().checked_sub(Duration::from_secs(600)).unwrap();
        let contact = Contact(Arc::new(Mutex::new(long_ago)));
        let client = measured(Client::new(service, "default"), writes, contact.clone());
        tokio::spawn(async move {
            for (status, body) in [
                (
                    409,
                    json!({ "code": 409, "status": "Failure", "message": "m", "reason": "Conflict" }),
                ),
                (200, json!({ "metadata": {}, "items": [] })),
            ] {
                let (_, answer) = api.next_request().await.unwrap();
                let body = Body::from(body.to_string().into_bytes());
                answer.send_response(Response::builder().status(status).body(body).unwrap());
            }
        });
        let pods = Api::<Pod>::default_namespaced(client);
        let patch = Patch::Merge(json!({}));
        let refused = pods.patch_status("p", &PatchParams::default(), &patch).await;
        assert!(refused.is_err_and(|error| error.to_string().contains('m')));
        assert!(contact.age() > Duration::from_secs(500), "a write says nothing of the watch");
        pods.list(&ListParams::default()).await.unwrap();
        assert!(contact.age() < Duration::from_secs(500));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let count = "api_write_duration_seconds_count{write=\"status\",result=\"conflict\"} 1";
        assert!(text.contains(count), "{text}");
    }
}
