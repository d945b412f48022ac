//! The container runtime of this node, asked over its CRI socket.
//!
//! In: an [`Endpoint`]. Out: the runtime's name and version, and whether it has an image. Touches
//! only that socket, and only with calls that change nothing.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use k8s_cri::v1::{
    ImageSpec, ImageStatusRequest, VersionRequest, image_service_client::ImageServiceClient,
    runtime_service_client::RuntimeServiceClient,
};
use thiserror::Error;
use tokio::{net::UnixStream, sync::watch};
use tonic::{
    Status,
    transport::{Channel, Uri},
};
use tower::service_fn;

use crate::{config::Endpoint, text::plain};

/// No call may take longer; an image store busy unpacking can take seconds.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// Longest text of an answer that is told, in bytes.
const TEXT_LIMIT: usize = 1024;
/// Longest name and version of a runtime that is told, in bytes.
const LONGEST_NAME: usize = 128;

/// Why the runtime could not be asked.
#[derive(Debug, Clone, Error)]
pub enum RuntimeError {
    /// No socket answers.
    #[error(
        "no container runtime answers: {0}; mount the CRI socket into the pod and set \
             runtime.endpoint, or set act.check_image = false to do without"
    )]
    Absent(String),
    /// The runtime answered with an error.
    #[error("the runtime answered {0:?}: {1}")]
    Refused(tonic::Code, String),
}

impl From<Status> for RuntimeError {
    fn from(status: Status) -> Self {
        Self::Refused(status.code(), plain(status.message(), TEXT_LIMIT))
    }
}

/// Who answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The socket.
    pub socket: PathBuf,
    /// `containerd` or `cri-o`.
    pub name: String,
    /// The runtime's version.
    pub version: String,
}

/// A handle to the runtime; clones share one connection.
#[derive(Debug, Clone)]
pub struct Runtime {
    endpoint: Endpoint,
    found: watch::Sender<Result<(Identity, Channel), RuntimeError>>,
}

impl Runtime {
    /// A handle that has not asked yet.
    pub fn new(endpoint: Endpoint) -> Self {
        let unasked = RuntimeError::Absent("it has not been asked yet".into());
        Self { endpoint, found: watch::Sender::new(Err(unasked)) }
    }

    /// Looks which runtime answers, keeping a connection that still does.
    ///
    /// # Errors
    /// When none does; the text names every socket tried and why it failed.
    pub async fn probe(&self) -> Result<Identity, RuntimeError> {
        let known = self.found.borrow().as_ref().ok().cloned();
        if let Some((known, channel)) = known
            && let Ok(identity) = identify(channel.clone(), &known.socket).await
        {
            self.keep(Ok((identity.clone(), channel)));
            return Ok(identity);
        }
        let mut failures = Vec::new();
        for socket in self.endpoint.candidates() {
            let channel = connect(socket);
            match identify(channel.clone(), socket).await {
                Ok(identity) => {
                    self.keep(Ok((identity.clone(), channel)));
                    return Ok(identity);
                }
                Err(why) => failures.push(format!("{}: {why}", socket.display())),
            }
        }
        let error = RuntimeError::Absent(failures.join("; "));
        self.keep(Err(error.clone()));
        Err(error)
    }

    fn keep(&self, found: Result<(Identity, Channel), RuntimeError>) {
        self.found.send_modify(|state| *state = found);
    }

    /// Whether the node has an image, as the kubelet asks before it pulls.
    ///
    /// # Errors
    /// When the runtime does not answer.
    pub async fn has_image(&self, image: &str) -> Result<bool, RuntimeError> {
        let (_, channel) = self.found.borrow().clone()?;
        let spec = ImageSpec { image: image.into(), ..ImageSpec::default() };
        let mut request =
            tonic::Request::new(ImageStatusRequest { image: Some(spec), verbose: false });
        request.set_timeout(CALL_LIMIT);
        let answer = ImageServiceClient::new(channel).image_status(request).await?;
        Ok(answer.into_inner().image.is_some())
    }
}

/// A connection that is made when first used and again whenever it broke.
fn connect(socket: &Path) -> Channel {
    let socket = socket.to_owned();
    // The URI is only a name: the connector decides where it goes.
    let endpoint = Channel::builder(Uri::from_static("http://cri")).timeout(CALL_LIMIT);
    endpoint.connect_with_connector_lazy(service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    }))
}

async fn identify(channel: Channel, socket: &Path) -> Result<Identity, String> {
    // tonic's own text for a missing socket is "transport error".
    UnixStream::connect(socket).await.map_err(|error| error.to_string())?;
    let mut request = tonic::Request::new(VersionRequest::default());
    request.set_timeout(CALL_LIMIT);
    let answer = RuntimeServiceClient::new(channel).version(request).await;
    let answer = answer.map_err(|status| RuntimeError::from(status).to_string())?.into_inner();
    let told = |text: &str| plain(text, LONGEST_NAME);
    let (name, version) = (told(&answer.runtime_name), told(&answer.runtime_version));
    Ok(Identity { socket: socket.into(), name, version })
}

#[cfg(test)]
mod tests;
