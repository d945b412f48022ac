use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::{audit::Entry, pods::Pods};

/// Events about one pod: a verdict, a report, a bad annotation or two, pulls that hang.
const MOST: usize = 6;

/// The Events that agents wrote about pods.
#[derive(Default)]
pub struct Told {
    of_pod: BTreeMap<String, usize>,
    /// Pods of which it was told that they are ended.
    ended: BTreeMap<String, String>,
}

impl Told {
    /// Takes in an Event; returns what is wrong with it.
    pub fn take(&mut self, entry: &Entry, node: &str, pods: &Pods) -> Option<String> {
        let event = &entry.response;
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

    /// Events that say of a pod that it is ended, without a write that did it.
    pub fn without_verdict(&self, written: &HashSet<String>) -> Vec<String> {
        let untrue = self.ended.iter().filter(|(uid, _)| !written.contains(*uid));
        untrue
            .map(|(uid, name)| format!("an Event says that {name} ({uid}) is ended: it is not"))
            .collect()
    }
}
