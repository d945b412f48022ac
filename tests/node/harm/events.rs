use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::{audit::Entry, pods::Pods};
use jiff::Timestamp;

/// Events about one pod: a verdict, a report, a bad annotation or two, pulls that hang.
const MOST: usize = 6;
/// Changes of one Event by agents that are started anew all the time; each of them waits for minutes
/// before its second.
const CHANGES: i64 = 6;
const MINUTES: i64 = 5;

/// The Events that agents wrote about pods.
#[derive(Default)]
pub struct Told {
    of_pod: BTreeMap<String, usize>,
    /// Pods of which it was told that they are ended.
    ended: BTreeMap<String, String>,
    /// Events as they were last seen, by namespace and name.
    all: HashMap<(String, String), Event>,
}

struct Event {
    now: Value,
    since: Timestamp,
    changes: i64,
}

impl Told {
    /// Takes in an Event; returns what is wrong with it.
    pub fn take(&mut self, entry: &Entry, node: &str, pods: &Pods) -> Option<String> {
        let event = &entry.response;
        let seen = Event { now: event.clone(), since: entry.at, changes: 0 };
        self.all.insert(key(entry), seen);
        let regarding = &event["regarding"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = format!("{}/{}", text(&regarding["namespace"]), text(&regarding["name"]));
        let uid = text(&regarding["uid"]);
        let wrong = match regarding["kind"].as_str() {
            Some("Node") if regarding["name"] == node => None,
            Some("Pod") => {
                let told = self.of_pod.entry(uid.clone()).or_default();
                *told += 1;
                if event["action"] == "FailPod" {
                    self.ended.insert(uid.clone(), name.clone());
                }
                let of = pods.get(&uid).map(|pod| &pod["spec"]["nodeName"]);
                match of {
                    Some(of) if of != node => Some(format!("the pod is on {of}")),
                    None => Some("there is no such pod".into()),
                    _ => (*told > MOST).then(|| format!("it is number {told} about this pod")),
                }
            }
            _ => Some("it is about neither a pod nor the agent's own node".into()),
        };
        let own = event["reportingController"] == "pullfuse.io/pullfuse"
            && event["reportingInstance"] == node;
        let wrong = wrong.or_else(|| (!own).then(|| "it is in the name of another".into()))?;
        let reason = text(&event["reason"]);
        Some(format!("Event {reason} about {name} ({uid}) at {:.3}: {wrong}", entry.at))
    }

    /// Takes in a change of an Event; returns what is wrong with it.
    pub fn change(&mut self, entry: &Entry) -> Option<String> {
        let said = |wrong: &str| {
            let (namespace, name) = key(entry);
            Some(format!("Event {namespace}/{name} was changed at {:.3}: {wrong}", entry.at))
        };
        let asked = entry.request.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
        let asked: Vec<&str> = asked.collect();
        if !matches!(asked[..], [] | ["series"]) {
            return said(&format!("not only its series, but {asked:?}"));
        }
        // Without it nobody logged how it was made.
        let event = self.all.get_mut(&key(entry))?;
        let before = std::mem::replace(&mut event.now, entry.response.clone());
        let but_series = |event: &Value| {
            let mut event = event.clone();
            event["series"] = Value::Null;
            event["metadata"] = Value::Null;
            event
        };
        if but_series(&before) != but_series(&event.now) {
            return said("not only its series");
        }
        let count = |event: &Value| event["series"]["count"].as_i64().unwrap_or(1);
        // Two agents of one node see the same and say the same.
        let falls = count(&event.now) < count(&before);
        if asked.is_empty() {
            return (before["series"] != event.now["series"]).then(|| said("unasked")).flatten();
        }
        event.changes += 1;
        let most = CHANGES + entry.at.duration_since(event.since).as_mins() / MINUTES;
        match (falls, event.changes > most) {
            (true, _) => {
                let (was, is) = (&before["series"], &event.now["series"]);
                said(&format!("it counts back: {was} became {is}"))
            }
            (false, true) => said(&format!("{} times since it was made", event.changes)),
            (false, false) => None,
        }
    }

    /// Events that say of a pod that it is ended, without a write that did it.
    pub fn without_verdict(&self, written: &HashSet<String>) -> Vec<String> {
        let untrue = self.ended.iter().filter(|(uid, _)| !written.contains(*uid));
        untrue
            .map(|(uid, name)| format!("an Event says that {name} ({uid}) is ended: it is not"))
            .collect()
    }
}

/// The namespace and name of the Event; a request that makes one need not have the name in its path.
fn key(entry: &Entry) -> (String, String) {
    let meta = &entry.response["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&meta["namespace"]), text(&meta["name"]))
}
