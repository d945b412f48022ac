//! The client of the API server, from the pod's ServiceAccount or a kubeconfig.

use kube::Client;
use secrecy::ExposeSecret;

use super::AgentError;

/// Configures a client; it does not connect yet.
pub(super) async fn client() -> Result<Client, AgentError> {
    let mut config = kube::Config::infer().await.map_err(|error| refused(&error))?;
    // Retries are decided where it is known what a failure means.
    config.default_retry = false;
    // With a token that is no header the client would panic.
    let token = config.auth_info.token.as_ref();
    if token.is_some_and(|token| !is_token(token.expose_secret())) {
        let why = "the kubeconfig's token has a character that no token has, such as a line break";
        return Err(AgentError::NoApiServer(why.into()));
    }
    Client::try_from(config).map_err(|error| refused(&error))
}

fn is_token(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

fn refused(error: &dyn std::error::Error) -> AgentError {
    AgentError::NoApiServer(without_quotes(&crate::say(error)).to_owned())
}

/// A parser quotes the lines around the fault, and a failed command's output is shown whole: both may
/// hold credentials.
fn without_quotes(text: &str) -> &str {
    let text = text.lines().next().unwrap_or_default();
    text.split_once("auth exec command").map_or(
        text,
        |_| "the command of the kubeconfig's user (exec) failed; run it by hand to see why",
    )
}
