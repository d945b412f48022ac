//! What fails at once, each in its own way.

use oci_client::manifest::IMAGE_LAYER_GZIP_MEDIA_TYPE;
use oci_client::secrets::RegistryAuth;
use pullfuse_rig::fake_registry::{Answer, WRONG_ARCHITECTURE};
use pullfuse_rig::images;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::{MANIFEST, code, get, header, reference, registry, request, sample, soon};

#[tokio::test]
async fn every_error_has_its_status_and_code() {
    let registry = registry(Answer::NotFound);
    for (answer, status, error) in [
        (Answer::NotFound, 404, "MANIFEST_UNKNOWN"),
        (Answer::Unauthorized, 401, "UNAUTHORIZED"),
        (Answer::Forbidden, 403, "DENIED"),
        (Answer::TooManyRequests { retry_after: None }, 429, "TOOMANYREQUESTS"),
        (Answer::ServerError(StatusCode::INTERNAL_SERVER_ERROR), 500, "UNKNOWN"),
        (Answer::ServerError(StatusCode::BAD_GATEWAY), 502, "UNKNOWN"),
        (Answer::ServerError(StatusCode::SERVICE_UNAVAILABLE), 503, "UNAVAILABLE"),
    ] {
        registry.set("team/app", answer);
        let head = soon(request(&registry, Method::HEAD, MANIFEST).send()).await.unwrap();
        assert_eq!(head.status().as_u16(), status);
        let response = get(&registry, MANIFEST).await;
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(header(&response, "content-type"), "application/json");
        assert_eq!(header(&response, "docker-distribution-api-version"), "registry/2.0");
        assert_eq!(code(response).await, error);
    }
}

#[tokio::test]
async fn the_pull_limit_says_when_to_come_again() {
    let registry = registry(Answer::TooManyRequests { retry_after: Some(30) });
    assert_eq!(header(&get(&registry, MANIFEST).await, "retry-after"), "30");
    registry.set("team/app", Answer::TooManyRequests { retry_after: None });
    assert!(!get(&registry, MANIFEST).await.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn the_registry_itself_follows_the_default_answer() {
    let registry = registry(Answer::Forbidden);
    for (answer, status) in [
        (Answer::NotFound, 200),
        (Answer::Forbidden, 200),
        (Answer::Image(sample()), 200),
        (Answer::Unauthorized, 401),
        (Answer::ServerError(StatusCode::GATEWAY_TIMEOUT), 504),
    ] {
        registry.set_default(answer);
        let response = get(&registry, "/v2/").await;
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(header(&response, "docker-distribution-api-version"), "registry/2.0");
    }
}

#[tokio::test]
async fn nothing_can_be_pushed() {
    let registry = registry(Answer::Image(sample()));
    let push = request(&registry, Method::PUT, MANIFEST).body("{}");
    let response = soon(push.send()).await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(code(response).await, "UNSUPPORTED");
}

#[tokio::test]
async fn another_platform_only() {
    let image = sample();
    let registry = registry(Answer::WrongPlatform(image.clone()));
    let response = get(&registry, MANIFEST).await;
    assert_eq!(header(&response, "content-type"), "application/vnd.oci.image.index.v1+json");
    let digest = header(&response, "docker-content-digest").to_owned();
    let index = response.bytes().await.unwrap();
    assert_eq!(digest, images::digest(&index));
    let index: Value = serde_json::from_slice(&index).unwrap();
    assert_eq!(index["manifests"][0]["platform"]["architecture"], WRONG_ARCHITECTURE);
    assert_eq!(index["manifests"][0]["digest"], image.manifest.digest);
    for digest in [&digest, &image.manifest.digest] {
        let response = get(&registry, &format!("/v2/team/app/manifests/{digest}")).await;
        assert_eq!(header(&response, "docker-content-digest"), digest);
    }
    let pulled = images::client()
        .pull(
            &reference(&registry, "team/app:1"),
            &RegistryAuth::Anonymous,
            vec![IMAGE_LAYER_GZIP_MEDIA_TYPE],
        )
        .await;
    let error = pulled.err().expect("there is nothing for this machine").to_string();
    assert!(error.contains("platform"), "{error}");
}

#[tokio::test]
async fn answers_that_are_no_manifest_of_today() {
    let registry = registry(Answer::Schema1);
    let response = get(&registry, MANIFEST).await;
    let expected = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    assert_eq!(header(&response, "content-type"), expected);
    let body: Value = response.json().await.unwrap();
    assert_eq!((&body["schemaVersion"], &body["name"]), (&1.into(), &"team/app".into()));

    registry.set("team/app", Answer::TextHtml);
    let response = get(&registry, MANIFEST).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "content-type"), "text/html; charset=utf-8");
}

#[tokio::test]
async fn a_corrupt_layer_has_the_right_length_only() {
    let image = sample();
    let registry = registry(Answer::CorruptBlob(image.clone()));
    let pulled = images::client()
        .pull(
            &reference(&registry, "team/app:1"),
            &RegistryAuth::Anonymous,
            vec![IMAGE_LAYER_GZIP_MEDIA_TYPE],
        )
        .await;
    let error = pulled.err().expect("the digest does not match").to_string();
    assert!(error.to_lowercase().contains("digest"), "{error}");
    let layer = get(&registry, &format!("/v2/team/app/blobs/{}", image.layer.digest)).await;
    let layer = layer.bytes().await.unwrap();
    assert_eq!(layer.len(), image.layer.bytes.len());
    assert_ne!(images::digest(&layer), image.layer.digest);
    let config = get(&registry, &format!("/v2/team/app/blobs/{}", image.config.digest)).await;
    assert_eq!(config.bytes().await.unwrap(), image.config.bytes);
}

#[tokio::test]
async fn a_truncated_layer_ends_in_the_middle() {
    let image = sample();
    let registry = registry(Answer::TruncatedBlob(image.clone()));
    let path = format!("/v2/team/app/blobs/{}", image.layer.digest);
    let mut response = get(&registry, &path).await;
    assert_eq!(header(&response, "content-length"), image.layer.bytes.len().to_string());
    let mut received = Vec::new();
    let error = loop {
        match soon(response.chunk()).await {
            Ok(Some(bytes)) => received.extend(bytes),
            Ok(None) => panic!("the layer came whole"),
            Err(error) => break error,
        }
    };
    assert!(error.is_decode() || error.is_body(), "{error:?}");
    assert_eq!(received, image.layer.bytes[..image.layer.bytes.len() / 2]);
}

#[tokio::test]
async fn a_reset_closes_the_connection_without_an_answer() {
    let registry = registry(Answer::Reset);
    let error = soon(request(&registry, Method::GET, MANIFEST).send()).await.unwrap_err();
    assert!(format!("{error:?}").contains("IncompleteMessage"), "{error:?}");
    assert!(registry.requests("team/app").manifest_get >= 1);
    registry.set("team/app", Answer::Image(sample()));
    assert_eq!(get(&registry, MANIFEST).await.status(), StatusCode::OK);
}
