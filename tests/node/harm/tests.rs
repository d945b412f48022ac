//! The safety net itself: a healthy verdict passes, and each way to harm a pod is found.

use jiff::{SignedDuration, Timestamp};
use libtest_mimic::Trial;
use pullfuse_rig::NODE;
use serde_json::{Value, json};

use super::{Agents, Evidence, Report, check};

const IMAGE: &str = "r.example/app:1";
const AGENT: &str = "system:serviceaccount:pullfuse:pullfuse";
const CONFIG: &str = "limits = { max_attempts = 2, min_elapsed = \"5s\" }";
/// What containerd says of an image that does not exist.
const MISSING: &str = "rpc error: code = NotFound desc = failed to resolve image: not found";
/// Place of the agent's write in the log of a healthy verdict.
const WRITE: usize = 2;

fn after(seconds: f64) -> Timestamp {
    let start: Timestamp = "2026-11-21T16:00:00Z".parse().expect("a time");
    start + SignedDuration::from_millis((seconds * 1000.0) as i64)
}

/// All that the logs of a node tell.
struct Story {
    audit: Vec<Value>,
    kubelet: Vec<String>,
    runtime: Vec<String>,
    config: Option<&'static str>,
    released: bool,
}

impl Story {
    /// Two attempts fail at 1 s and 15 s, and the pod is ended at 20 s.
    fn healthy() -> Self {
        let pod = pod("Pending", 11);
        let mut ended = pod.clone();
        ended["metadata"]["resourceVersion"] = json!("20");
        ended["metadata"]["annotations"] = json!({ "pullfuse.io/verdict":
            json!({ "image": IMAGE, "attempts": 2 }).to_string() });
        let condition = json!({ "type": "pullfuse.io/ImagePullFailed", "status": "True" });
        for (key, value) in [
            ("phase", json!("Failed")),
            ("reason", json!("ImagePullFailed")),
            ("message", json!("Image could not be pulled")),
            ("conditions", json!([condition])),
        ] {
            ended["status"][key] = value;
        }
        let mut write = entry(20.0, AGENT, "patch", "pods", "status", ended);
        write["requestObject"] = json!({ "metadata": { "uid": "u", "resourceVersion": "11" } });
        let mut story = Self {
            audit: vec![
                entry(0.0, "admin", "create", "pods", "", self::pod("", 10)),
                entry(0.5, "system:node:node-a", "patch", "pods", "status", pod),
                write,
                entry(20.1, AGENT, "create", "events", "", event("FailPod")),
            ],
            kubelet: Vec::new(),
            runtime: Vec::new(),
            config: Some(CONFIG),
            released: false,
        };
        for at in [1.0, 15.0] {
            story.fails(at, MISSING);
        }
        story
    }

    fn fails(&mut self, at: f64, text: &str) {
        self.runtime.push(call(at, ""));
        self.runtime.push(call(at + 0.01, " failed"));
        self.says(at + 0.02, "ErrImagePull", text);
    }

    fn says(&mut self, at: f64, reason: &str, text: &str) {
        let error = format!("failed to \"StartContainer\" for \"c\" with {reason}: {text:?}");
        let at = after(at).strftime("%m%d %H:%M:%S.%6f");
        self.kubelet.push(format!(
            "E{at}      65 pod_workers.go:1338] \"Error syncing pod, skipping\" err={error:?} \
             pod=\"ns/p\" podUID=\"u\""
        ));
    }

    /// The kubelet has the image at this time, as its Event says.
    fn is_pulled(&mut self, at: f64) {
        let event = json!({ "reason": "Pulled", "involvedObject": { "uid": "u" },
            "message": format!("Successfully pulled image \"{IMAGE}\" in 1s") });
        self.audit.push(entry(at, "system:node:node-a", "create", "events", "", event));
    }

    /// An agent changes the Event of the verdict.
    fn happens_again(&mut self, at: f64, request: &Value, count: i32) {
        let mut event = event("FailPod");
        event["series"] = json!({ "count": count });
        let mut patch = entry(at, AGENT, "patch", "events", "", event);
        patch["requestObject"] = request.clone();
        self.audit.push(patch);
    }

    fn write(&mut self) -> &mut Value {
        &mut self.audit[WRITE]
    }

    /// The pod as the agent left it.
    fn ended(&mut self) -> &mut Value {
        &mut self.write()["responseObject"]
    }

    /// The pod as it was before.
    fn before(&mut self) -> &mut Value {
        &mut self.audit[WRITE - 1]["responseObject"]
    }

