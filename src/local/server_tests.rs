use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use tempfile::TempDir;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use super::*;
use crate::{
    config::Config,
    fixtures::{key, start, tally},
    journal::{Change, Kind},
    local::{Client, ClientError, connect, watchers},
    pulls::Pull,
    serve::Condition,
};

fn about() -> About {
    About {
        node: "node-a".into(),
        started: start(),
        health: Health::new(&mut Registry::default(), &["pods"]),
        pulls: Pulls::default(),
        settings: watch::Sender::new(Arc::new(Settings::new(Config::default()))).subscribe(),
        log: Level::new("info", |_| true),
        watchers: watchers(),
    }
}

/// Asks a server whose judge never begins.
async fn asked<T>(about: About, ask: impl AsyncFnOnce(Client, &Path) -> T) -> T {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("run").join("pullfuse.sock");
    let (judge, _nobody) = mpsc::channel(1);
    let server = Server::new(about, judge);
    let asking = async {
        let client = loop {
            match connect(&socket).await {
                Ok(client) => break client,
                Err(ClientError::Absent { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        };
        ask(client, &socket).await
    };
    tokio::select! {
        ended = server.run(&socket) => panic!("{ended:?}"),
        answer = asking => answer,
    }
}

async fn channel(socket: &Path) -> tonic::transport::Channel {
    let path = socket.to_owned();
    let connector = tower::service_fn(move |_: tonic::transport::Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(hyper_util::rt::TokioIo::new) }
    });
    let endpoint = tonic::transport::Endpoint::from_static("http://pullfuse");
    endpoint.connect_with_connector(connector).await.unwrap()
}

#[tokio::test]
async fn the_status_is_told_also_while_the_judge_has_not_begun() {
    let about = about();
    let names = ("batch".to_owned(), "p".to_owned());
    let began = Instant::now().checked_sub(Duration::from_mins(1)).unwrap();
    about.pulls.set([Pull::new(key(), names, 1_000_000, began)]);
    about.health.set("pods", Condition::Degraded("API server away".into()));
    let (status, mode) = asked(about, async |mut client, socket| {
        let status = client.status(v1::StatusRequest {}).await.unwrap().into_inner();
        (status, fs::metadata(socket).unwrap().permissions().mode())
    })
    .await;
    assert_eq!(status.node, "node-a");
    assert_eq!(status.counts, None);
    assert_eq!(status.parts[0].text, "API server away");
    assert_eq!(status.pulls[0].image, "img");
    assert!(status.pulls[0].age.unwrap().seconds >= 60);
    assert_eq!(status.log_level.unwrap().configured, "info");
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("pullfuse.sock");
    drop(bind(&socket).await.unwrap());
    let _listener = bind(&socket).await.unwrap();
    assert!(bind(&socket).await.unwrap_err().to_string().contains("another agent"));
}

fn attempt(number: u64) -> Numbered {
    let text = "x".repeat(400);
    let change = Change::of_image(start(), Kind::Attempt, &key(), &tally(1), &text);
    (number, Arc::new(change))
}

#[tokio::test]
async fn who_reads_too_slowly_is_told_how_much_was_missed_and_holds_nobody_up() {
    const ALL: u64 = 20_000;
    let about = about();
    let watchers = about.watchers.clone();
    let (seen, missed) = asked(about, async |mut client, _| {
        let watching = client.watch(v1::WatchRequest::default());
        let mut changes = watching.await.unwrap().into_inner();
        for number in 0..ALL {
            watchers.send(attempt(number)).unwrap();
            if number % 64 == 0 {
                // The server sends as long as there is room.
                tokio::task::yield_now().await;
            }
        }
        let (mut seen, mut missed, mut last) = (0, 0, None);
        while last != Some(ALL - 1) {
            match changes.message().await.unwrap().unwrap().what.unwrap() {
                v1::watch_response::What::Change(change) => {
                    assert!(last < Some(change.number), "out of order");
                    last = Some(change.number);
                    seen += 1;
                }
                v1::watch_response::What::Missed(number) => missed += number,
            }
        }
        (seen, missed)
    })
    .await;
    assert!(missed > 0, "nothing was missed: nothing was shown");
    assert_eq!(seen + missed, ALL, "each is seen or counted as missed");
}

#[tokio::test]
async fn only_so_many_may_watch_and_who_ends_makes_room() {
    asked(about(), async |mut client, socket| {
        let mut watching = Vec::new();
        for _ in 0..WATCHING {
            let mut client = connect(socket).await.unwrap();
            watching.push(client.watch(v1::WatchRequest::default()).await.unwrap());
        }
        let refused = client.watch(v1::WatchRequest::default()).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        drop(watching);
        while client.watch(v1::WatchRequest::default()).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_text_is_explained_by_the_rules_in_effect() {
    let mut about = about();
    let text = "mode = \"dry-run\"\n[[rules]]\nmatch = \"scan\"\nclass = \"forbidden\"";
    let settings = Settings::new(crate::config::parse(text).unwrap());
    about.settings = watch::Sender::new(Arc::new(settings)).subscribe();
    asked(about, async |mut client, _| {
        let asked = v1::ExplainRequest { message: "held by scan".into(), ..Default::default() };
        let answer = client.explain(asked).await.unwrap().into_inner();
        assert_eq!(
            (answer.class.as_str(), answer.disposition.as_str()),
            ("forbidden", "ambiguous")
        );
        assert!(answer.outlook.contains("dry run"), "{}", answer.outlook);
        let asked = v1::ExplainRequest { code: "Sometimes".into(), ..Default::default() };
        let refused = client.explain(asked).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains("code is not"), "{}", refused.message());
    })
    .await;
}

#[tokio::test]
async fn health_is_readiness_and_reflection_knows_the_questions() {
    use tonic_health::pb::health_check_response::ServingStatus;
    let about = about();
    let health = about.health.clone();
    asked(about, async |_, socket| {
        let mut client = HealthClient::new(channel(socket).await);
        let wanted = HealthCheckRequest { service: v1::agent_server::SERVICE_NAME.into() };
        let mut seen = client.watch(wanted).await.unwrap().into_inner();
        let mut until = async |status: ServingStatus| {
            while seen.message().await.unwrap().unwrap().status() != status {}
        };
        until(ServingStatus::NotServing).await;
        health.set("pods", Condition::Good("watching".into()));
        until(ServingStatus::Serving).await;

        let mut client = ServerReflectionClient::new(channel(socket).await);
        let symbol = MessageRequest::FileContainingSymbol("pullfuse.v1.Agent.Watch".into());
        let request =
            ServerReflectionRequest { host: String::new(), message_request: Some(symbol) };
        let mut answers =
            client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
        let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
        assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)), "{answer:?}");
    })
    .await;
}
