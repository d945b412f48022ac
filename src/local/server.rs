use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use strum::VariantNames;
use thiserror::Error;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{mpsc, oneshot},
};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status, transport::server::UdsConnectInfo};

use super::{
    Question, WhatIf, timestamp,
    v1::{
        self, ListPodsRequest, ListPodsResponse, Part, StatusRequest, StatusResponse,
        WhatIfRequest, WhatIfResponse,
        agent_server::{Agent, AgentServer},
    },
};
use crate::{
    classify::Class,
    pulls::{Pull, Pulls},
    serve::{Condition, Health},
    text::plain,
};

/// No answer takes longer.
const LIMIT: Duration = Duration::from_secs(10);
/// How long the judge may take; it may not have begun.
const JUDGE_LIMIT: Duration = Duration::from_secs(2);
/// Questions are small.
const LARGEST_QUESTION: usize = 64 << 10;
const CONCURRENT: usize = 16;
/// Bytes of a question that an answer repeats.
const LONGEST_ECHO: usize = 64;

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
}

/// The API of one agent.
#[derive(Debug)]
pub struct Server {
    about: About,
    judge: mpsc::Sender<Question>,
}

impl Server {
    /// A server that asks the judge over this queue.
    pub fn new(about: About, judge: mpsc::Sender<Question>) -> Self {
        Self { about, judge }
    }

    /// Serves until dropped.
    ///
    /// # Errors
    /// When the socket cannot be made or breaks.
    pub async fn run(self, socket: &Path) -> Result<(), SocketError> {
        let failed = |source| SocketError { path: socket.to_owned(), source };
        let listener = bind(socket).await.map_err(failed)?;
        let agent = AgentServer::new(self).max_decoding_message_size(LARGEST_QUESTION);
        tonic::transport::Server::builder()
            .timeout(LIMIT)
            .concurrency_limit_per_connection(CONCURRENT)
            .layer(tonic::service::InterceptorLayer::new(own_user_only))
            .add_service(agent)
            .serve_with_incoming(UnixListenerStream::new(listener))
            .await
            .map_err(|error| failed(io::Error::other(crate::say(&error))))
    }

    /// Asks the judge.
    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let asking = async {
            self.judge.send(question(answer)).await.ok()?;
            answered.await.ok()
        };
        tokio::time::timeout(JUDGE_LIMIT, asking).await.ok().flatten()
    }
}

