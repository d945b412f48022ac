//! Passwords, tokens and the token server.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use axum::{Form, Json, extract::Query, extract::State as Shared};
use headers::authorization::{Authorization, Basic, Bearer};
use headers::{HeaderMap, HeaderMapExt};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::answer::{Answer, Login, Tokens};
use super::errors;
use super::request::{Ask, Target};
use super::state::State;
use crate::images;

/// The token of those who may not pull.
const USELESS: &str = "anonymous";

/// A refusal is as large as a response.
type Checked = Result<(), Box<Response>>;

pub(super) fn ask_for_password(ask: &Ask) -> Response {
    errors::unauthorized("Basic realm=\"fake registry\"", &ask.repository)
}

pub(super) fn check_password(login: &Login, ask: &Ask) -> Checked {
    let given = password(&ask.headers);
    if given.as_ref() == Some(login) { Ok(()) } else { Err(Box::new(ask_for_password(ask))) }
}

pub(super) fn check_token(tokens: &Tokens, ask: &Ask) -> Checked {
    let given = ask.headers.typed_get::<Authorization<Bearer>>();
    let good = match &ask.target {
        // Scopes name repositories: for the registry itself any token will do.
        Target::Registry => given.is_some(),
        _ => {
            given.as_ref().is_some_and(|given| Some(given.token()) == good(tokens, ask).as_deref())
        }
    };
    if good {
        return Ok(());
    }
    let mut challenge = format!("Bearer realm=\"http://{}/token\",service=\"fake\"", ask.host());
    if !matches!(ask.target, Target::Registry) {
        challenge += &format!(",scope=\"repository:{}:pull\"", ask.repository);
    }
    if given.is_some() {
        challenge += ",error=\"insufficient_scope\"";
    }
    Err(Box::new(errors::unauthorized(&challenge, &ask.repository)))
}

fn good(tokens: &Tokens, ask: &Ask) -> Option<String> {
    match tokens {
        Tokens::Anyone => Some(token(&ask.repository, None)),
        Tokens::Login(login) => Some(token(&ask.repository, Some(login))),
        Tokens::Insufficient | Tokens::Refused(_) => None,
    }
}

/// The token that opens a repository. It changes with the password, so that an old one is worth
/// nothing, and does not contain it.
fn token(repository: &str, login: Option<&Login>) -> String {
    images::digest(format!("{repository} {login:?}").as_bytes())
}

fn password(headers: &HeaderMap) -> Option<Login> {
    let given = headers.typed_get::<Authorization<Basic>>()?;
    Some(Login::new(given.username(), given.password()))
}

/// What a client asks the token server for.
#[derive(Debug, Deserialize)]
pub(super) struct TokenRequest {
    /// `repository:<name>:pull`
    #[serde(default)]
    scope: String,
    /// With POST only, as OAuth 2 has it.
    username: Option<String>,
    password: Option<String>,
}

pub(super) async fn token_by_get(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Query(request): Query<TokenRequest>,
) -> Response {
    issue(&state, &request.scope, password(&headers).as_ref())
}

pub(super) async fn token_by_post(
    Shared(state): Shared<Arc<State>>,
    Form(request): Form<TokenRequest>,
) -> Response {
    let login = request.username.zip(request.password);
    let login = login.map(|(user, password)| Login { user, password });
    issue(&state, &request.scope, login.as_ref())
}

fn issue(state: &State, scope: &str, given: Option<&Login>) -> Response {
    let repository = scope.split(':').nth(1).unwrap_or_default();
    state.count(repository, |counts| counts.token += 1);
    let answers = state.answers.borrow();
    let Answer::BearerToken { tokens, .. } = answers.get(repository) else {
        // A client that was sent here by `/v2/`: the repository itself wants no token.
        return grant(USELESS);
    };
    match (tokens, given) {
        (Tokens::Refused(status), _) => token_refused(*status),
        (Tokens::Anyone, _) => grant(&token(repository, None)),
        (Tokens::Login(login), Some(given)) if given != login => {
            token_refused(StatusCode::UNAUTHORIZED)
        }
        (Tokens::Login(login), Some(_)) => grant(&token(repository, Some(login))),
        (Tokens::Insufficient, _) | (Tokens::Login(_), None) => grant(USELESS),
    }
}

fn grant(token: &str) -> Response {
    // Older clients read the first, newer ones the second.
    Json(json!({ "token": token, "access_token": token, "expires_in": 300 })).into_response()
}

fn token_refused(status: StatusCode) -> Response {
    match status {
        StatusCode::UNAUTHORIZED => {
            errors::error(status, "UNAUTHORIZED", "incorrect username or password")
        }
        StatusCode::FORBIDDEN => errors::denied(),
        StatusCode::TOO_MANY_REQUESTS => errors::too_many_requests(None),
        other => errors::server_error(other),
    }
}
