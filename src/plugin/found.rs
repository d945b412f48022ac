//! What the plugin sees in a pod. Pure: no I/O, no clock.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde::{Deserialize, Serialize};

use super::clean;
use crate::{
    act::{self, CONDITION, VERDICT_ANNOTATION},
    classify::{Class, Classifier, Failure},
    pods::PodFacts,
};

/// How far a pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// It has a verdict, and yet is not Failed: the agent is about to write it again, or gave up.
    NotHeld,
    /// pullfuse ended it.
    Ended,
    /// The kubelet still tries.
    Waiting,
}

impl State {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::NotHeld => "not held",
            Self::Ended => "ended",
            Self::Waiting => "waiting",
        }
    }
}

/// One image of one pod.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) state: State,
    pub(super) image: String,
    pub(super) class: Option<Class>,
    pub(super) host: Option<String>,
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) node: String,
    /// Its first failed attempt; of a waiting pod, when it was made.
    pub(super) first: Option<Timestamp>,
    /// When its end was decided.
    pub(super) last: Option<Timestamp>,
    pub(super) advice: String,
    pub(super) error: String,
}

/// The annotation. Whoever may write to the pod may have written it, so nothing in it is relied on.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Verdict {
    image: Option<String>,
    first_attempt: Option<Timestamp>,
    class: Option<Class>,
    host: Option<String>,
    reason: Option<String>,
    decided: Option<Timestamp>,
}

/// What there is to say about a pod; nothing of most.
pub(super) fn read(pod: &Pod, classifier: &Classifier) -> Vec<Found> {
    let Some(facts) = PodFacts::read(pod) else { return Vec::new() };
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
    let condition = (pod.status.iter().flat_map(|status| status.conditions.iter().flatten()))
        .find(|condition| condition.type_ == CONDITION && condition.status == "True");
    let annotation =
        (pod.metadata.annotations.as_ref()).and_then(|all| all.get(VERDICT_ANNOTATION));

    if condition.is_some() || annotation.is_some() {
        let text = clean(condition.and_then(|c| c.message.as_deref()).unwrap_or_default());
        let verdict: Verdict =
            annotation.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let class = verdict.class.map_or("", Class::as_str);
        let reason = verdict.reason.as_deref().unwrap_or_default();
        let (advice, error) = act::advice_and_error(&text, class, reason).unwrap_or(("", &text));
        return vec![Found {
            state: if facts.phase == "Failed" { State::Ended } else { State::NotHeld },
            image: clean(verdict.image.as_deref().unwrap_or("<unknown>")),
            class: verdict.class,
            host: verdict.host.as_deref().map(clean),
            first: verdict.first_attempt,
            last: verdict.decided.or_else(|| Some(condition?.last_transition_time.as_ref()?.0)),
            advice: advice.into(),
            error: error.into(),
            namespace: facts.namespace,
            pod: facts.name,
            node,
        }];
    }

    if facts.deleting || facts.phase == "Failed" {
        return Vec::new();
    }
    let failing = facts.images.iter().filter_map(|(image, state)| Some((image, state.trouble()?)));
    let waiting = failing.map(|(image, trouble)| {
        let cause = classifier.classify(&Failure {
            message: &trouble.message,
            reason: Some(&trouble.reason),
            image: Some(image),
            ..Failure::default()
        });
        Found {
            state: State::Waiting,
            image: clean(image),
            class: Some(cause.class),
            host: cause.host,
            namespace: facts.namespace.clone(),
            pod: facts.name.clone(),
            node: node.clone(),
            first: pod.metadata.creation_timestamp.as_ref().map(|at| at.0),
            last: None,
            advice: cause.advice,
            error: trouble.message.clone(),
        }
    });
    waiting.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        act::VerdictRecord,
        config::Method,
        fixtures::{cause, key, start, tally},
    };

    fn read(pod: Value) -> Vec<Found> {
        super::read(&serde_json::from_value(pod).unwrap(), &Classifier::new(&[]))
    }

    fn pod(phase: &str, annotation: &str, message: &str) -> Value {
        json!({
            "metadata": { "namespace": "ci", "name": "p", "uid": "u", "resourceVersion": "1",
                "annotations": { "pullfuse.io/verdict": annotation } },
            "spec": { "nodeName": "node-a", "containers": [] },
            "status": { "phase": phase, "conditions": [
                { "type": "pullfuse.io/ImagePullFailed", "status": "True", "message": message },
            ] },
        })
    }

    #[test]
    fn a_verdict_as_the_agent_writes_it_is_read_back() {
        let record = VerdictRecord::new(key(), tally(5), cause(), start(), Method::Status);
        let found = read(pod("Failed", &record.annotation(), &record.text()));
        let [found] = &found[..] else { panic!("{found:?}") };
        assert_eq!((found.state, found.class), (State::Ended, Some(Class::NotFound)));
        assert_eq!((found.image.as_str(), found.node.as_str()), ("img", "node-a"));
        assert_eq!((found.advice.as_str(), found.error.as_str()), ("check the tag", "not found"));
        assert_eq!((found.first, found.last), (Some(start()), Some(start())));
        assert_eq!(read(pod("Pending", &record.annotation(), ""))[0].state, State::NotHeld);
    }

    #[test]
    fn an_annotation_that_is_none_of_ours_takes_nothing_away() {
        for odd in ["", "{", "[]", "{\"class\":\"no such\"}", "{\"image\":7}"] {
            let found = read(pod("Failed", odd, "a text"));
            assert_eq!((found[0].image.as_str(), found[0].error.as_str()), ("<unknown>", "a text"));
        }
    }

    #[test]
    fn a_pod_that_waits_has_the_cause_of_its_last_error() {
        let waiting = |phase: &str| {
            json!({
                "metadata": { "namespace": "ci", "name": "p", "uid": "u", "resourceVersion": "1" },
                "spec": { "containers": [{ "name": "c", "image": "r.example/x:1" }] },
                "status": { "phase": phase, "containerStatuses": [{
                    "name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                    "state": { "waiting": { "reason": "ImagePullBackOff", "message":
                        "Back-off pulling image \"r.example/x:1\": ErrImagePull: r.example/x:1: not found" } },
                }] },
            })
        };
        let found = read(waiting("Pending"));
        assert_eq!((found[0].state, found[0].class), (State::Waiting, Some(Class::NotFound)));
        assert!(!found[0].advice.is_empty());
        assert_eq!(read(waiting("Failed")), [], "somebody else ended it");
    }
}
