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
    /// The socket is not for this user.
    #[error(
        "user {uid} may not ask the agent at {socket}: only root and the agent's own user are \
         answered; use sudo, or `kubectl -n pullfuse exec POD -- pullfuse ...`"
    )]
    Denied {
        /// The socket.
        socket: PathBuf,
        /// Who asked.
        uid: u32,
    },
    /// The agent does not know what was asked for.
    #[error("{0}")]
    NotFound(String),
    /// What was asked for cannot be done as things are, or was asked wrongly.
    #[error("{0}")]
    No(String),
    /// The agent's answer was no.
    #[error("the agent answered {0:?}: {1}")]
    Refused(Code, String),
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::NotFound => Self::NotFound(status.message().to_owned()),
            Code::FailedPrecondition | Code::InvalidArgument => {
                Self::No(status.message().to_owned())
            }
            // As from an agent that is older than this program.
            Code::Unimplemented => Self::No(
                "the agent does not know this question: it is older than this program".into(),
            ),
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
    let denied = || ClientError::Denied {
        socket: socket.to_owned(),
        uid: rustix::process::geteuid().as_raw(),
    };
    let channel = endpoint.connect_with_connector(connector).await.map_err(|error| {
        if is_denied(&error) {
            return denied();
        }
        ClientError::Absent { socket: socket.to_owned(), why: crate::say(&error) }
    })?;
    Ok(AgentClient::new(channel))
}

fn is_denied(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied) {
            return true;
        }
        cause = error.source();
    }
    false
}
