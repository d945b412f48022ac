//! What does not answer, or not in time.

use std::time::{Duration, Instant};

use pullfuse_rig::fake_registry::Answer;
use reqwest::{Method, StatusCode};
use tokio::time::timeout;

use crate::{MANIFEST, get, registry, request, sample, soon};

/// Long enough for a wrong answer to arrive over loopback.
const NOTHING_COMES: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_hanging_request_is_released_by_another_answer() {
    let registry = registry(Answer::Hang);
    let mut hanging = tokio::spawn(request(&registry, Method::GET, MANIFEST).send());
    soon(registry.wait_for("team/app", |counts| counts.manifest_get == 1)).await;
    registry.set("team/other", Answer::NotFound);
    registry.set_default(Answer::Forbidden);
    assert!(timeout(NOTHING_COMES, &mut hanging).await.is_err(), "it did not hang");
    registry.set("team/app", Answer::NotFound);
    let response = soon(hanging).await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(registry.requests("team/app").total, 1, "released, not asked again");
}

#[tokio::test]
async fn waiting_for_requests_ends_with_the_last_of_them() {
    let registry = registry(Answer::NotFound);
    let waiting = registry.wait_for("team/app", |counts| counts.manifest_get >= 2);
    tokio::pin!(waiting);
    get(&registry, MANIFEST).await;
    assert!(timeout(NOTHING_COMES, &mut waiting).await.is_err(), "one request is not two");
    get(&registry, MANIFEST).await;
    assert_eq!(soon(waiting).await.manifest_get, 2);
}

#[tokio::test]
async fn a_stalled_layer_comes_at_once_when_released() {
    let image = sample();
    let stalled = Answer::SlowBlob { image: image.clone(), bytes_per_second: 0 };
    let registry = registry(stalled);
    let path = format!("/v2/team/app/blobs/{}", image.layer.digest);
    let response = get(&registry, &path).await;
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.bytes();
    tokio::pin!(body);
    assert!(timeout(NOTHING_COMES, &mut body).await.is_err(), "it did not stall");
    registry.set("team/app", Answer::Image(image.clone()));
    assert_eq!(soon(body).await.unwrap(), image.layer.bytes);
}

#[tokio::test]
async fn a_slow_layer_takes_its_time() {
    let image = sample();
    let length = image.layer.bytes.len() as u64;
    let slow = Answer::SlowBlob { image: image.clone(), bytes_per_second: length * 4 };
    let registry = registry(slow);
    let path = format!("/v2/team/app/blobs/{}", image.layer.digest);
    let started = Instant::now();
    let layer = soon(get(&registry, &path).await.bytes()).await.unwrap();
    assert_eq!(layer, image.layer.bytes);
    assert!(started.elapsed() >= Duration::from_millis(200), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_dropped_registry_closes_its_port_and_connections() {
    let registry = registry(Answer::Hang);
    let address = registry.address();
    let hanging = tokio::spawn(request(&registry, Method::GET, MANIFEST).send());
    soon(registry.wait_for("team/app", |counts| counts.total == 1)).await;
    drop(registry);
    assert!(soon(hanging).await.unwrap().is_err());
    let again = tokio::net::TcpStream::connect(address).await.unwrap_err();
    assert_eq!(again.kind(), std::io::ErrorKind::ConnectionRefused);
}
