//! Manifests and blobs, whole and broken.

use std::ops::{Bound, Range};
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use headers::{ContentLength, ContentRange, HeaderMapExt};
use http::{HeaderName, StatusCode, header};
use serde_json::json;

use super::answer::{Answer, WRONG_ARCHITECTURE};
use super::request::{Ask, Target};
use super::state::State;
use super::{body, errors};
use crate::images::{Blob, Image};

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// An image, its layer broken if the answer says so.
pub(super) fn image(state: &Arc<State>, image: &Image, answer: &Answer, ask: &Ask) -> Response {
    match &ask.target {
        Target::Manifest(reference) => manifest(&image.manifest, reference),
        Target::Blob(digest) if *digest == image.layer.digest => match answer {
            Answer::TruncatedBlob(_) => truncated(&image.layer),
            Answer::RefusedBlob { status, location, body, .. } => {
                errors::own_words(*status, location.as_deref(), body)
            }
            Answer::CorruptBlob(_) => blob(&corrupt(&image.layer), ask, body::whole),
            _ => blob(&image.layer, ask, |bytes| body::paced(state, &ask.repository, bytes)),
        },
        Target::Blob(digest) if *digest == image.config.digest => {
            blob(&image.config, ask, body::whole)
        }
        Target::Blob(digest) => errors::blob_unknown(digest),
        Target::Registry | Target::Other => errors::repository_unknown(&ask.repository),
    }
}

/// The image behind an index that names it for another architecture.
pub(super) fn other_platform(image: &Image, ask: &Ask) -> Response {
    let Target::Manifest(reference) = &ask.target else {
        return errors::repository_unknown(&ask.repository);
    };
    let index = json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [{
            "mediaType": image.manifest.media_type,
            "digest": image.manifest.digest,
            "size": image.manifest.bytes.len(),
            "platform": { "architecture": WRONG_ARCHITECTURE, "os": "linux" },
        }],
    });
    let index = Blob::new(INDEX, index.to_string());
    let inner = *reference == image.manifest.digest;
    manifest(if inner { &image.manifest } else { &index }, reference)
}

/// A manifest as of 2015, without signatures: containerd 1.6 would convert a signed one.
pub(super) fn schema1(ask: &Ask) -> Response {
    let Target::Manifest(reference) = &ask.target else {
        return errors::repository_unknown(&ask.repository);
    };
    let old = json!({
        "schemaVersion": 1,
        "name": ask.repository,
        "tag": "latest",
        "architecture": "amd64",
        "fsLayers": [],
        "history": [],
        "signatures": [],
    });
    manifest(&Blob::new(SCHEMA1, old.to_string()), reference)
}

/// A manifest, for any tag and for its own digest.
fn manifest(manifest: &Blob, reference: &str) -> Response {
    if reference.contains(':') && reference != manifest.digest {
        return errors::manifest_unknown(reference);
    }
    let headers =
        [(header::CONTENT_TYPE, &manifest.media_type), (CONTENT_DIGEST, &manifest.digest)];
    (headers, manifest.bytes.clone()).into_response()
}

/// A blob, or the range of it that the client wants.
fn blob(blob: &Blob, ask: &Ask, body: impl FnOnce(Bytes) -> axum::body::Body) -> Response {
    let length = blob.bytes.len();
    let Some(range) = wanted(ask, length) else {
        return (StatusCode::RANGE_NOT_SATISFIABLE, "").into_response();
    };
    let partial = range.len() < length;
    let mut response = body(blob.bytes.slice(range.clone())).into_response();
    if partial {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    let headers = response.headers_mut();
    headers.typed_insert(headers::ContentType::octet_stream());
    headers.typed_insert(headers::AcceptRanges::bytes());
    headers.typed_insert(ContentLength(range.len() as u64));
    if let Ok(range) = ContentRange::bytes(range.start as u64..range.end as u64, length as u64)
        && partial
    {
        headers.typed_insert(range);
    }
    if let Ok(digest) = blob.digest.parse() {
        headers.insert(CONTENT_DIGEST, digest);
    }
    response
}

/// The first range of the request, all of the blob without one; None if it lies outside.
fn wanted(ask: &Ask, length: usize) -> Option<Range<usize>> {
    let Some(range) = ask.headers.typed_get::<headers::Range>() else { return Some(0..length) };
    let (start, end) = range.satisfiable_ranges(length as u64).next()?;
    let start = match start {
        Bound::Included(first) => usize::try_from(first).ok()?,
        Bound::Excluded(_) | Bound::Unbounded => 0,
    };
    let end = match end {
        Bound::Included(last) => usize::try_from(last).ok()?.saturating_add(1).min(length),
        Bound::Excluded(end) => usize::try_from(end).ok()?.min(length),
        Bound::Unbounded => length,
    };
    (start < end).then_some(start..end)
}

/// Half of the blob, of which the headers promise all. A client that asks for the rest gets the
/// same half again.
fn truncated(blob: &Blob) -> Response {
    let half = blob.bytes.slice(..blob.bytes.len() / 2);
    let mut response = body::of_unknown_length(half).into_response();
    let headers = response.headers_mut();
    headers.typed_insert(headers::ContentType::octet_stream());
    headers.typed_insert(ContentLength(blob.bytes.len() as u64));
    response
}

/// Other bytes under the same digest.
fn corrupt(blob: &Blob) -> Blob {
    let bytes: Vec<u8> = blob.bytes.iter().map(|byte| !byte).collect();
    Blob { bytes: bytes.into(), ..blob.clone() }
}
