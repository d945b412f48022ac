use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Pod, PodCondition},
};
use serde_json::{Value, json};

use pullfuse_rig::NODE;

/// A waiting reason of any container.
pub trait Waiting {
    fn waits_for(&self, reason: &str) -> bool;
}

impl Waiting for Pod {
    fn waits_for(&self, reason: &str) -> bool {
        waiting_reason(self) == Some(reason)
    }
}

/// The first container's waiting reason, init containers first.
fn waiting_reason(pod: &Pod) -> Option<&str> {
    let status = pod.status.as_ref()?;
    let all = (status.init_container_statuses.iter().flatten())
        .chain(status.container_statuses.iter().flatten());
    all.filter_map(|s| s.state.as_ref()?.waiting.as_ref()?.reason.as_deref())
        .find(|reason| !matches!(*reason, "PodInitializing" | "ContainerCreating"))
}

pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or_default()
}

pub fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.iter().flatten().find(|c| c.type_ == kind)
}

/// What our annotation on a pod that was ended says.
pub fn verdict(pod: &Pod) -> Value {
    let text = pod.metadata.annotations.as_ref().and_then(|all| all.get("pullfuse.io/verdict"));
    serde_json::from_str(text.map_or("null", String::as_str)).unwrap()
}

/// The reason of a Job's condition, if that is true.
pub fn job_condition<'a>(job: &'a Job, kind: &str) -> Option<&'a str> {
    let conditions = job.status.as_ref()?.conditions.iter().flatten();
    let holds = conditions.filter(|c| c.status == "True").find(|c| c.type_ == kind)?;
    holds.reason.as_deref()
}

/// A pod of one container, bound to the node, whose image does not exist; `change` is merged over
/// its spec.
pub fn missing_pod(namespace: &str, name: &str, change: Value) -> String {
    let mut spec = json!({
        "nodeName": NODE, "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
        "containers": [{ "name": "c", "image": format!("127.0.0.1:5000/{name}:nosuch") }],
    });
    if let (Value::Object(spec), Value::Object(change)) = (&mut spec, change) {
        spec.extend(change);
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "namespace": namespace, "name": name }, "spec": spec,
    })
    .to_string()
}