    fn told(self) -> Report {
        let mut agents = Agents::default();
        if let Some(config) = self.config {
            agents.configure("pullfuse", after(0.0), config);
        }
        if self.released {
            agents.release("ns/p");
        }
        let evidence = Evidence {
            node: NODE,
            kubelet_log: &self.kubelet.join("\n"),
            runtime_log: &self.runtime.join("\n"),
            agents: &agents,
            now: after(100.0),
        };
        check(self.audit.into_iter(), &evidence)
    }
}

fn pod(phase: &str, version: u64) -> Value {
    json!({
        "kind": "Pod",
        "metadata": { "namespace": "ns", "name": "p", "uid": "u",
                      "resourceVersion": version.to_string() },
        "spec": { "nodeName": NODE, "restartPolicy": "Never",
                  "containers": [{ "name": "c", "image": IMAGE }] },
        "status": { "phase": phase, "containerStatuses": [{ "name": "c", "image": IMAGE,
            "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": "ImagePullBackOff", "message": MISSING } } }] },
    })
}

fn event(action: &str) -> Value {
    json!({ "action": action, "reason": "Any", "reportingInstance": NODE,
        "reportingController": "pullfuse.io/pullfuse",
        "regarding": { "kind": "Pod", "namespace": "ns", "name": "p", "uid": "u" } })
}

fn entry(at: f64, user: &str, verb: &str, resource: &str, sub: &str, object: Value) -> Value {
    let mut entry = json!({
        "stage": "ResponseComplete", "verb": verb, "requestURI": "/api", "user": { "username": user },
        "objectRef": { "resource": resource, "namespace": "ns", "name": "p" },
        "responseStatus": { "code": 200 }, "stageTimestamp": after(at).to_string(),
        "responseObject": object,
    });
    if !sub.is_empty() {
        entry["objectRef"]["subresource"] = json!(sub);
    }
    entry
}

fn call(at: f64, end: &str) -> String {
    let message = format!("PullImage {IMAGE:?}{end}");
    format!("time=\"{}\" level=info msg={message:?}", after(at))
}

/// A way to harm a pod, and words of the sentence that tells of it.
type Harm = (&'static str, fn(&mut Story), &'static str);

