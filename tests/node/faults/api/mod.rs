//! The API server in trouble, and the agent's way to it: every fault has an agent and a proxy of its
//! own on one node, all at the same time.
//!
//! A pod becomes due in the middle of the fault and is ended once when it is over. Two others are
//! never to be ended: the attempts counted for them, also for the one that nobody could show to the
//! agent, are those that an agent counts whom nothing disturbs.

mod kinds;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Context;
use futures_util::future::join_all;
use libtest_mimic::Trial;
use pullfuse_rig::Options;
use serde_json::{Value, json};

use self::kinds::{ALL, FEW, What};
use crate::support::{
    AgentOptions, Kind, LONG, Node, Proxy, Tried, missing_pod, no_pull_limit, phase, rounds,
    scenario,
};

/// How long a fault lasts: attempts, and with them verdicts, come in its first half minute.
const SHORT: Duration = Duration::from_secs(60);
const LASTING: Duration = Duration::from_mins(4);
/// Rounds that are worth their time; a round of this is many pauses long.
const MOST_ROUNDS: usize = 3;
/// Far from a hot loop, and no more than a kubelet's own lease and status take.
const MOST_PER_MINUTE: f64 = 30.0;

/// One fault.
#[derive(Clone, Copy)]
pub(super) struct Spec {
    /// For names of namespaces and programs.
    name: &'static str,
    /// For the table.
    text: &'static str,
    what: What,
    /// Pods that become due in it.
    due: usize,
    /// What `/readyz` says meanwhile; each of one line.
    says: &'static [&'static str],
}

pub(super) fn trials() -> Vec<Trial> {
    vec![scenario("faults::api_server", api_server)]
}

