use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use thiserror::Error;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{Semaphore, broadcast, mpsc, oneshot, watch},
};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Status, transport::server::UdsConnectInfo};

use super::{
    Numbered, Question,
    v1::{self, agent_server::AgentServer},
};
use crate::{logging::Level, pulls::Pulls, serve::Health, settings::Settings};

/// No answer takes longer; one that goes on, such as that to `Watch`, must have begun by then.
const LIMIT: Duration = Duration::from_secs(10);
/// How long the judge may take; it may not have begun.
const JUDGE_LIMIT: Duration = Duration::from_secs(2);
/// Questions are small.
const LARGEST_QUESTION: usize = 64 << 10;
const CONCURRENT: usize = 16;
/// People who watch a node at the same time.
const WATCHING: usize = 16;

/// The socket cannot be used.
#[derive(Debug, Error)]
#[error("the command line cannot reach this agent: {}: {source}; set serve.socket to a path in a \
         folder that can be written", .path.display())]
pub struct SocketError {
    path: PathBuf,
    source: io::Error,
}

/// What the server tells without asking the judge.
#[derive(Debug, Clone)]
pub struct About {
    /// The agent's node.
    pub node: String,
    /// When the agent started.
    pub started: Timestamp,
    /// How its parts are doing.
    pub health: Health,
    /// The pulls that go on.
    pub pulls: Pulls,
    /// The configuration in effect.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// What is logged.
    pub log: Level,
    /// Where changes are told.
    pub watchers: broadcast::Sender<Numbered>,
}

/// The API of one agent.
#[derive(Debug)]
pub struct Server {
    pub(super) about: About,
    pub(super) watching: Arc<Semaphore>,
    judge: mpsc::Sender<Question>,
}

impl Server {
    /// A server that asks the judge over this queue.
    pub fn new(about: About, judge: mpsc::Sender<Question>) -> Self {
        Self { about, watching: Arc::new(Semaphore::new(WATCHING)), judge }
    }

    /// Serves until dropped.
    ///
    /// # Errors
    /// When the socket cannot be made or breaks.
    pub async fn run(self, socket: &Path) -> Result<(), SocketError> {
        let failed = |source| SocketError { path: socket.to_owned(), source };
        let broken = |error: &dyn std::error::Error| failed(io::Error::other(crate::say(error)));
        let listener = bind(socket).await.map_err(failed)?;
        let (reporter, health) = tonic_health::server::health_reporter();
        let ready = self.about.health.readiness();
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(v1::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .map_err(|error| broken(&error))?;
        let agent = AgentServer::new(self).max_decoding_message_size(LARGEST_QUESTION);
        let serving = tonic::transport::Server::builder()
            .timeout(LIMIT)
            .concurrency_limit_per_connection(CONCURRENT)
            .layer(tonic::service::InterceptorLayer::new(own_user_only))
            .add_service(agent)
            .add_service(health)
            .add_service(reflection)
            .serve_with_incoming(UnixListenerStream::new(listener));
        tokio::select! {
            ended = serving => ended.map_err(|error| broken(&error)),
            () = tell_readiness(reporter, ready) => Ok(()),
        }
    }

    /// Asks the judge.
    pub(super) async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Question,
    ) -> Result<T, Status> {
        let (answer, answered) = oneshot::channel();
        let asking = async {
            self.judge.send(question(answer)).await.ok()?;
            answered.await.ok()
        };
        let asked = tokio::time::timeout(JUDGE_LIMIT, asking).await;
        // The judge begins once the node's name is known to be right.
        asked.ok().flatten().ok_or_else(|| {
            Status::unavailable(
                "the agent has not begun to judge; `pullfuse status` says what it waits for",
            )
        })
    }
}

/// The agent's readiness in the words of gRPC's health check.
async fn tell_readiness(
    reporter: tonic_health::server::HealthReporter,
    mut ready: watch::Receiver<bool>,
) {
    use tonic_health::ServingStatus::{NotServing, Serving};
    loop {
        let status = if *ready.borrow_and_update() { Serving } else { NotServing };
        for name in ["", v1::agent_server::SERVICE_NAME] {
            reporter.set_service_status(name, status).await;
        }
        if ready.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// The user at the other end.
pub(super) fn peer<T>(request: &Request<T>) -> Option<u32> {
    let info = request.extensions().get::<UdsConnectInfo>();
    info.and_then(|info| info.peer_cred).map(|peer| peer.uid())
}

/// Whoever is root can read the agent's memory; nobody else is to know the node's pods.
fn own_user_only(request: Request<()>) -> Result<Request<()>, Status> {
    match peer(&request) {
        Some(uid) if uid == 0 || uid == rustix::process::geteuid().as_raw() => Ok(request),
        _ => Err(Status::permission_denied("only root and the agent's own user are answered")),
    }
}

/// Takes the socket; one that an agent left behind is replaced.
async fn bind(socket: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = socket.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    match UnixStream::connect(socket).await {
        Ok(_) => return Err(io::Error::other("another agent answers there")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(socket)?,
        Err(_) => {}
    }
    let listener = UnixListener::bind(socket)?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
