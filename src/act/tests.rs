//! The actor against an API server played by the test: each call is checked by method, path and
//! body. What a real API server and kubelet do with these calls is shown on the rig.

use http::{Method as Verb, Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower_test::mock::{self, Handle};

use jiff::Timestamp;

use super::*;
use crate::{
    attempts::{PullKey, Stage, Tally},
    fixtures::{cause, tally},
    policy::Because,
    pulls::Hearing,
};

type ApiServer = Handle<Request<Body>, Response<Body>>;

struct Fixture {
    actor: Arc<Actor>,
    api: ApiServer,
    pods: Pods,
    pulls: Pulls,
    health: Health,
    _dir: TempDir,
}

fn fixture(toml: &str) -> Fixture {
    let (service, api) = mock::pair::<Request<Body>, Response<Body>>();
    let dir = TempDir::new().unwrap();
    let (ledger, _) = Ledger::open(dir.path()).unwrap();
    let config = crate::config::parse(toml).unwrap();
    let (pods, pulls) = (Pods::default(), Pulls::default());
    let runtime = Runtime::new(config.runtime.endpoint.clone());
    let mut registry = prometheus_client::registry::Registry::default();
    let health = Health::new(&mut registry, &["verdicts"]);
    let metrics = Metrics::new(&mut registry);
    let client = Client::new(service, "default");
    let actor = Actor::new(Parts {
        client: client.clone(),
        events: Events::new(client, "node-a".into()),
        settings: watch::channel(Arc::new(Settings::new(config))).1,
        breaker: watch::channel(Breaker::default()).1,
        ledger: Arc::new(ledger),
        runtime,
        pods: pods.clone(),
        pulls: pulls.clone(),
        health: health.clone(),
        clock: Clock::new(),
        metrics,
    });
    Fixture { actor: Arc::new(actor), api, pods, pulls, health, _dir: dir }
}

const NO_CHECK: &str = "[act]\ncheck_image = false\nverify_for = \"1s\"";

fn record() -> VerdictRecord {
    let long_ago = Timestamp::now() - jiff::SignedDuration::from_hours(1);
    let tally = Tally {
        first_attempt: long_ago,
        last_attempt: long_ago + jiff::SignedDuration::from_secs(174),
        ..tally(5)
    };
    let key = PullKey { pod_uid: "uid-1".into(), image: "r/app:1".into() };
    VerdictRecord::new(key, tally, cause(), Timestamp::now(), Method::Status)
}

fn pod(phase: &str, version: &str, annotations: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "p", "namespace": "batch", "uid": "uid-1",
                      "resourceVersion": version, "annotations": annotations },
        "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": "r/app:1" }] },
        "status": { "phase": phase, "containerStatuses": [{
            "name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": "ErrImagePull", "message": "not found" } } }] },
    })
}

fn stuck(version: &str) -> Value {
    pod("Pending", version, json!({}))
}

fn ended() -> Value {
    pod("Failed", "9", json!({ VERDICT_ANNOTATION: "{}" }))
}

fn refusal(code: u16, message: &str) -> (u16, Value) {
    (
        code,
        json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                   "message": message, "reason": "x" }),
    )
}

/// Expects one call, answers it, and returns its body.
async fn answer(api: &mut ApiServer, verb: Verb, path: &str, (code, body): (u16, Value)) -> Value {
    let (request, send) = api.next_request().await.expect("a call was expected");
    let uri = request.uri().to_string();
    assert_eq!((request.method(), uri.split('?').next().unwrap()), (&verb, path));
    let sent = request.into_body().collect_bytes().await.unwrap();
    let body = Body::from(serde_json::to_vec(&body).unwrap());
    send.send_response(Response::builder().status(code).body(body).unwrap());
    if sent.is_empty() { Value::Null } else { serde_json::from_slice(&sent).unwrap() }
}

const POD: &str = "/api/v1/namespaces/batch/pods/p";
const STATUS: &str = "/api/v1/namespaces/batch/pods/p/status";
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/batch/events";
const EVENT: &str = "/apis/events.k8s.io/v1/namespaces/batch/events/p.pullfuse-uid-1";
const REVIEW: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