const HARMS: [Harm; 26] = [
    ("a_pod_of_another_node", |s| s.before()["spec"]["nodeName"] = json!("b"), "pod is on \"b\""),
    (
        "a_token_of_another_node",
        |s| s.write()["user"]["extra"]["authentication.kubernetes.io/node-name"] = json!(["b"]),
        "the agent on \"b\"",
    ),
    (
        "a_running_pod",
        |s| s.before()["status"]["phase"] = json!("Running"),
        "phase was \"Running\"",
    ),
    (
        "a_pod_that_is_being_deleted",
        |s| s.before()["metadata"]["deletionTimestamp"] = json!("2026-11-21T16:00:10Z"),
        "being deleted",
    ),
    (
        "a_mirror_pod",
        |s| s.before()["metadata"]["annotations"] = json!({ "kubernetes.io/config.mirror": "h" }),
        "mirrors a static pod",
    ),
    (
        "a_write_without_a_version",
        |s| s.write()["requestObject"]["metadata"] = json!({ "uid": "u" }),
        "names no version",
    ),
    ("a_write_without_a_uid", |s| s.write()["requestObject"] = json!({}), "names the UID null"),
    ("a_label", |s| s.ended()["metadata"]["labels"] = json!({ "a": "b" }), "metadata.labels"),
    ("a_pod_ip", |s| s.ended()["status"]["podIP"] = json!("10.0.0.1"), "status.podIP"),
    (
        "another_condition",
        |s| s.ended()["status"]["conditions"][0]["type"] = json!("Ready"),
        "status.conditions.Ready",
    ),
    ("too_few_attempts", |s| drop(s.kubelet.pop()), "speaks of 2 failed attempts"),
    (
        "an_attempt_after_the_write",
        |s| {
            s.kubelet.pop();
            s.says(21.0, "ErrImagePull", MISSING);
        },
        "shows 1 failed attempts",
    ),
    (
        "back_off_is_no_attempt",
        |s| {
            s.kubelet.pop();
            s.says(15.0, "ImagePullBackOff", "Back-off pulling image");
        },
        "shows 1 failed attempts",
    ),
    ("a_limit_that_is_not_reached", |s| s.config = Some("limits.max_attempts = 3"), "2 of 3"),
    ("a_time_that_is_not_over", |s| s.config = Some("limits.max_attempts = 2"), "Wait("),
    (
        "a_pod_that_is_only_reported",
        |s| {
            s.before()["spec"]["restartPolicy"] = json!("Always");
            s.ended()["spec"]["restartPolicy"] = json!("Always");
        },
        "Report(RestartPolicyAlways)",
    ),
    (
        "a_dry_run",
        |s| {
            s.config =
                Some("mode = \"dry-run\"\nlimits = { max_attempts = 2, min_elapsed = \"5s\" }")
        },
        "in a dry run",
    ),
    ("an_agent_that_nobody_knows", |s| s.config = None, "nobody knows"),
    (
        "a_busy_registry",
        |s| {
            s.kubelet.pop();
            s.says(15.0, "ErrImagePull", "unexpected status: 503 Service Unavailable");
        },
        "of what passes",
    ),
    ("a_success_between", |s| s.is_pulled(10.0), "shows 1 failed attempts"),
    ("a_success_after_the_last_attempt", |s| s.is_pulled(16.0), "the image came at"),
    (
        "a_success_for_another_pod",
        |s| {
            s.runtime.push(call(16.0, ""));
            s.runtime.push(call(16.5, " returns image reference \"sha256:1\""));
        },
        "the image came at",
    ),
    (
        "a_pull_that_goes_on",
        |s| {
            s.runtime.push(call(18.0, ""));
            s.runtime.push(call(30.0, " failed"));
            s.says(30.1, "ErrImagePull", MISSING);
        },
        "a pull for it went on",
    ),
    (
        "two_verdicts",
        |s| {
            let mut again = s.write().clone();
            again["responseObject"]["metadata"]["resourceVersion"] = json!("30");
            again["responseObject"]["status"]["message"] = json!("again");
            s.audit.push(again);
        },
        "phase was \"Failed\"",
    ),
    (
        "another_resource",
        |s| s.audit.push(entry(21.0, AGENT, "delete", "pods", "", Value::Null)),
        "no agent has to do: delete pods",
    ),
    (
        "a_verdict_of_somebody_else",
        |s| {
            s.write()["user"]["username"] = json!("admin");
            let verdict = s.ended()["metadata"]["annotations"].clone();
            s.write()["requestObject"]["metadata"]["annotations"] = verdict;
            s.audit.pop();
        },
        "carries a verdict that no agent's write made",
    ),
];

const BAD_EVENTS: [Harm; 9] = [
    (
        "too_many_events",
        |s| {
            for second in 30..36 {
                let event = event("Report");
                s.audit.push(entry(f64::from(second), AGENT, "create", "events", "", event));
            }
        },
        "it is number 7 about this pod",
    ),
    (
        "an_event_in_the_name_of_another",
        |s| s.audit[WRITE + 1]["responseObject"]["reportingController"] = json!("kubelet"),
        "in the name of another",
    ),
    (
        "an_event_about_another_node",
        |s| {
            s.audit[WRITE + 1]["responseObject"]["regarding"] =
                json!({ "kind": "Node", "name": "node-b" });
        },
        "neither a pod nor the agent's own node",
    ),
    (
        "an_event_that_is_rewritten",
        |s| s.happens_again(30.0, &json!({ "note": "all is well" }), 2),
        "not only its series, but [\"note\"]",
    ),
    (
        "a_series_by_which_more_changed",
        |s| {
            s.happens_again(30.0, &json!({ "series": {} }), 2);
            let changed = s.audit.last_mut().expect("it was just put there");
            changed["responseObject"]["reason"] = json!("Another");
        },
        "not only its series",
    ),
    (
        "a_series_that_counts_back",
        |s| {
            s.happens_again(30.0, &json!({ "series": {} }), 3);
            s.happens_again(40.0, &json!({ "series": {} }), 2);
        },
        "it counts back",
    ),
    (
        "a_series_that_is_written_all_the_time",
        |s| (2..9).for_each(|n| s.happens_again(30.0 + f64::from(n), &json!({ "series": {} }), n)),
        "7 times since it was made",
    ),
    ("an_event_without_a_verdict", |s| drop(s.audit.remove(WRITE)), "is ended: it is not"),
    (
        "an_unseen_write_that_harms",
        |s| {
            s.kubelet.pop();
            let pod = s.ended().clone();
            s.audit[WRITE] = entry(20.0, "system:node:node-a", "patch", "pods", "status", pod);
        },
        "shows 1 failed attempts",
    ),
];