async fn api_server() -> anyhow::Result<()> {
    let options = Options { kubelet_config: no_pull_limit(), ..Options::default() };
    let node = Arc::new(Node::start(options, None).await?);
    let witness = AgentOptions::new("mode = \"dry-run\"").beside("witness", 9500).listening();
    node.start_agent(&witness).await?;
    let rounds = rounds(1).min(MOST_ROUNDS);
    let lasts = if rounds > 1 { LASTING } else { SHORT };
    // One by name, for those who look into it.
    let only = std::env::var("PULLFUSE_API_FAULT").ok();
    let chosen = ALL.iter().copied().zip(9501..);
    let chosen = chosen.filter(|(spec, _)| match only.as_deref() {
        Some(only) => only == spec.name,
        None => rounds > 1 || FEW.contains(&spec.name),
    });
    let trials = chosen.map(async |(spec, port)| {
        let trouble = Trouble::prepare(Arc::clone(&node), witness.clone(), spec, port).await?;
        let tried = trouble.rounds(rounds, lasts).await;
        let tried = tried.with_context(|| format!("{}; log:\n{}", spec.name, trouble.log()))?;
        tried.note()
    });
    let ended = join_all(trials).await;
    let failures: Vec<_> =
        ended.into_iter().filter_map(|ended| Some(format!("{:?}", ended.err()?))).collect();
    anyhow::ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

/// A fault and those who live through it.
pub(super) struct Trouble {
    node: Arc<Node>,
    witness: AgentOptions,
    spec: Spec,
    proxy: Proxy,
    agent: AgentOptions,
    namespace: String,
}

impl Trouble {
    async fn prepare(
        node: Arc<Node>,
        witness: AgentOptions,
        spec: Spec,
        port: u16,
    ) -> anyhow::Result<Self> {
        let proxy = Proxy::start(&node, spec.name).await?;
        let config = "[limits]\nmax_attempts = 2\nmin_elapsed = \"5s\"\n[breaker]\nimages = 0\n\
                      [caps]\nper_node = 1000\nper_namespace = 1000\n\
                      [act]\nverify_for = \"10s\"";
        let mut agent = AgentOptions::own(spec.name, port, config).listening().through(&proxy);
        if spec.what == What::Rights {
            agent.account = spec.name.into();
        }
        let namespace = format!("own-{}", spec.name);
        let trouble = Self { node, witness, spec, proxy, agent, namespace };
        trouble.node.rig.namespace(&trouble.namespace).await?;
        trouble.node.spawn_agent(&trouble.agent).await?;
        if spec.what == What::Rights {
            trouble.bind_rights().await?;
        }
        trouble.node.until_readyz(&trouble.agent, |status, _| status == 200).await?;
        Ok(trouble)
    }

    fn log(&self) -> String {
        self.node.log_of(&self.agent)
    }

    async fn rounds(&self, rounds: usize, lasts: Duration) -> anyhow::Result<Tried> {
        let mut sum =
            Tried { fault: format!("API server: {}", self.spec.text), ..Tried::default() };
        for round in 0..rounds {
            let tried = self.round(round, lasts).await?;
            sum.rounds += 1;
            sum.lost += tried.lost;
            sum.wrong += tried.wrong;
            let before = sum.requests_per_minute.unwrap_or_default();
            sum.requests_per_minute = tried.requests_per_minute.map(|rate| rate.max(before));
        }
        Ok(sum)
    }

    async fn round(&self, round: usize, lasts: Duration) -> anyhow::Result<Tried> {
        let due: Vec<String> =
            (0..self.spec.due).map(|number| format!("due-{round}-{number}")).collect();
        let (early, late) = (format!("early-{round}"), format!("late-{round}"));
        self.lasting_pod(&early).await?;
        for pod in &due {
            self.node.rig.apply(&missing_pod(&self.namespace, pod, json!({}))).await?;
        }
        let last = due.last().context("a fault needs a pod")?;
        self.until_counted(last, 1).await?;

        let begun = self.begin().await?;
        self.proxy.count();
        let ends = tokio::time::Instant::now() + lasts;
        self.lasting_pod(&late).await?;
        for pod in due.iter().chain([&early]) {
            self.until_counted(pod, 2).await?;
        }
        tokio::time::sleep_until(ends).await;
        let requests = self.proxy.per_minute();
        let says = |_, report: &str| self.spec.says.iter().all(|words| report.contains(words));
        self.node.until_readyz(&self.agent, says).await?;
        let (live, _) = self.node.rig.http_get(self.agent.port, "/healthz").await?;
        anyhow::ensure!(live == 200, "the agent seems stuck");
        self.polite(&requests)?;
        self.end(begun).await?;

        let mut wrong = 0;
        for pod in &due {
            let ended = |pod: &_| phase(pod) == "Failed";
            self.node.wait_pod(&self.namespace, pod, "it is Failed", ended).await?;
            let name = format!("\"pod\":\"{pod}\"");
            self.node.until_logged(&self.agent, &["verdict ended", "held", &name]).await?;
            wrong += usize::from(!self.node.ended_once(&self.namespace, pod).await?);
            wrong += usize::from(self.told(pod).await? != 1);
        }
        let mut lost = 0;
        for pod in [&early, &late] {
            lost += self.lost(pod).await?;
            wrong +=
                usize::from(phase(&self.node.pods(&self.namespace).get(pod).await?) != "Pending");
            self.node.pods(&self.namespace).delete(pod, &Default::default()).await?;
        }
        let well = |status, report: &str| {
            status == 200 && report.contains("pods: ok") && report.contains("verdicts: ok")
        };
        self.node.until_readyz(&self.agent, well).await?;
        let requests_per_minute = Some(requests.values().sum());
        Ok(Tried { lost, wrong, requests_per_minute, ..Tried::default() })
    }

    /// A pod whose image does not exist and that is not ended.
    async fn lasting_pod(&self, name: &str) -> anyhow::Result<()> {
        let mut pod: Value = serde_json::from_str(&missing_pod(&self.namespace, name, json!({})))?;
        pod["metadata"]["annotations"] = json!({ "pullfuse.io/max-attempts": "100" });
        self.node.rig.apply(&pod.to_string()).await
    }

    async fn until_counted(&self, pod: &str, attempt: u32) -> anyhow::Result<()> {
        // It hears the pods of all faults.
        let namespace = format!("\"namespace\":\"{}\"", self.namespace);
        let pod = format!("\"pod\":\"{pod}\"");
        let attempts = format!("\"attempts\":{attempt},");
        let words = ["attempt failed", &namespace, &pod, &attempts];
        self.node.until_logged(&self.agent, &words).await
    }

    async fn told(&self, pod: &str) -> anyhow::Result<usize> {
        let told = self.node.told(&self.namespace, pod).await?;
        Ok(told.iter().filter(|event| event.reason.as_deref() == Some("ImagePullFailed")).count())
    }

    /// Attempts that this agent has counted so far.
    async fn attempts(&self, agent: &AgentOptions, pod: &str) -> anyhow::Result<u64> {
        let asked = format!("{}/{pod}", self.namespace);
        let (_, said) = self.node.command(agent, &["pod", &asked, "-o", "json"]).await?;
        // What it does not know yet it says in words.
        let pod: Value = serde_json::from_str(&said).unwrap_or_default();
        Ok(pod["images"][0]["attempts"].as_u64().unwrap_or(0))
    }

    /// Attempts that the agent did not count, or counted too often.
    async fn lost(&self, pod: &str) -> anyhow::Result<usize> {
        let mut last = (0, 0);
        // One of them may be about to count the newest.
        let equal = async {
            loop {
                last.0 = self.attempts(&self.witness, pod).await?;
                last.1 = self.attempts(&self.agent, pod).await?;
                if last.0 == last.1 && last.0 >= 2 {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        match tokio::time::timeout(LONG / 2, equal).await {
            Ok(equal) => equal.map(|()| 0),
            Err(_) => Ok(usize::try_from(last.0.abs_diff(last.1))?.max(1)),
        }
    }

    fn polite(&self, requests: &BTreeMap<Kind, f64>) -> anyhow::Result<()> {
        // A server that takes everything gets what is to be written.
        let most = match self.spec.what {
            What::Slow => 2.0 * MOST_PER_MINUTE,
            _ => MOST_PER_MINUTE,
        };
        let storm: Vec<_> = requests.iter().filter(|(_, rate)| **rate > most).collect();
        anyhow::ensure!(storm.is_empty(), "requests per minute: {requests:?}");
        Ok(())
    }

    /// Gives the agent of this fault the rights of pullfuse.
    async fn bind_rights(&self) -> anyhow::Result<()> {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": { "name": self.spec.name },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                         "name": "pullfuse" },
            "subjects": [{ "kind": "ServiceAccount", "name": self.spec.name,
                           "namespace": "pullfuse" }],
        });
        self.node.rig.apply(&binding.to_string()).await
    }
}
