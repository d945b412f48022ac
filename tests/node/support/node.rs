use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use parking_lot::{Mutex as Lock, MutexGuard};
use pullfuse_rig::{Containerd, Kubelet, Options, Rig};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard as Turn};

use super::{AgentOptions, LONG, until};
use crate::{
    deploy,
    harm::{self, Agents, Entry},
};

/// By resource version: how many writes of agents were answered with it, and the phase.
type Versions = BTreeMap<u64, (usize, String)>;

/// A node with an agent whose rights are those of `daemonset/`. When it ends, all that agents wrote
/// to pods is checked.
pub struct Node {
    pub rig: Rig,
    /// What its agents were told.
    agents: Lock<Agents>,
}

impl Drop for Node {
    fn drop(&mut self) {
        harm::look(&self.rig, &self.agents());
    }
}

impl Node {
    /// A node of one's own.
    pub async fn start(options: Options, agent: Option<AgentOptions>) -> anyhow::Result<Self> {
        let node = Self::start_bare(options).await?;
        node.install_rights().await?;
        if let Some(agent) = agent {
            node.start_agent(&agent).await?;
        }
        Ok(node)
    }

    /// A node with nothing of pullfuse on it.
    pub async fn start_bare(options: Options) -> anyhow::Result<Self> {
        Ok(Self { rig: Rig::start(options).await?, agents: Lock::default() })
    }

    /// What the safety net knows of its agents.
    pub fn agents(&self) -> MutexGuard<'_, Agents> {
        self.agents.lock()
    }

    pub fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.rig.client(), namespace)
    }

    /// Waits until a pod is as it should be, and returns it.
    pub async fn wait_pod(
        &self,
        namespace: &str,
        name: &str,
        what: &str,
        condition: impl Fn(&Pod) -> bool,
    ) -> anyhow::Result<Pod> {
        let there = |pod: Option<&Pod>| pod.is_some_and(&condition);
        let pod = self.rig.wait_for(namespace, name, LONG, what, there).await?;
        pod.context("the pod is gone")
    }

    /// Every write to this pod, or its status, by the agent.
    pub fn writes_to(&self, namespace: &str, pod: &str) -> anyhow::Result<Vec<Value>> {
        let audit = self.rig.audit()?.into_iter();
        Ok(audit.filter(|entry| wrote(entry, namespace, pod)).collect())
    }

    /// Those of the writes that the API server carried out.
    pub fn good_writes_to(&self, namespace: &str, pod: &str) -> anyhow::Result<usize> {
        let good = |entry: &Value| entry["responseStatus"]["code"] == json!(200);
        Ok(self.writes_to(namespace, pod)?.iter().filter(|entry| good(entry)).count())
    }

    /// Whether the agent ended this pod by one write, and wrote again only where the kubelet had taken
    /// the verdict back, as it may on a machine so busy that a sync takes seconds.
    pub async fn ended_once(&self, namespace: &str, pod: &str) -> anyhow::Result<bool> {
        // Whoever watches may see a write before the audit log shows it. Of one whose writer was killed
        // the API server says 504, carried out or not: then the kubelet's next write shows it.
        let code = |write: &Value| write["responseStatus"]["code"].as_u64();
        let logged = async || {
            let audit = self.rig.audit()?;
            let writes = audit.iter().filter(|entry| wrote(entry, namespace, pod));
            let codes: Vec<_> = writes.map(code).collect();
            let versions = versions(audit, namespace)?.remove(pod).unwrap_or_default();
            let failed = versions.values().any(|(_, phase)| phase == "Failed");
            let unsure = failed && codes.iter().any(|code| matches!(code, None | Some(504)));
            let sure = codes.contains(&Some(200));
            Ok((sure || unsure).then_some((versions, unsure)))
        };
        let logged = until(logged).await;
        let (versions, unsure) =
            logged.with_context(|| format!("no agent wrote to {namespace}/{pod}"))?;
        let (mut ended, mut failed) = (false, false);
        for (by_agents, phase) in versions.values() {
            if *by_agents > usize::from(!failed) {
                println!("{namespace}/{pod} was written to more than once: {versions:?}");
                return Ok(false);
            }
            failed = phase == "Failed";
            ended |= failed && (*by_agents == 1 || unsure);
        }
        Ok(ended)
    }

    /// Pods that were set to Pending after somebody had set them to Failed.
    pub fn reverted(&self, namespace: &str) -> anyhow::Result<BTreeSet<String>> {
        let back = |versions: &Versions| {
            let phases = versions.values().map(|(_, phase)| phase.as_str());
            phases.skip_while(|phase| *phase != "Failed").any(|phase| phase == "Pending")
        };
        let all = versions(self.rig.audit()?, namespace)?.into_iter();
        Ok(all.filter(|(_, versions)| back(versions)).map(|(name, _)| name).collect())
    }
}

/// Whether this entry of the audit log is an agent's write to this pod, or its status.
fn wrote(entry: &Value, namespace: &str, pod: &str) -> bool {
    let user = entry["user"]["username"].as_str().unwrap_or_default();
    user.starts_with(harm::AGENTS)
        && entry["stage"] == "ResponseComplete"
        && entry["objectRef"]["resource"] == "pods"
        && entry["objectRef"]["namespace"] == namespace
        && entry["objectRef"]["name"] == pod
}