pub fn trials() -> Vec<Trial> {
    let healthy = Trial::test("harm::a_healthy_verdict_passes", || {
        let report = Story::healthy().told();
        assert_eq!(report.violations, Vec::<String>::new());
        assert_eq!((report.verdicts, report.events), (1, 1));
        Ok(())
    });
    let spared = SPARED.into_iter().map(|(name, change)| {
        Trial::test(format!("harm::passes::{name}"), move || {
            let mut story = Story::healthy();
            change(&mut story);
            assert_eq!(story.told().violations, Vec::<String>::new());
            Ok(())
        })
    });
    let harms = HARMS.into_iter().chain(BAD_EVENTS).map(|(name, change, words)| {
        Trial::test(format!("harm::is_found::{name}"), move || {
            let mut story = Story::healthy();
            change(&mut story);
            let found = story.told().violations;
            let all = found.join("\n");
            assert!(all.contains(words), "lacks {words:?}: {all:?}");
            assert!(found.len() <= 2, "too much: {all}");
            Ok(())
        })
    });
    [healthy].into_iter().chain(spared).chain(harms).collect()
}

type Spared = (&'static str, fn(&mut Story));

/// What looks like harm and is none.
const SPARED: [Spared; 10] = [
    ("a_pod_that_is_only_reported_until_an_operator_releases_it", |s| {
        s.before()["spec"]["restartPolicy"] = json!("Always");
        s.ended()["spec"]["restartPolicy"] = json!("Always");
        s.released = true;
    }),
    ("an_event_of_what_happens_again", |s| {
        s.happens_again(30.0, &json!({ "series": {} }), 2);
        s.happens_again(40.0, &json!({}), 2);
        s.happens_again(50.0, &json!({ "series": {} }), 4);
    }),
    ("a_write_that_the_api_server_could_not_log", |s| {
        let pod = s.ended().clone();
        s.audit[WRITE] = entry(20.0, "system:node:node-a", "patch", "pods", "status", pod);
    }),
    ("a_write_that_stands_after_what_shows_its_result", |s| {
        let mut pod = s.ended().clone();
        pod["metadata"]["resourceVersion"] = json!("21");
        let next = entry(20.0, "system:node:node-a", "patch", "pods", "status", pod);
        s.audit.insert(WRITE, next);
    }),
    ("an_image_that_must_not_be_shown_as_it_is", |s| {
        for entry in &mut s.audit {
            if entry["responseObject"]["spec"].is_object() {
                entry["responseObject"]["spec"]["containers"][0]["image"] =
                    json!("\u{1b}[2Jevil:1");
            }
        }
        let verdict = json!({ "image": "evil:1", "attempts": 2 }).to_string();
        s.ended()["metadata"]["annotations"]["pullfuse.io/verdict"] = json!(verdict);
    }),
    ("a_request_that_was_refused", |s| {
        let mut refused = s.write().clone();
        refused["responseStatus"]["code"] = json!(403);
        refused["responseObject"] = Value::Null;
        s.audit.insert(WRITE, refused);
    }),
    ("a_request_that_only_asked", |s| {
        let mut asked = s.write().clone();
        asked["requestURI"] = json!("/api?dryRun=All");
        asked["responseObject"]["spec"]["nodeName"] = json!("node-b");
        s.audit.push(asked);
    }),
    ("a_pull_that_began_at_the_very_moment", |s| {
        s.runtime.push(call(19.8, ""));
    }),
    ("a_pull_that_nobody_can_hear", |s| {
        s.config =
            Some("limits = { max_attempts = 2, min_elapsed = \"5s\" }\nruntime.capture = \"off\"");
        s.runtime.push(call(18.0, ""));
    }),
    ("a_verdict_that_was_taken_back", |s| {
        let mut back = pod("Pending", 25);
        back["metadata"]["annotations"] = s.ended()["metadata"]["annotations"].clone();
        back["status"]["conditions"] = s.ended()["status"]["conditions"].clone();
        let mut again = s.write().clone();
        again["stageTimestamp"] = json!(after(40.0).to_string());
        again["requestObject"]["metadata"]["resourceVersion"] = json!("25");
        again["responseObject"]["metadata"]["resourceVersion"] = json!("30");
        s.audit.push(entry(30.0, "system:node:node-a", "patch", "pods", "status", back));
        s.audit.push(again);
    }),
];