/// Whoever is root can read the agent's memory; nobody else is to know the node's pods.
fn own_user_only(request: Request<()>) -> Result<Request<()>, Status> {
    let info = request.extensions().get::<UdsConnectInfo>();
    let uid = info.and_then(|info| info.peer_cred).map(|peer| peer.uid());
    match uid {
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

#[tonic::async_trait]
impl Agent for Server {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let About { node, started, health, pulls } = &self.about;
        let summary = self.ask(Question::Summary).await;
        let (counts, breakers) = summary.map(|s| (s.counts, s.breakers)).unzip();
        Ok(Response::new(StatusResponse {
            version: env!("CARGO_PKG_VERSION").into(),
            node: node.clone(),
            started: Some(timestamp(*started)),
            parts: health.parts().into_iter().map(|(name, state)| part(name, state)).collect(),
            pulls: pulls.all().iter().map(pull).collect(),
            counts,
            breakers: breakers.unwrap_or_default(),
        }))
    }

    async fn list_pods(
        &self,
        request: Request<ListPodsRequest>,
    ) -> Result<Response<ListPodsResponse>, Status> {
        let wanted = request.into_inner();
        let answer = self.ask(|answer| Question::Pods(wanted, answer)).await;
        answer.map(Response::new).ok_or_else(not_yet)
    }

    async fn what_if(
        &self,
        request: Request<WhatIfRequest>,
    ) -> Result<Response<WhatIfResponse>, Status> {
        let question = question(&request.into_inner()).map_err(Status::invalid_argument)?;
        let answer = self.ask(|answer| Question::WhatIf(question, answer)).await;
        answer.map(Response::new).ok_or_else(not_yet)
    }
}

/// The judge begins once the node's name is known to be right.
fn not_yet() -> Status {
    Status::unavailable(
        "the agent has not begun to judge; `pullfuse status` says what it waits for",
    )
}

fn question(request: &WhatIfRequest) -> Result<WhatIf, String> {
    let WhatIfRequest { max_attempts, class, min_elapsed } = request;
    if *max_attempts == 0 {
        return Err("max_attempts is 0; use 1 or more".into());
    }
    let known = || Class::VARIANTS.join(", ");
    let class = match class.as_str() {
        "" => None,
        name => Some(name.parse().map_err(|_| {
            let name = plain(name, LONGEST_ECHO);
            format!("no class {name}; use one of {}", known())
        })?),
    };
    let least = |of: &pbjson_types::Duration| {
        let seconds = SignedDuration::from_secs(of.seconds);
        let nanos = SignedDuration::from_nanos(of.nanos.into());
        seconds.checked_add(nanos).ok_or("min_elapsed is longer than any time")
    };
    let min_elapsed = min_elapsed.as_ref().map(least).transpose()?;
    Ok(WhatIf { max_attempts: *max_attempts, min_elapsed, class })
}

fn part(name: &str, condition: Condition) -> Part {
    use v1::part::State;
    let (state, text) = match condition {
        Condition::Starting(text) => (State::Starting, text),
        Condition::Good(text) => (State::Good, text),
        Condition::Degraded(text) => (State::Degraded, text),
    };
    Part { name: name.into(), state: state.into(), text }
}

fn pull(pull: &Pull) -> v1::Pull {
    let age = pull.began.elapsed();
    v1::Pull {
        namespace: pull.namespace.clone(),
        pod: pull.pod.clone(),
        image: pull.key.image.clone(),
        since: Some(timestamp(pull.since)),
        age: Some(age.into()),
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;
    use tempfile::TempDir;

    use super::*;
    use crate::{
        fixtures::{key, start},
        local::{ClientError, connect},
    };

    fn about() -> About {
        let health = Health::new(&mut Registry::default(), &["pods"]);
        About { node: "node-a".into(), started: start(), health, pulls: Pulls::default() }
    }

    #[tokio::test]
    async fn the_status_is_told_also_while_the_judge_has_not_begun() {
        let folder = TempDir::new().unwrap();
        let socket = folder.path().join("run").join("pullfuse.sock");
        let about = about();
        let names = ("batch".to_owned(), "p".to_owned());
        about.pulls.set([Pull::new(key(), names, 1_000_000, 61_000_000)]);
        about.health.set("pods", Condition::Degraded("API server away".into()));
        let (judge, _nobody) = mpsc::channel(1);
        let server = Server::new(about, judge);
        let asking = async {
            let mut client = loop {
                match connect(&socket).await {
                    Ok(client) => break client,
                    Err(ClientError::Absent { .. }) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            };
            client.status(StatusRequest {}).await.unwrap().into_inner()
        };
        let status = tokio::select! {
            ended = server.run(&socket) => panic!("{ended:?}"),
            status = asking => status,
        };
        assert_eq!(status.node, "node-a");
        assert_eq!(status.counts, None);
        assert_eq!(status.parts[0].text, "API server away");
        assert_eq!(status.pulls[0].image, "img");
        assert!(status.pulls[0].age.unwrap().seconds >= 60);
        assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_question_is_refused_in_a_few_words() {
        let ask = |seconds, nanos, class: &str| {
            let min_elapsed = Some(pbjson_types::Duration { seconds, nanos });
            question(&WhatIfRequest { max_attempts: 1, class: class.into(), min_elapsed })
        };
        assert!(ask(60, 0, "not_found").is_ok());
        assert!(ask(i64::MAX, i32::MAX, "").unwrap_err().contains("min_elapsed"));
        let error = ask(1, 0, &"\u{1b}[2Jx".repeat(9999)).unwrap_err();
        assert!(error.len() < 1000 && !error.contains(char::is_control), "{error}");
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
        let folder = TempDir::new().unwrap();
        let socket = folder.path().join("pullfuse.sock");
        drop(bind(&socket).await.unwrap());
        let _listener = bind(&socket).await.unwrap();
        assert!(bind(&socket).await.unwrap_err().to_string().contains("another agent"));
    }
}
