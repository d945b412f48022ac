//! Events against an API server that keeps them, and refuses what a real one refuses.

use std::{collections::BTreeMap, time::Duration};

use http::{Method, Request, Response};
use kube::client::Body;
use parking_lot::Mutex;

use super::*;

/// An API server that keeps Events.
#[derive(Clone, Default)]
struct ApiServer(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    events: BTreeMap<String, Value>,
    requests: usize,
}

impl ApiServer {
    /// An agent that has just started.
    fn agent(&self) -> Events {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = serde_json::from_slice(&body.collect_bytes().await?).unwrap();
                let last = head.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
                let (code, answer) = server.answer(head.method, &last, body);
                let body = Body::from(answer.to_string().into_bytes());
                Ok::<_, kube::Error>(Response::builder().status(code).body(body).unwrap())
            }
        });
        Events::new(Client::new(service, "default"), "node-a".into())
    }

    fn answer(&self, method: Method, name: &str, body: Value) -> (u16, Value) {
        let Kept { events, requests } = &mut *self.0.lock();
        *requests += 1;
        let status = |code: u16| (code, json!({ "code": code, "message": "no", "reason": "x" }));
        if method == Method::POST {
            let name = body["metadata"]["name"].as_str().unwrap().to_owned();
            if events.contains_key(&name) {
                return status(409);
            }
            events.insert(name, body.clone());
            return (201, body);
        }
        assert_eq!(method, Method::PATCH);
        let Some(event) = events.get_mut(name) else { return status(404) };
        for (key, value) in body.as_object().unwrap() {
            assert_eq!(key, "series", "nothing else of an Event may change");
            assert!(value["count"].as_u64() >= Some(2), "{value}");
            event[key] = value.clone();
        }
        (200, event.clone())
    }

    /// How often each Event says that it happened.
    fn counts(&self) -> Vec<u64> {
        let kept = self.0.lock();
        kept.events.values().map(|event| event["series"]["count"].as_u64().unwrap_or(1)).collect()
    }

    fn requests(&self) -> usize {
        self.0.lock().requests
    }
}

fn outage(since: Option<Timestamp>) -> Note {
    Note {
        subject: Subject::Node,
        warning: true,
        reason: "RegistryOutage",
        action: "HoldVerdicts",
        text: "it seems to be out of order".into(),
        key: "breaker".into(),
        since,
    }
}

/// Later than whatever was told before.
fn now() -> Option<Timestamp> {
    Some(Timestamp::now())
}

#[tokio::test(start_paused = true)]
async fn what_happens_again_is_counted_in_the_event_that_is_there() {
    let server = ApiServer::default();
    let agent = server.agent();
    let first = now();
    agent.tell(&outage(first)).await;
    agent.tell(&outage(first)).await;
    assert_eq!((server.counts(), server.requests()), (vec![1], 1), "one time, told twice");
    agent.tell(&outage(now())).await;
    assert_eq!(server.counts(), [2]);
    assert!(!agent.has_rest());
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_the_same_time_is_not_counted_and_another_is() {
    let server = ApiServer::default();
    let first = now();
    server.agent().tell(&outage(first)).await;
    for since in [first, None] {
        server.agent().tell(&outage(since)).await;
        assert_eq!(server.counts(), [1], "{since:?} was told");
    }
    let second = now();
    let agent = server.agent();
    agent.tell(&outage(second)).await;
    assert_eq!(server.counts(), [2]);
    for since in [first, second, None] {
        server.agent().tell(&outage(since)).await;
        assert_eq!(server.counts(), [2], "{since:?} was told");
    }
    // It knows now how often.
    tokio::time::advance(Duration::from_secs(360)).await;
    let before = server.requests();
    agent.tell(&outage(now())).await;
    assert_eq!((server.counts(), server.requests()), (vec![3], before + 1));
}

#[tokio::test(start_paused = true)]
async fn what_happens_all_the_time_is_written_every_few_minutes() {
    let server = ApiServer::default();
    let agent = server.agent();
    for _ in 0..600 {
        agent.tell(&outage(now())).await;
        agent.tell_rest().await;
        tokio::time::advance(Duration::from_secs(6)).await;
    }
    assert!((10..=13).contains(&server.requests()), "{} in an hour", server.requests());
    tokio::time::advance(Duration::from_secs(360)).await;
    assert!(agent.has_rest());
    agent.tell_rest().await;
    assert_eq!(server.counts(), [600], "none is lost");
    assert!(!agent.has_rest());
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_gone_is_written_anew() {
    let server = ApiServer::default();
    let agent = server.agent();
    agent.tell(&outage(now())).await;
    agent.tell(&outage(now())).await;
    server.0.lock().events.clear();
    for _ in 0..3 {
        agent.tell(&outage(now())).await;
    }
    tokio::time::advance(Duration::from_secs(360)).await;
    agent.tell_rest().await;
    assert_eq!(server.counts(), [3], "as often as since it was gone");
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_half_way_is_told_later() {
    let server = ApiServer::default();
    let agent = server.agent();
    let verdict = outage(now());
    drop(Box::pin(agent.tell(&verdict)));
    assert!(!agent.has_rest(), "it did not even begin");
    let mut telling = Box::pin(agent.tell(&verdict));
    let begun = std::future::poll_fn(|context| {
        let _ = telling.as_mut().poll(context);
        std::task::Poll::Ready(())
    });
    begun.await;
    drop(telling);
    agent.tell_rest().await;
    agent.tell(&verdict).await;
    assert_eq!(server.counts(), [1]);
}
