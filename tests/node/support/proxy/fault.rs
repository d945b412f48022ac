use std::time::Duration;

use axum::{body::Body, response::IntoResponse};
use http::{Method, Request, Response, StatusCode, header};
use serde_json::json;

/// Requests of an agent, by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    List,
    Watch,
    Read,
    Verdict,
    Event,
    Other,
}

impl Kind {
    pub const ALL: [Self; 6] =
        [Self::List, Self::Watch, Self::Read, Self::Verdict, Self::Event, Self::Other];

    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let (method, path) = (request.method(), request.uri().path());
        let watch = request.uri().query().is_some_and(|query| query.contains("watch="));
        match (method, path) {
            (&Method::GET, path) if path.ends_with("/pods") && watch => Self::Watch,
            (&Method::GET, path) if path.ends_with("/pods") => Self::List,
            (&Method::GET, path) if path.contains("/pods/") => Self::Read,
            (&Method::PATCH, path) if path.contains("/pods/") => Self::Verdict,
            (&Method::POST, path) if path.ends_with("/events") => Self::Event,
            (&Method::PATCH, path) if path.contains("/events/") => Self::Event,
            _ => Self::Other,
        }
    }
}

/// What is done to a request instead of passing it on.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// It is passed on after this time.
    Slow(Duration),
    /// It is answered so.
    Answer(u16),
    /// It is refused if it shows this token.
    Refuse(String),
    /// Its connection is closed.
    Reset,
    /// It is never answered.
    Hang,
    /// The answer is not what it says.
    Garbage,
    /// It is passed on, and half of the answer comes back.
    Truncated,
    /// A watch that ends in good order at once.
    Ended,
    /// A watch of a version that the server no longer knows.
    Expired,
}

/// Where a request goes.
pub(super) enum Way {
    On,
    OnAndTruncate,
    Close,
    Back(Response<Body>),
}

impl Fault {
    pub(super) async fn meet<B>(&self, request: &Request<B>) -> Way {
        match self {
            Self::Slow(delay) => {
                tokio::time::sleep(*delay).await;
                Way::On
            }
            Self::Answer(code) => Way::Back(status(*code)),
            Self::Refuse(token) => {
                let shown = request.headers().get(header::AUTHORIZATION);
                let refused = shown.is_some_and(|shown| *shown == format!("Bearer {token}"));
                if refused { Way::Back(status(401)) } else { Way::On }
            }
            Self::Reset => Way::Close,
            Self::Hang => std::future::pending().await,
            Self::Garbage => Way::Back("<html>{\"kind\": \u{0}".into_response()),
            Self::Truncated => Way::OnAndTruncate,
            Self::Ended => Way::Back(().into_response()),
            Self::Expired => {
                let error = json!({ "type": "ERROR", "object": body(410) });
                Way::Back(format!("{error}\n").into_response())
            }
        }
    }
}

fn body(code: u16) -> serde_json::Value {
    let message = match code {
        410 => "too old resource version: 1 (2)",
        _ => "as the test wants it",
    };
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
            "message": message, "reason": "Injected" })
}

fn status(code: u16) -> Response<Body> {
    let mut response = body(code).to_string().into_response();
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    if code == 429 {
        response.headers_mut().insert(header::RETRY_AFTER, "1".parse().unwrap());
    }
    response
}