/// The status of each pod after each write that was carried out. The order of the audit log is not
/// that of the writes.
fn versions(audit: Vec<Value>, namespace: &str) -> anyhow::Result<BTreeMap<String, Versions>> {
    let mut pods = BTreeMap::<_, Versions>::new();
    for entry in audit.into_iter().filter_map(Entry::read) {
        let written = matches!(entry.verb.as_str(), "patch" | "update")
            && matches!(entry.resource.as_str(), "pods" | "pods/status");
        if entry.namespace != namespace || !written || !entry.carried_out {
            continue;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let version = text(&entry.response["metadata"]["resourceVersion"]).parse()?;
        let by_agent = entry.by_an_agent();
        let versions = pods.entry(entry.name).or_default();
        // Who changes nothing is answered with what another wrote.
        let written = versions.entry(version).or_default();
        written.0 += usize::from(by_agent);
        written.1 = text(&entry.response["status"]["phase"]);
    }
    Ok(pods)
}

/// A node that several scenarios use; made by the first.
type Shared = Mutex<Option<Arc<Node>>>;
static CORE: Shared = Mutex::const_new(None);
static OLD_KUBELET: Shared = Mutex::const_new(None);
static OLD_CONTAINERD: Shared = Mutex::const_new(None);
static ONE_ATTEMPT: Shared = Mutex::const_new(None);
static GUARDED: Shared = Mutex::const_new(None);
static BARE: Shared = Mutex::const_new(None);
/// Who has something installed on the bare node.
static INSTALLED: Mutex<()> = Mutex::const_new(());

impl Node {
    /// The newest of everything; two attempts end a pod.
    pub async fn core() -> anyhow::Result<Arc<Self>> {
        let agent = AgentOptions::two_attempts();
        shared(&CORE, Self::common(Options::default(), Some(agent))).await
    }

    /// The oldest kubelet that the API server supports; two attempts end a pod.
    pub async fn old_kubelet() -> anyhow::Result<Arc<Self>> {
        let options = Options { kubelet: Kubelet::V1_33, ..Options::default() };
        shared(&OLD_KUBELET, Self::common(options, Some(AgentOptions::two_attempts()))).await
    }

    /// Debian's containerd; two attempts end a pod.
    pub async fn old_containerd() -> anyhow::Result<Arc<Self>> {
        let options = Options { containerd: Containerd::V1_6, ..Options::default() };
        shared(&OLD_CONTAINERD, Self::common(options, Some(AgentOptions::two_attempts()))).await
    }

    /// One attempt and 30 s end a pod, so that the verdict falls anywhere in the back-off.
    pub async fn one_attempt() -> anyhow::Result<Arc<Self>> {
        let agent = AgentOptions::one_attempt("30s");
        shared(&ONE_ATTEMPT, Self::common(Options::default(), Some(agent))).await
    }

    /// No agent of its own; the admission policies are in force, and the deadline may be set.
    pub async fn guarded() -> anyhow::Result<Arc<Self>> {
        let made = async {
            let node = Self::common(Options::default(), None).await?;
            node.install_deadline_right().await?;
            node.install_policies().await?;
            Ok(node)
        };
        shared(&GUARDED, made).await
    }

    /// Nothing of pullfuse but its image, in the registry. Whoever installs pullfuse there removes it
    /// again before the turn ends.
    pub async fn bare() -> anyhow::Result<(Arc<Self>, Turn<'static, ()>)> {
        let made = async {
            let node = Self::start_bare(Options::default()).await?;
            deploy::push_image(&node.rig).await?;
            Ok(node)
        };
        let turn = INSTALLED.lock().await;
        let node = shared(&BARE, made).await?;
        // The ledger outlives an installation, and with it an outage that the scenario before made.
        let ledger = node.rig.host_path("/var/lib/pullfuse");
        if ledger.exists() {
            std::fs::remove_dir_all(ledger)?;
        }
        Ok((node, turn))
    }

    async fn common(mut options: Options, agent: Option<AgentOptions>) -> anyhow::Result<Self> {
        // What one scenario pulls must not make the kubelet refuse another's pull.
        options.kubelet_config = no_pull_limit();
        Self::start(options, agent).await
    }
}

/// A kubelet that asks for as many images per second as it is told to.
pub fn no_pull_limit() -> Value {
    json!({ "registryPullQPS": 0 })
}

async fn shared(
    shared: &Shared,
    make: impl Future<Output = anyhow::Result<Node>>,
) -> anyhow::Result<Arc<Node>> {
    let mut node = shared.lock().await;
    if let Some(node) = &*node {
        return Ok(Arc::clone(node));
    }
    let made = Arc::new(make.await?);
    *node = Some(Arc::clone(&made));
    Ok(made)
}

/// Stops the shared nodes.
pub fn stop_nodes() {
    for shared in [&CORE, &OLD_KUBELET, &OLD_CONTAINERD, &ONE_ATTEMPT, &GUARDED, &BARE] {
        drop(shared.blocking_lock().take());
    }
}
