//! What works: whole images, ranges, switching, counting.

use flate2::read::GzDecoder;
use oci_client::manifest::{IMAGE_LAYER_GZIP_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE};
use oci_client::secrets::RegistryAuth;
use pullfuse_rig::fake_registry::{Answer, Counts};
use pullfuse_rig::images::{self, Image};
use reqwest::{Method, StatusCode};

use crate::{MANIFEST, code, get, header, reference, registry, request, sample, soon};

#[tokio::test]
async fn a_client_pulls_the_image_by_tag_and_by_digest() {
    let image = sample();
    let registry = registry(Answer::Image(image.clone()));
    let by_digest = format!("team/app@{}", image.manifest.digest);
    for name in ["team/app:1", "team/app:other", &by_digest] {
        let pulled = images::client()
            .pull(
                &reference(&registry, name),
                &RegistryAuth::Anonymous,
                vec![IMAGE_LAYER_GZIP_MEDIA_TYPE],
            )
            .await
            .unwrap();
        assert_eq!(pulled.digest.as_deref(), Some(image.manifest.digest.as_str()));
        assert_eq!(pulled.layers[0].data, image.layer.bytes);
        assert_eq!(pulled.config.data, image.config.bytes);
    }
}

#[tokio::test]
async fn another_digest_is_missing() {
    let registry = registry(Answer::Image(sample()));
    let other = images::digest(b"other");
    for (kind, error) in [("manifests", "MANIFEST_UNKNOWN"), ("blobs", "BLOB_UNKNOWN")] {
        let response = get(&registry, &format!("/v2/team/app/{kind}/{other}")).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(code(response).await, error);
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let image = sample();
    let registry = registry(Answer::Image(image.clone()));
    let blob = format!("/v2/team/app/blobs/{}", image.layer.digest);
    for (path, content) in [(MANIFEST, &image.manifest), (&*blob, &image.layer)] {
        let head = soon(request(&registry, Method::HEAD, path).send()).await.unwrap();
        let get = get(&registry, path).await;
        for name in ["content-type", "content-length", "docker-content-digest"] {
            assert_eq!(header(&head, name), header(&get, name), "{name}");
        }
        assert_eq!(header(&head, "content-length"), content.bytes.len().to_string());
        assert_eq!(header(&head, "docker-content-digest"), content.digest);
        assert_eq!(header(&head, "docker-distribution-api-version"), "registry/2.0");
        assert!(head.bytes().await.unwrap().is_empty());
        assert_eq!(get.bytes().await.unwrap(), content.bytes);
    }
    assert_eq!(header(&get(&registry, MANIFEST).await, "content-type"), OCI_IMAGE_MEDIA_TYPE);
}

#[tokio::test]
async fn ranges_of_a_blob() {
    let image = sample();
    let registry = registry(Answer::Image(image.clone()));
    let bytes = &image.layer.bytes;
    let path = format!("/v2/team/app/blobs/{}", image.layer.digest);
    let length = bytes.len();
    for (range, from, to) in
        [("bytes=10-19", 10, 20), ("bytes=100-", 100, length), ("bytes=-7", length - 7, length)]
    {
        let request = request(&registry, Method::GET, &path).header("range", range);
        let response = soon(request.send()).await.unwrap();
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT, "{range}");
        let expected = format!("bytes {from}-{}/{length}", to - 1);
        assert_eq!(header(&response, "content-range"), expected);
        assert_eq!(response.bytes().await.unwrap(), bytes.slice(from..to), "{range}");
    }
    let beyond = request(&registry, Method::GET, &path).header("range", format!("bytes={length}-"));
    let beyond = soon(beyond.send()).await.unwrap();
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
}

#[tokio::test]
async fn an_answer_changes_while_the_registry_runs() {
    let registry = registry(Answer::NotFound);
    assert_eq!(get(&registry, MANIFEST).await.status(), StatusCode::NOT_FOUND);
    registry.set("team/app", Answer::Image(sample()));
    assert_eq!(get(&registry, MANIFEST).await.status(), StatusCode::OK);
    registry.set("team/app", Answer::Forbidden);
    assert_eq!(get(&registry, MANIFEST).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn other_repositories_follow_the_default() {
    let registry = registry(Answer::Image(sample()));
    assert_eq!(get(&registry, "/v2/other/manifests/1").await.status(), StatusCode::NOT_FOUND);
    registry.set_default(Answer::Forbidden);
    assert_eq!(get(&registry, "/v2/other/manifests/1").await.status(), StatusCode::FORBIDDEN);
    assert_eq!(get(&registry, MANIFEST).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn requests_are_counted_by_repository_and_kind() {
    let image = sample();
    let registry = registry(Answer::Image(image.clone()));
    let blob = format!("/v2/team/app/blobs/{}", image.layer.digest);
    request(&registry, Method::HEAD, MANIFEST).send().await.unwrap();
    for path in [MANIFEST, MANIFEST, &blob, "/v2/team/app/tags/list", "/v2/x/manifests/1", "/v2/"] {
        get(&registry, path).await;
    }
    get(&registry, "/token?scope=repository:team/app:pull").await;
    let expected = Counts { manifest_get: 2, manifest_head: 1, blob: 1, token: 1, total: 6 };
    assert_eq!(registry.requests("team/app"), expected);
    let expected = Counts { manifest_get: 1, total: 1, ..Counts::default() };
    assert_eq!(registry.requests("x"), expected);
    assert_eq!(registry.requests("never"), Counts::default());
    // What has been seen already is not waited for.
    soon(registry.wait_for("team/app", |counts| counts.total == 6)).await;
}

#[test]
fn an_image_has_its_files_and_always_the_same_digest() {
    let image = sample();
    assert_eq!(image.manifest.digest, sample().manifest.digest);
    let mut archive = tar::Archive::new(GzDecoder::new(&*image.layer.bytes));
    let header = archive.entries().unwrap().next().unwrap().unwrap().header().clone();
    assert_eq!(header.path().unwrap().to_str(), Some("bin/app"));
    assert_eq!(header.mode().unwrap(), 0o755);
}

#[test]
fn programs_of_different_names_share_no_blob() {
    let file = std::path::Path::new("/bin/true");
    let [one, two] = ["one", "two"].map(|name| Image::program(name, file).unwrap());
    assert_ne!(one.layer.digest, two.layer.digest);
    assert_ne!(one.config.digest, two.config.digest);
    let config = String::from_utf8(one.config.bytes.to_vec()).unwrap();
    assert!(config.contains("\"Entrypoint\":[\"/one\"]"), "{config}");
}
