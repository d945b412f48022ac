//! Which node has which agent, and how it is. Pure: no I/O, no clock.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{ContainerStatus, Node, Pod},
};
use serde::Serialize;

use super::clean;

/// What the DaemonSet and its pods are known by.
pub(super) const LABEL: &str = "app.kubernetes.io/name=pullfuse";
/// The container of the agent.
const CONTAINER: &str = "pullfuse";
/// Where it serves `/readyz` unless its container names another port.
const PORT: i32 = 9460;

/// How the agent of a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Health {
    Missing,
    NotReady,
    Ready,
    /// No DaemonSet wants this node.
    LeftOut,
}

impl Health {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::NotReady => "not ready",
            Self::Ready => "ready",
            Self::LeftOut => "left out",
        }
    }
}

/// The agent of one node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Agent {
    pub(super) node: String,
    pub(super) health: Health,
    pub(super) namespace: Option<String>,
    pub(super) pod: Option<String>,
    pub(super) image: Option<String>,
    pub(super) restarts: i32,
    pub(super) since: Option<Timestamp>,
    /// Why it is not ready; empty if it is, or where nothing tells.
    pub(super) why: String,
    /// Whether it runs, so that it can be asked itself.
    #[serde(skip)]
    pub(super) runs: bool,
    /// Where it serves `/readyz`.
    #[serde(skip)]
    pub(super) port: i32,
}

/// A DaemonSet of pullfuse.
#[derive(Debug, Clone)]
pub(super) struct Set {
    pub(super) name: String,
    node_selector: BTreeMap<String, String>,
}

impl Set {
    pub(super) fn read(set: DaemonSet) -> Self {
        let pod = set.spec.and_then(|spec| spec.template.spec);
        Self {
            name: set.metadata.name.unwrap_or_default(),
            node_selector: pod.and_then(|pod| pod.node_selector).unwrap_or_default(),
        }
    }

    fn wants(&self, node: &Node) -> bool {
        let labels = node.metadata.labels.as_ref();
        let has = |(key, value): (&String, &String)| labels.and_then(|l| l.get(key)) == Some(value);
        self.node_selector.iter().all(has)
    }
}

/// The agent that this pod is; `None` for a pod of something else.
pub(super) fn of_pod(pod: &Pod) -> Option<Agent> {
    let owners = pod.metadata.owner_references.iter().flatten();
    owners.into_iter().find(|owner| owner.kind == "DaemonSet")?;
    let status = pod.status.as_ref();
    let container = status
        .and_then(|status| status.container_statuses.as_ref())
        .and_then(|all| all.iter().find(|container| container.name == CONTAINER));
    let ready = container.is_some_and(|container| container.ready)
        && pod.metadata.deletion_timestamp.is_none();
    let written = (pod.spec.iter().flat_map(|spec| &spec.containers))
        .find(|container| container.name == CONTAINER);
    let image = written.and_then(|container| container.image.as_deref());
    let port = written.and_then(|container| container.ports.as_ref()?.first());
    Some(Agent {
        node: target(pod),
        health: if ready { Health::Ready } else { Health::NotReady },
        namespace: pod.metadata.namespace.clone(),
        pod: pod.metadata.name.clone(),
        image: image.map(clean),
        restarts: container.map_or(0, |container| container.restart_count),
        since: pod.metadata.creation_timestamp.as_ref().map(|at| at.0),
        why: if ready { String::new() } else { why(pod, container) },
        runs: container.is_some_and(|c| c.state.as_ref().is_some_and(|s| s.running.is_some())),
        port: port.map_or(PORT, |port| port.container_port),
    })
}

/// The node of a pod; for one that waits to be scheduled, the one that the DaemonSet made it for.
fn target(pod: &Pod) -> String {
    let Some(spec) = &pod.spec else { return String::new() };
    if let Some(node) = &spec.node_name {
        return node.clone();
    }
    let affinity = spec.affinity.as_ref().and_then(|all| all.node_affinity.as_ref());
    let required =
        affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    let mut fields = (required.iter().flat_map(|selector| &selector.node_selector_terms))
        .flat_map(|term| term.match_fields.iter().flatten());
    let named = fields.find(|field| field.key == "metadata.name");
    named.and_then(|field| field.values.as_ref()?.first().cloned()).unwrap_or_default()
}

fn why(pod: &Pod, container: Option<&ContainerStatus>) -> String {
    if pod.metadata.deletion_timestamp.is_some() {
        return "it is being deleted".into();
    }
    let status = pod.status.as_ref();
    let unscheduled = (status.iter().flat_map(|status| status.conditions.iter().flatten()))
        .find(|c| c.type_ == "PodScheduled" && c.status == "False");
    if let Some(condition) = unscheduled {
        let text = condition.message.as_deref().or(condition.reason.as_deref());
        return format!("not scheduled: {}", clean(text.unwrap_or("no reason given")));
    }
    let Some(container) = container else {
        let text = status.and_then(|status| status.message.as_deref().or(status.reason.as_deref()));
        return text.map(clean).unwrap_or_default();
    };
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
    let ended = |state: Option<&k8s_openapi::api::core::v1::ContainerState>| {
        let ended = state?.terminated.as_ref()?;
        // The last line that it logged, as the DaemonSet asks for.
        let said = ended.message.as_deref().and_then(|text| text.trim().lines().last());
        Some(match said {
            Some(said) => format!("exit code {}: {}", ended.exit_code, clean(said)),
            None => format!("exit code {}", ended.exit_code),
        })
    };
    let last = ended(container.state.as_ref()).or_else(|| ended(container.last_state.as_ref()));
    match (waiting, last) {
        (_, Some(last)) => last,
        (Some(waiting), None) => {
            let parts = [waiting.reason.as_deref(), waiting.message.as_deref()];
            clean(&parts.into_iter().flatten().collect::<Vec<_>>().join(": "))
        }
        (None, None) => String::new(),
    }
}

/// All agents, also those that nodes lack.
#[derive(Debug, Default)]
pub(super) struct Agents {
    pub(super) rows: Vec<Agent>,
}

impl Agents {
    /// Puts the node's agent in if it has none.
    pub(super) fn add_node(&mut self, node: &Node, sets: &[Set]) {
        let Some(name) = node.metadata.name.as_deref() else { return };
        if self.rows.iter().any(|agent| agent.node == name) {
            return;
        }
        let wanted = sets.iter().any(|set| set.wants(node));
        let (health, why) = match wanted {
            true => (Health::Missing, "the DaemonSet has no pod on this node"),
            false => (Health::LeftOut, "the DaemonSet's nodeSelector leaves this node out"),
        };
        self.rows.push(Agent {
            node: name.to_owned(),
            health,
            namespace: None,
            pod: None,
            image: None,
            restarts: 0,
            since: None,
            why: why.into(),
            runs: false,
            port: PORT,
        });
    }

    /// Whether every node that is to have an agent has a ready one.
    pub(super) fn all_well(&self) -> bool {
        self.rows.iter().all(|agent| matches!(agent.health, Health::Ready | Health::LeftOut))
    }

    /// Of how many nodes, and how many of them have a ready agent.
    pub(super) fn counts(&self) -> (usize, usize) {
        let of = |health| self.rows.iter().filter(|agent| agent.health == health).count();
        (self.rows.len() - of(Health::LeftOut), of(Health::Ready))
    }
}

#[cfg(test)]
#[path = "nodes_tests.rs"]
mod tests;