impl Fixture {
    fn start(&self) -> tokio::task::JoinHandle<Outcome> {
        let actor = Arc::clone(&self.actor);
        tokio::spawn(async move { actor.carry_out(record()).await })
    }

    async fn read(&mut self, answer_with: Value) {
        answer(&mut self.api, Verb::GET, POD, (200, answer_with)).await;
    }

    /// The watch shows the pod.
    fn shows(&self, pod: &Value) {
        let pod = serde_json::from_value(pod.clone()).unwrap();
        self.pods.insert(PodFacts::read(&pod).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_verdict_is_one_annotated_write_of_the_version_that_was_judged_and_one_event() {
    let mut f = fixture(NO_CHECK);
    let verdict = f.start();
    f.read(stuck("7")).await;
    f.shows(&ended());
    let patch = answer(&mut f.api, Verb::PATCH, STATUS, (200, ended())).await;
    assert_eq!(patch["metadata"]["uid"], "uid-1");
    assert_eq!(patch["metadata"]["resourceVersion"], "7");
    let note: Value = serde_json::from_str(
        patch["metadata"]["annotations"][VERDICT_ANNOTATION].as_str().unwrap(),
    )
    .unwrap();
    assert_eq!((&note["image"], &note["attempts"]), (&json!("r/app:1"), &json!(5)));
    assert_eq!(patch["status"]["phase"], "Failed");
    assert_eq!(patch["status"]["reason"], "ImagePullFailed");
    assert_eq!(patch["status"]["conditions"][0]["type"], "pullfuse.io/ImagePullFailed");
    assert_eq!(patch["status"]["conditions"][0]["status"], "True");
    let message = patch["status"]["message"].as_str().unwrap();
    for words in ["r/app:1", "5 failed attempts", "2m 54s", "not found"] {
        assert!(message.contains(words), "lacks {words}: {message}");
    }
    let event = answer(&mut f.api, Verb::POST, EVENTS, (201, json!({}))).await;
    assert_eq!(event["regarding"]["uid"], "uid-1");
    assert!(event["note"].as_str().unwrap().len() <= 1024);
    f.read(ended()).await;
    assert_eq!(verdict.await.unwrap(), Outcome::Held);
}

#[tokio::test(start_paused = true)]
async fn who_was_released_is_ended_though_it_would_only_be_reported_but_not_in_a_dry_run() {
    let released = crate::fuse::Released { uid: 1000, at: Timestamp::now() };
    let mut always = stuck("7");
    always["spec"]["restartPolicy"] = json!("Always");
    for (released, mode, ended_by_us) in [
        (None, "enforce", false),
        (Some(released), "dry-run", false),
        (Some(released), "enforce", true),
    ] {
        let mut f = fixture(&format!("mode = \"{mode}\"\n{NO_CHECK}"));
        let actor = Arc::clone(&f.actor);
        let record = VerdictRecord { released, ..record() };
        let verdict = tokio::spawn(async move { actor.carry_out(record).await });
        f.read(always.clone()).await;
        if ended_by_us {
            f.shows(&ended());
            answer(&mut f.api, Verb::PATCH, STATUS, (200, ended())).await;
            let event = answer(&mut f.api, Verb::POST, EVENTS, (201, json!({}))).await;
            assert!(event["note"].as_str().unwrap().contains("released by user 1000"), "{event}");
            f.read(ended()).await;
            assert_eq!(verdict.await.unwrap(), Outcome::Held);
        } else {
            let because = Because::RestartPolicyAlways;
            assert_eq!(verdict.await.unwrap(), Outcome::Withdrawn(because));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_version_is_read_and_judged_again() {
    let mut f = fixture(NO_CHECK);
    let verdict = f.start();
    f.read(stuck("7")).await;
    answer(&mut f.api, Verb::PATCH, STATUS, refusal(409, "modified")).await;
    let mut running = stuck("8");
    running["status"]["phase"] = json!("Running");
    f.read(running).await;
    assert_eq!(verdict.await.unwrap(), Outcome::Withdrawn(Because::NotPending));
}

/// The status still shows the last failure, and the runtime is not asked.
#[tokio::test(start_paused = true)]
async fn an_image_that_was_heard_to_come_saves_the_pod() {
    let mut f = fixture(NO_CHECK);
    f.pulls.answered(record().key, 1, true);
    let verdict = f.start();
    f.read(stuck("7")).await;
    assert_eq!(verdict.await.unwrap(), Outcome::ImageArrived);
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_may_have_begun_before_the_socket_was_heard_is_waited_for() {
    let mut f = fixture(NO_CHECK);
    f.pulls.hears(Hearing::Pending);
    let verdict = f.start();
    f.read(stuck("7")).await;
    assert_eq!(verdict.await.unwrap(), Outcome::Withdrawn(Because::Unheard));
    // A name that is none is never pulled.
    let refused = Tally { stage: Stage::Refused, ..record().tally };
    assert!(!f.pulls.may_go_on_unheard(&refused, &Clock::new()));
}

#[tokio::test(start_paused = true)]
async fn a_verdict_from_before_the_clock_was_set_back_is_left_to_the_judge() {
    for back in [1, 30] {
        let mut f = fixture(NO_CHECK);
        let mut ahead = record();
        ahead.shift(jiff::SignedDuration::from_mins(back));
        let actor = Arc::clone(&f.actor);
        let verdict = tokio::spawn(async move { actor.carry_out(ahead).await });
        f.read(stuck("7")).await;
        assert_eq!(verdict.await.unwrap(), Outcome::Withdrawn(Because::TooEarly));
    }
}

#[tokio::test(start_paused = true)]
async fn another_pod_of_the_same_name_is_left_alone() {
    let mut f = fixture(NO_CHECK);
    let verdict = f.start();
    let mut other = stuck("7");
    other["metadata"]["uid"] = json!("uid-2");
    f.read(other).await;
    assert_eq!(verdict.await.unwrap(), Outcome::Gone);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_in_trouble_is_asked_again_until_it_answers() {
    let mut f = fixture(NO_CHECK);
    let verdict = f.start();
    for code in [500, 503, 429, 403] {
        answer(&mut f.api, Verb::GET, POD, refusal(code, "not now")).await;
    }
    f.read(stuck("7")).await;
    answer(&mut f.api, Verb::PATCH, STATUS, refusal(503, "not now")).await;
    let report = f.health.report();
    assert!(report.contains("verdicts: degraded") && report.contains("not now"), "{report}");
    answer(&mut f.api, Verb::GET, POD, refusal(404, "gone")).await;
    assert_eq!(verdict.await.unwrap(), Outcome::Gone);
    assert!(f.health.report().contains("verdicts: ok"), "nothing is held back any more");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_refused_for_good_is_given_up() {
    let mut f = fixture(NO_CHECK);
    let verdict = f.start();
    f.read(stuck("7")).await;
    answer(&mut f.api, Verb::PATCH, STATUS, refusal(422, "invalid")).await;
    assert_eq!(verdict.await.unwrap(), Outcome::GivenUp);
}

#[tokio::test(start_paused = true)]
async fn a_reverted_verdict_goes_on_with_the_deadline_if_the_right_is_there() {
    let mut f = fixture(NO_CHECK);
    let verdict = f.start();
    f.read(stuck("7")).await;
    f.shows(&stuck("8"));
    answer(&mut f.api, Verb::PATCH, STATUS, (200, ended())).await;
    answer(&mut f.api, Verb::POST, EVENTS, (201, json!({}))).await;
    // The watch goes on showing Pending.
    f.read(pod("Pending", "9", json!({ VERDICT_ANNOTATION: "{}" }))).await;
    let review = answer(
        &mut f.api,
        Verb::POST,
        REVIEW,
        (
            201,
            json!({ "spec": {},
        "status": { "allowed": true } }),
        ),
    )
    .await;
    assert_eq!(review["spec"]["resourceAttributes"]["verb"], "patch");
    f.read(stuck("9")).await;
    let explained = answer(&mut f.api, Verb::PATCH, STATUS, (200, stuck("10"))).await;
    assert_eq!(explained["status"]["phase"], Value::Null, "the kubelet ends it, not this write");
    f.shows(&ended());
    let deadline = answer(&mut f.api, Verb::PATCH, POD, (200, stuck("11"))).await;
    assert_eq!(deadline["spec"]["activeDeadlineSeconds"], 1);
    assert_eq!(deadline["metadata"]["resourceVersion"], "10");
    let again = answer(&mut f.api, Verb::PATCH, EVENT, (200, json!({}))).await;
    assert_eq!(again["series"]["count"], 2, "it is ended a second time");
    f.read(ended()).await;
    assert_eq!(verdict.await.unwrap(), Outcome::Held);
}

#[tokio::test(start_paused = true)]
async fn without_that_right_it_is_written_a_bounded_number_of_times() {
    let mut f = fixture("[act]\ncheck_image = false\nverify_for = \"1s\"\nmax_rewrites = 1");
    let verdict = f.start();
    f.shows(&stuck("8"));
    for round in 0..2 {
        f.read(stuck("7")).await;
        if round > 0 {
            answer(
                &mut f.api,
                Verb::POST,
                REVIEW,
                (
                    201,
                    json!({ "spec": {},
                "status": { "allowed": false } }),
                ),
            )
            .await;
            f.read(stuck("7")).await;
        }
        answer(&mut f.api, Verb::PATCH, STATUS, (200, ended())).await;
        let (verb, path) = if round == 0 { (Verb::POST, EVENTS) } else { (Verb::PATCH, EVENT) };
        answer(&mut f.api, verb, path, (200, json!({}))).await;
    }
    f.read(stuck("12")).await;
    assert_eq!(verdict.await.unwrap(), Outcome::GivenUp);
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_a_verdict_waits_for_the_kubelets_own_watch() {
    let mut f = fixture(NO_CHECK);
    f.pods.trouble();
    let began = tokio::time::Instant::now();
    let verdict = f.start();
    f.read(stuck("7")).await;
    f.read(stuck("8")).await;
    assert!(began.elapsed() >= Duration::from_secs(60), "a kubelet may need a minute");
    answer(&mut f.api, Verb::PATCH, STATUS, refusal(404, "gone")).await;
    assert_eq!(verdict.await.unwrap(), Outcome::Gone);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_does_not_answer_holds_the_verdict_back() {
    let dir = TempDir::new().unwrap();
    let endpoint = dir.path().join("absent.sock");
    let mut f = fixture(&format!("[runtime]\nendpoint = \"unix://{}\"", endpoint.display()));
    let verdict = f.start();
    for _ in 0..5 {
        f.read(stuck("7")).await;
    }
    assert!(!verdict.is_finished());
    answer(&mut f.api, Verb::GET, POD, refusal(404, "gone")).await;
    assert_eq!(verdict.await.unwrap(), Outcome::Gone);
}

#[tokio::test(start_paused = true)]
async fn a_verdict_found_written_after_a_restart_is_not_written_again() {
    let mut f = fixture(NO_CHECK);
    f.shows(&ended());
    let verdict = f.start();
    f.read(ended()).await;
    answer(&mut f.api, Verb::POST, EVENTS, refusal(409, "exists")).await;
    let there = json!({ "eventTime": format!("{:.6}", Timestamp::now()) });
    let look = answer(&mut f.api, Verb::PATCH, EVENT, (200, there)).await;
    assert_eq!(look, json!({}), "it was told, and is not told again");
    f.read(ended()).await;
    assert_eq!(verdict.await.unwrap(), Outcome::Held);
}

#[test]
fn a_hostile_error_text_leaves_room_for_what_the_event_adds() {
    let mut long = record();
    long.tally.trouble.message = "ä".repeat(5000);
    let text = event::of(&long).text;
    assert!(text.len() <= 1024 && text.ends_with("The pod is set to Failed."), "{text}");
}
