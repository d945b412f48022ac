//! The way to the API server, from a kubeconfig or a pod's ServiceAccount.
//!
//! In: a [`kube::Config`]. Out: a client that is not connected yet, or what is wrong without what stands
//! in the file. Touches nothing.

use kube::Client;
use secrecy::ExposeSecret;

/// A client as `connect` makes it, which leaves retries to its user, who knows what a failure means.
///
/// # Errors
/// With what is wrong with the configuration.
pub(crate) fn client(
    mut config: kube::Config,
    connect: impl FnOnce(kube::Config) -> kube::Result<Client>,
) -> Result<Client, String> {
    config.default_retry = false;
    // With a token that is no header the client would panic.
    let token = config.auth_info.token.as_ref();
    if token.is_some_and(|token| !is_token(token.expose_secret())) {
        return Err("its token has a character that no token has, such as a line break".into());
    }
    connect(config).map_err(|error| told(&error))
}

/// What is wrong with a kubeconfig. Its parser quotes the lines around the fault, and of a command
/// that failed all output is shown: both may hold credentials.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let text = crate::say(error);
    if text.contains("auth exec command") {
        return "the command of its user (exec) failed; run it by hand to see why".into();
    }
    text.lines().next().unwrap_or_default().to_owned()
}

fn is_token(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}
