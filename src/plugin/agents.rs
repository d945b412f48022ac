use std::{collections::BTreeMap, time::Duration};

use http_body_util::BodyExt;
use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{Event, Node, Pod},
};
use kube::{Api, api::ListParams, client::Body};

use super::clean;
use super::{
    PluginError,
    cluster::{Call, Cluster, Place, list},
    nodes::{Agent, Agents, Health, LABEL, Set, of_pod},
};

/// Agents that are asked themselves why they are not ready; more have the same reason.
const MOST_ASKED: usize = 20;
/// An agent that does not answer by then is not waited for.
const READYZ_LIMIT: Duration = Duration::from_secs(5);
/// Most of an answer of `/readyz` that is read, in bytes.
const READYZ_BYTES: usize = 64 << 10;

/// Asks for DaemonSets, their pods and the nodes.
pub(super) async fn look(cluster: &Cluster, place: &Place) -> Result<Agents, PluginError> {
    let text = place.text();
    let call = |resource| Call { verb: "list", resource, place: &text, hint: "" };
    let labelled = ListParams::default().labels(LABEL);

    let mut sets = Vec::new();
    let keep = |set: DaemonSet| sets.push(Set::read(set));
    list(&place.api(&cluster.client), call("daemonsets"), labelled.clone(), keep).await?;
    if sets.is_empty() {
        return Err(PluginError::NotInstalled { place: text });
    }
    let mut agents = Agents::default();
    let keep = |pod: Pod| agents.rows.extend(of_pod(&pod));
    list(&place.api(&cluster.client), call("pods"), labelled, keep).await?;

    let nodes: Api<Node> = Api::all(cluster.client.clone());
    let call = Call { place: "of the cluster", ..call("nodes") };
    let keep = |node: Node| agents.add_node(&node, &sets);
    match list(&nodes, call, ListParams::default(), keep).await {
        Err(error @ PluginError::Forbidden { .. }) => {
            eprintln!("kubectl-pullfuse: warning: nodes without an agent are not shown: {error}")
        }
        ended => ended?,
    }
    explain(cluster, place, &sets, &mut agents).await;
    agents.rows.sort_by(|a, b| (a.health, &a.node).cmp(&(b.health, &b.node)));
    Ok(agents)
}

/// Looks for the reasons that no status shows: in the agents' own words, and in Events.
async fn explain(cluster: &Cluster, place: &Place, sets: &[Set], agents: &mut Agents) {
    let unexplained = |agent: &&mut Agent| agent.health == Health::NotReady && agent.why.is_empty();
    for agent in agents.rows.iter_mut().filter(unexplained).take(MOST_ASKED) {
        if agent.runs {
            agent.why = not_ready(cluster, agent).await.unwrap_or_default();
        }
    }
    let told_by_event = |agent: &Agent| match agent.health {
        Health::NotReady => agent.why.is_empty(),
        health => health == Health::Missing,
    };
    if !agents.rows.iter().any(told_by_event) {
        return;
    }
    let warnings = warnings(cluster, place).await;
    let refused = sets.iter().find_map(|set| warnings.get(&set.name));
    for agent in agents.rows.iter_mut().filter(|agent| told_by_event(agent)) {
        let about = match &agent.pod {
            Some(pod) => warnings.get(pod),
            None => refused,
        };
        if let Some(text) = about {
            agent.why.clone_from(text);
        }
    }
}

/// What a running agent says is missing, asked through the API server.
async fn not_ready(cluster: &Cluster, agent: &Agent) -> Option<String> {
    let (namespace, pod) = (agent.namespace.as_deref()?, agent.pod.as_deref()?);
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{}/proxy/readyz", agent.port);
    let request = http::Request::get(path).body(Body::empty()).ok()?;
    let asking = async {
        let answer = cluster.client.send(request).await.ok()?;
        let status = answer.status();
        let body = http_body_util::Limited::new(answer.into_body(), READYZ_BYTES);
        let text = String::from_utf8(body.collect().await.ok()?.to_bytes().into()).ok()?;
        Some((status, text))
    };
    let (status, text) = tokio::time::timeout(READYZ_LIMIT, asking).await.ok()??;
    if status == http::StatusCode::FORBIDDEN {
        return Some(
            "its /readyz would tell, but you may not get pods/proxy: ask for that right".into(),
        );
    }
    let bad = |line: &&str| line.contains(": not ready: ") || line.contains(": degraded: ");
    let lines: Vec<_> = text.lines().filter(bad).map(clean).collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

/// The last warning about each object.
async fn warnings(cluster: &Cluster, place: &Place) -> BTreeMap<String, String> {
    let mut last: BTreeMap<String, (Option<jiff::Timestamp>, String)> = BTreeMap::new();
    let text = place.text();
    let call = Call { verb: "list", resource: "events", place: &text, hint: "" };
    let params = ListParams::default().fields("type=Warning");
    let keep = |event: Event| {
        let at = event.last_timestamp.map(|at| at.0).or(event.event_time.map(|at| at.0));
        let parts = [event.reason.as_deref(), event.message.as_deref()];
        let text = clean(&parts.into_iter().flatten().collect::<Vec<_>>().join(": "));
        let known = last.entry(event.involved_object.name.unwrap_or_default()).or_default();
        if at >= known.0 {
            *known = (at, text);
        }
    };
    if let Err(error) = list(&place.api(&cluster.client), call, params, keep).await {
        eprintln!("kubectl-pullfuse: warning: some reasons are not shown: {error}");
    }
    last.into_iter().map(|(name, (_, text))| (name, text)).collect()
}
