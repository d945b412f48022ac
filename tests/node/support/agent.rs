use std::{fs, net::Ipv4Addr, path::PathBuf};

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, api::PostParams, config::Kubeconfig};
use pullfuse_rig::{NODE, Program};
use serde_json::json;

use super::{LONG, Node, Proxy};

/// A ServiceAccount of the namespace `pullfuse` that has no rights at all.
pub const NO_RIGHTS: &str = "no-rights";

/// An agent that runs beside the kubelet, as a program of the node.
#[derive(Clone)]
pub struct AgentOptions {
    /// Its program name on the rig.
    pub name: String,
    /// Port of its metrics.
    pub port: u16,
    /// Where it serves them.
    pub address: Ipv4Addr,
    /// Its configuration, without `[runtime]`, `[serve]`, `[ledger]` and `[log]`.
    pub config: String,
    /// Its `[runtime]`. Most agents count from pod status: each that listens costs every program of
    /// this machine some time per system call.
    pub runtime: String,
    /// The ServiceAccount whose token it shows.
    pub account: String,
    /// Whether that token is bound to a pod, as in the DaemonSet, and so names the node.
    pub bound: bool,
    /// What it is told its node is.
    pub node: String,
    /// Folder of its ledger.
    pub ledger: String,
    /// What it logs.
    pub log: String,
    /// An API server instead of the rig's.
    pub server: Option<String>,
    /// The file with the certificates of that server's authority. The token is then in a file too:
    /// [`Node::token_file`].
    pub authority: Option<PathBuf>,
    /// What it finds in its environment besides.
    pub env: Vec<(String, String)>,
}

impl AgentOptions {
    pub fn new(config: &str) -> Self {
        Self {
            name: "pullfuse".into(),
            port: 9460,
            address: Ipv4Addr::LOCALHOST,
            config: config.into(),
            runtime: "capture = \"off\"".into(),
            account: "pullfuse".into(),
            bound: false,
            node: NODE.into(),
            ledger: "/var/lib/pullfuse".into(),
            log: "pullfuse=debug,info".into(),
            server: None,
            authority: None,
            env: Vec::new(),
        }
    }

    pub fn attempts(attempts: u32, min_elapsed: &str) -> Self {
        // Many scenarios share a node and its registry: what one provokes must not hold another.
        Self::new(&format!(
            "[limits]\nmax_attempts = {attempts}\nmin_elapsed = \"{min_elapsed}\"\n\
             [breaker]\nimages = 0\n[caps]\nper_node = 1000\nper_namespace = 1000\n\
             [[scopes]]\nname = \"others\"\nnamespaces = [\"own-*\"]\naction = \"ignore\"\n"
        ))
    }

    /// A further agent on a node that has one of [`AgentOptions::attempts`]: it looks after the
    /// namespace `own-NAME`, of which that one keeps away, and after no other. The configuration may
    /// end in scopes that come before.
    pub fn own(name: &str, port: u16, config: &str) -> Self {
        Self::new(&format!(
            "{config}\n[[scopes]]\nname = \"own\"\nnamespaces = [\"own-{name}\"]\n\
             [[scopes]]\nname = \"others\"\naction = \"ignore\"\n"
        ))
        .beside(name, port)
    }

    pub fn two_attempts() -> Self {
        Self::attempts(2, "5s")
    }

    pub fn one_attempt(min_elapsed: &str) -> Self {
        Self::attempts(1, min_elapsed)
    }

    /// Reaches the API server through this.
    pub fn through(mut self, proxy: &Proxy) -> Self {
        self.server = Some(proxy.server());
        self.authority = Some(proxy.authority_file());
        self
    }

    /// Counts from the CRI socket.
    pub fn listening(mut self) -> Self {
        self.runtime = "capture = \"auto\"".into();
        self
    }

    /// Shows a token as the kubelet mounts it.
    pub fn bound(mut self) -> Self {
        self.bound = true;
        self
    }

    /// Where the command line asks it.
    pub fn socket(&self) -> String {
        format!("/run/pullfuse/{}.sock", self.name)
    }

    /// A further agent on a node that has one.
    pub fn beside(mut self, name: &str, port: u16) -> Self {
        self.name = name.into();
        self.port = port;
        self.ledger = format!("/var/lib/{name}");
        self
    }
}

impl Node {
    /// Starts an agent and waits until it is ready.
    pub async fn start_agent(&self, agent: &AgentOptions) -> anyhow::Result<()> {
        self.spawn_agent(agent).await?;
        self.until_readyz(agent, |status, _| status == 200).await.map(drop)
    }

