//! Error answers as the OCI distribution specification wants them.

use axum::Json;
use axum::response::{Html, IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Value, json};

/// An error answer with the specification's code for it.
pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Response {
    detailed(status, code, message, &Value::Null)
}

fn detailed(status: StatusCode, code: &str, message: &str, detail: &Value) -> Response {
    let mut error = json!({ "code": code, "message": message });
    if !detail.is_null() {
        error["detail"] = detail.clone();
    }
    (status, Json(json!({ "errors": [error] }))).into_response()
}

pub(super) fn repository_unknown(repository: &str) -> Response {
    let detail = json!({ "name": repository });
    let message = "repository name not known to registry";
    detailed(StatusCode::NOT_FOUND, "NAME_UNKNOWN", message, &detail)
}

pub(super) fn manifest_unknown(reference: &str) -> Response {
    let detail = json!({ "Tag": reference });
    detailed(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "manifest unknown", &detail)
}

pub(super) fn blob_unknown(digest: &str) -> Response {
    let detail = json!({ "digest": digest });
    detailed(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "blob unknown to registry", &detail)
}

pub(super) fn unsupported() -> Response {
    let message = "The operation is unsupported.";
    error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message)
}

pub(super) fn denied() -> Response {
    let message = "requested access to the resource is denied";
    error(StatusCode::FORBIDDEN, "DENIED", message)
}

/// 401. `challenge` tells the client how to do better.
pub(super) fn unauthorized(challenge: &str, repository: &str) -> Response {
    let detail =
        json!([{ "Type": "repository", "Class": "", "Name": repository, "Action": "pull" }]);
    let message = "authentication required";
    let body = detailed(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message, &detail);
    ([(header::WWW_AUTHENTICATE, challenge)], body).into_response()
}

pub(super) fn too_many_requests(retry_after: Option<u32>) -> Response {
    let message = "You have reached your pull rate limit.";
    let body = error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", message);
    match retry_after {
        Some(seconds) => ([(header::RETRY_AFTER, seconds.to_string())], body).into_response(),
        None => body,
    }
}

/// The specification has no codes for these; the reference registry's are used.
pub(super) fn server_error(status: StatusCode) -> Response {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => error(status, "UNAVAILABLE", "service unavailable"),
        _ => error(status, "UNKNOWN", "unknown error"),
    }
}

/// Whatever the test wants to be said.
pub(super) fn own_words(status: StatusCode, location: Option<&str>, body: &str) -> Response {
    let location = location.map(|location| [(header::LOCATION, location.to_owned())]);
    (status, location, body.to_owned()).into_response()
}

/// The page of a captive portal.
pub(super) fn web_page() -> Response {
    Html("<!DOCTYPE html><html><title>Sign in to the network</title></html>\n").into_response()
}
