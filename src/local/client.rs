use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::UnixStream;
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint, Uri},
};
use tower::service_fn;

use super::v1::agent_client::AgentClient;

/// No answer takes longer; the agent itself gives up earlier.
const LIMIT: Duration = Duration::from_secs(15);

/// Why the agent could not be asked.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error(
        "no agent answers at {socket}: {why}; run this where the agent runs, for example with \
         `kubectl -n pullfuse exec POD -- pullfuse ...`, or name its socket with --socket"
    )]
    Absent {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The agent does not know what was asked for.
    #[error("{0}")]
    NotFound(String),
    /// The agent's answer was no.
    #[error("the agent answered {0:?}: {1}")]
    Refused(Code, String),
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::NotFound => Self::NotFound(status.message().to_owned()),
            code => Self::Refused(code, status.message().to_owned()),
        }
    }
}

/// A connection to the agent.
pub type Client = AgentClient<Channel>;

/// Connects to the agent at this socket.
///
/// # Errors
/// When nobody listens there.
pub async fn connect(socket: &Path) -> Result<Client, ClientError> {
    let path = socket.to_owned();
    let connector = service_fn(move |_: Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    // The address is not used: the connector knows the socket.
    let endpoint = Endpoint::from_static("http://pullfuse").timeout(LIMIT);
    let channel = endpoint.connect_with_connector(connector).await.map_err(|error| {
        ClientError::Absent { socket: socket.to_owned(), why: crate::say(&error) }
    })?;
    Ok(AgentClient::new(channel))
}