    /// Starts an agent.
    pub async fn spawn_agent(&self, agent: &AgentOptions) -> anyhow::Result<()> {
        let kubeconfig = self.kubeconfig_of(agent).await?;
        let config = self.configure(agent)?;
        let argv = [
            env!("CARGO_BIN_EXE_pullfuse"),
            "run",
            "--config",
            config.to_str().context("an odd path")?,
            "--node-name",
            &agent.node,
        ];
        let program = Program::new(agent.name.as_str(), argv)
            .env("KUBECONFIG", kubeconfig.to_str().context("an odd path")?);
        let set = |program: Program, (name, value): &(String, String)| program.env(name, value);
        self.rig.spawn(agent.env.iter().fold(program, set)).await
    }

    /// Writes an agent's configuration, as whole as a ConfigMap comes; one that runs follows it.
    pub fn configure(&self, agent: &AgentOptions) -> anyhow::Result<PathBuf> {
        let config = self.rig.folder().join("config").join(format!("{}.toml", agent.name));
        let text = format!(
            "{}\n[runtime]\n{}\n[serve]\naddress = \"{}:{}\"\n\
             socket = \"{}\"\n[ledger]\ndir = \"{}\"\n\
             [log]\nlevel = \"{}\"\n",
            agent.config,
            agent.runtime,
            agent.address,
            agent.port,
            agent.socket(),
            agent.ledger,
            agent.log
        );
        self.agents().configure(&agent.name, Timestamp::now(), &text);
        let draft = config.with_extension("draft");
        fs::write(&draft, text)?;
        fs::rename(&draft, &config)?;
        Ok(config)
    }

    /// A kubeconfig with a token of the agent's ServiceAccount, which is made if it does not exist.
    async fn kubeconfig_of(&self, agent: &AgentOptions) -> anyhow::Result<PathBuf> {
        let account = agent.account.as_str();
        let accounts = Api::<ServiceAccount>::namespaced(self.rig.client(), "pullfuse");
        if accounts.get_opt(account).await?.is_none() {
            let new = serde_json::from_value(json!({ "metadata": { "name": account } }))?;
            accounts.create(&PostParams::default(), &new).await?;
        }
        let pod = match agent.bound {
            true => Some(self.pod_of_an_agent(&agent.name, NODE).await?),
            false => None,
        };
        let token = self.rig.service_account_token("pullfuse", account, pod.as_ref()).await?;
        self.agents().identify(&agent.name, &token)?;
        let mut kubeconfig = Kubeconfig::read_from(self.rig.inner_kubeconfig())?;
        let user = kubeconfig.auth_infos.first_mut().and_then(|user| user.auth_info.as_mut());
        let user = user.context("a kubeconfig without a user")?;
        let cluster = kubeconfig.clusters.first_mut().and_then(|c| c.cluster.as_mut());
        let cluster = cluster.context("a kubeconfig without a cluster")?;
        if let Some(server) = &agent.server {
            cluster.server = Some(server.clone());
        }
        if let Some(authority) = &agent.authority {
            fs::write(self.token_file(agent), token)?;
            user.token = None;
            user.token_file = self.token_file(agent).to_str().map(str::to_owned);
            cluster.certificate_authority_data = None;
            cluster.certificate_authority = authority.to_str().map(str::to_owned);
        } else {
            user.token = Some(token.into());
        }
        let path = self.rig.folder().join("config").join(format!("{}.kubeconfig", agent.name));
        fs::write(&path, serde_json::to_vec(&kubeconfig)?)?;
        Ok(path)
    }

    /// Where an agent that does not trust the rig's authority finds its token.
    pub fn token_file(&self, agent: &AgentOptions) -> PathBuf {
        self.rig.folder().join("config").join(format!("{}.token", agent.name))
    }

    /// Asks `/readyz` until the answer is as it should be, and returns it.
    pub async fn until_readyz(
        &self,
        agent: &AgentOptions,
        good: impl Fn(u16, &str) -> bool,
    ) -> anyhow::Result<String> {
        let asking = async {
            loop {
                if let Ok((status, body)) = self.rig.http_get(agent.port, "/readyz").await
                    && good(status, &body)
                {
                    return body;
                }
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(LONG, asking).await.with_context(|| {
            format!("the agent's /readyz never said so; its log:\n{}", self.log_of(agent))
        })
    }

    /// Waits until the agent's log has a line with all these words.
    pub async fn until_logged(&self, agent: &AgentOptions, words: &[&str]) -> anyhow::Result<()> {
        let looking = async {
            let said = |line: &str| words.iter().all(|word| line.contains(word));
            while !self.log_of(agent).lines().any(said) {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(LONG, looking).await.with_context(|| {
            format!("the agent never logged {words:?}; its log:\n{}", self.log_of(agent))
        })
    }

    pub fn log_of(&self, agent: &AgentOptions) -> String {
        self.rig.log(&agent.name).unwrap_or_default()
    }
}
