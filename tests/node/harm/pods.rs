use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use jiff::Timestamp;
use pullfuse::text;
use serde_json::Value;

use super::audit::Entry;

/// Versions kept of each pod: more than are written between a request and its place in the log.
const VERSIONS: usize = 16;
/// Pods that are kept after their end, in case a write to them stands later in the log.
const GONE: usize = 500;

/// What the audit log tells of each pod.
#[derive(Default)]
pub struct Pods {
    known: HashMap<String, Known>,
    gone: VecDeque<String>,
}

#[derive(Default)]
struct Known {
    versions: VecDeque<(u64, Value)>,
    /// When each image was there for it, as the kubelet says.
    pulled: BTreeMap<String, BTreeSet<Timestamp>>,
}

impl Pods {
    /// Takes in a request that was carried out.
    pub fn take(&mut self, entry: &Entry) {
        match entry.resource.as_str() {
            "events" if entry.by_a_kubelet() => self.take_event(entry),
            "pods" | "pods/status" if entry.response["kind"] == "Pod" => self.take_version(entry),
            _ => {}
        }
    }

    fn take_version(&mut self, entry: &Entry) {
        let (pod, uid) = (&entry.response, entry.uid().to_owned());
        let Some(version) = version_of(pod) else { return };
        let known = self.known.entry(uid.clone()).or_default();
        if known.versions.iter().all(|(other, _)| *other != version) {
            known.versions.push_back((version, pod.clone()));
            if known.versions.len() > VERSIONS {
                known.versions.pop_front();
            }
        }
        if entry.by_a_kubelet() {
            for (image, at) in started(pod) {
                known.pulled.entry(image).or_default().insert(at);
            }
            if entry.verb == "delete" {
                self.gone.push_back(uid);
            }
        }
        if self.gone.len() > GONE
            && let Some(uid) = self.gone.pop_front()
        {
            self.known.remove(&uid);
        }
    }

    fn take_event(&mut self, entry: &Entry) {
        let event = &entry.response;
        let Some(uid) = event["involvedObject"]["uid"].as_str() else { return };
        let text = event["message"].as_str().unwrap_or_default();
        let image = ["Successfully pulled image \"", "Container image \""]
            .iter()
            .find_map(|start| text.strip_prefix(start)?.split('"').next());
        if let (Some(image), true) = (image, event["reason"] == "Pulled") {
            let known = self.known.entry(uid.to_owned()).or_default();
            known.pulled.entry(image.to_owned()).or_default().insert(entry.at);
        }
    }

    /// The version of a pod that stood before this one.
    pub fn before(&self, uid: &str, version: u64) -> Option<&Value> {
        let versions = self.known.get(uid)?.versions.iter();
        let earlier = versions.filter(|(other, _)| *other < version);
        earlier.max_by_key(|(other, _)| *other).map(|(_, pod)| pod)
    }

    /// Any version of a pod.
    pub fn get(&self, uid: &str) -> Option<&Value> {
        Some(&self.known.get(uid)?.versions.back()?.1)
    }

    /// When other pods were seen to have this image.
    pub fn others_pulled(&self, uid: &str, image: &str) -> impl Iterator<Item = Timestamp> {
        let others = self.known.iter().filter(move |(other, _)| *other != uid);
        others.filter_map(move |(_, known)| known.pulled.get(image)).flatten().copied()
    }

    /// When the pod was last seen to have this image, up to then.
    pub fn last_pulled(&self, uid: &str, image: &str, until: Timestamp) -> Option<Timestamp> {
        self.known.get(uid)?.pulled.get(image)?.range(..=until).next_back().copied()
    }
}

pub fn version_of(pod: &Value) -> Option<u64> {
    pod["metadata"]["resourceVersion"].as_str()?.parse().ok()
}

/// The image of a container, and those that are mounted as volumes.
pub fn images<'a>(pod: &'a Value, container: &str) -> (Option<&'a str>, Vec<&'a str>) {
    let spec = &pod["spec"];
    let own = containers(spec).find(|one| one["name"] == container);
    let volumes = spec["volumes"].as_array().into_iter().flatten();
    let mounted = volumes.filter_map(|volume| volume["image"]["reference"].as_str());
    (own.and_then(|own| own["image"].as_str()), mounted.collect())
}

/// The image of a pod that a verdict names, as the pod's spec spells it: a verdict has it without
/// what would do harm in a text.
pub fn spelled<'a>(pod: &'a Value, named: &'a str) -> &'a str {
    let spec = &pod["spec"];
    let own = containers(spec).map(|one| &one["image"]);
    let volumes = spec["volumes"].as_array().into_iter().flatten();
    let mut all = own.chain(volumes.map(|one| &one["image"]["reference"]));
    let found = all.find_map(|image| image.as_str().filter(|image| text::image(image) == named));
    found.unwrap_or(named)
}

fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers"].into_iter().flat_map(|key| spec[key].as_array()).flatten()
}

/// The images of containers that started, and when.
fn started(pod: &Value) -> Vec<(String, Timestamp)> {
    let statuses = ["initContainerStatuses", "containerStatuses"].into_iter();
    let statuses = statuses.flat_map(|key| pod["status"][key].as_array()).flatten();
    let start = |status: &Value| {
        let (own, _) = images(pod, status["name"].as_str()?);
        let states = ["running", "terminated"].map(|state| &status["state"][state]["startedAt"]);
        let at = states.into_iter().find_map(|at| at.as_str()?.parse().ok())?;
        Some((own?.to_owned(), at))
    };
    statuses.filter_map(start).collect()
}
