//! The registry's addresses, and who answers there.

use std::sync::Arc;

use axum::extract::{self, Path, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use http::{HeaderName, HeaderValue, Method};
use serde_json::json;

use super::answer::Answer;
use super::request::{Ask, Target};
use super::serve::Reset;
use super::state::State;
use super::{auth, content, errors};

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/token", get(auth::token_by_get).post(auth::token_by_post))
        .route("/v2/", any(registry))
        .route("/v2/{*path}", any(repository))
        .with_state(state)
}

async fn registry(extract::State(state): extract::State<Arc<State>>, request: Request) -> Response {
    answer(&state, &Ask::registry(request)).await
}

async fn repository(
    extract::State(state): extract::State<Arc<State>>,
    Path(path): Path<String>,
    request: Request,
) -> Response {
    let ask = Ask::repository(&path, request);
    state.count(&ask.repository, |counts| ask.count(counts));
    answer(&state, &ask).await
}

/// Waits until there is an answer to give.
async fn answer(state: &Arc<State>, ask: &Ask) -> Response {
    let mut answers = state.answers.subscribe();
    loop {
        let answer = answers.borrow_and_update().get(&ask.repository).clone();
        if let Some(mut response) = respond(state, &answer, ask) {
            let version = HeaderValue::from_static("registry/2.0");
            response.headers_mut().insert(API_VERSION, version);
            return response;
        }
        if answers.changed().await.is_err() {
            // The state is borrowed, so its sender lives; if not, no answer is the right one.
            return Reset.into_response();
        }
    }
}

/// None: not now.
fn respond(state: &Arc<State>, answer: &Answer, ask: &Ask) -> Option<Response> {
    if !matches!(ask.method, Method::GET | Method::HEAD) {
        return Some(errors::unsupported());
    }
    Some(match answer {
        Answer::Hang => return None,
        Answer::Reset => Reset.into_response(),
        Answer::TextHtml => errors::web_page(),
        Answer::ServerError(status) => errors::server_error(*status),
        Answer::TooManyRequests { retry_after } => errors::too_many_requests(*retry_after),
        Answer::Unauthorized => auth::ask_for_password(ask),
        Answer::Basic { login, inner } => match auth::check_password(login, ask) {
            Ok(()) => return respond(state, inner, ask),
            Err(refusal) => *refusal,
        },
        Answer::BearerToken { tokens, inner } => match auth::check_token(tokens, ask) {
            Ok(()) => return respond(state, inner, ask),
            Err(refusal) => *refusal,
        },
        // What remains concerns repositories: the registry itself is fine.
        _ if matches!(ask.target, Target::Registry) => Json(json!({})).into_response(),
        Answer::NotFound => match &ask.target {
            Target::Manifest(reference) => errors::manifest_unknown(reference),
            Target::Blob(digest) => errors::blob_unknown(digest),
            Target::Registry | Target::Other => errors::repository_unknown(&ask.repository),
        },
        Answer::Forbidden => errors::denied(),
        Answer::Schema1 => content::schema1(ask),
        Answer::WrongPlatform(image) => content::other_platform(image, ask),
        Answer::Image(image)
        | Answer::SlowBlob { image, .. }
        | Answer::RefusedBlob { image, .. }
        | Answer::TruncatedBlob(image)
        | Answer::CorruptBlob(image) => content::image(state, image, answer, ask),
    })
}
