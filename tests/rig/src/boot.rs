//! Brings Kubernetes up inside a rig's namespaces.

use std::time::{Duration, Instant};

use anyhow::Context;
use k8s_openapi::api::core::v1::Node;
use kube::Api;

use crate::options::Options;
use crate::protocol::{Endpoint, Request};
use crate::rig::Rig;
use crate::{NODE, config, port};

/// How long each step may take on a busy machine with two processors.
const STEP: Duration = Duration::from_secs(240);

impl Rig {
    /// Starts every part and waits until pods can run.
    pub(crate) async fn boot(&self, options: &Options) -> anyhow::Result<()> {
        match self.start_parts(options).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let mut text = self.diagnosis().await;
                if let Ok(kept) = crate::manage::keep_logs(&self.folder) {
                    text += &format!("\nall logs: {}", kept.display());
                }
                Err(error.context(text))
            }
        }
    }

    async fn start_parts(&self, options: &Options) -> anyhow::Result<()> {
        let (folder, parts) = (&self.folder, self.parts.as_path());
        self.spawn(config::etcd(parts)).await?;
        self.spawn(config::registry(folder, parts)).await?;
        self.spawn(config::containerd(folder, parts, options)).await?;
        self.serving("etcd").await?;
        self.spawn(config::api_server(folder, parts)).await?;
        for part in ["kube-apiserver", "containerd", "registry"] {
            self.serving(part).await?;
        }
        self.spawn(config::controller_manager(folder, parts)).await?;
        self.spawn(config::kubelet(folder, parts, options)).await?;
        self.spawn(config::scheduler(folder, parts)).await?;
        tokio::try_join!(self.node_ready(), self.namespace_ready("default"))?;
        Ok(())
    }

    /// Waits until a part of the rig takes requests; any other program does so at once.
    pub(crate) async fn serving(&self, name: &str) -> anyhow::Result<()> {
        let at = match name {
            "etcd" => Endpoint::Port(2379),
            "registry" => Endpoint::Port(port::REGISTRY),
            "containerd" => Endpoint::Containerd,
            "kubelet" => Endpoint::Port(port::KUBELET_METRICS),
            "kube-apiserver" => return self.ready().await,
            _ => return Ok(()),
        };
        let within_ms = STEP.as_secs() * 1000;
        self.control.order(&Request::Listening { at, within_ms }).await
    }

    /// Waits until the API server answers and the node is Ready, for example after a restart of
    /// parts. A node whose kubelet has just died stays Ready for some 40 seconds.
    pub async fn wait_ready(&self) -> anyhow::Result<()> {
        self.ready().await?;
        self.node_ready().await
    }

    async fn ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + STEP;
        loop {
            let request = http::Request::get("/readyz").body(Vec::new())?;
            match self.client.request_text(request).await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    return Err(error).context("the API server did not become ready");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    async fn node_ready(&self) -> anyhow::Result<()> {
        let ready = |node: Option<&Node>| {
            let conditions = node.and_then(|node| node.status.as_ref()?.conditions.as_ref());
            conditions.is_some_and(|all| {
                all.iter().any(|one| one.type_ == "Ready" && one.status == "True")
            })
        };
        self.wait_for_in(Api::all(self.client()), NODE, STEP, "the node is Ready", ready).await?;
        Ok(())
    }

    /// Which parts ended, and the last lines of every part's log.
    async fn diagnosis(&self) -> String {
        let mut text = "the rig did not come up".to_owned();
        for program in self.programs().await.unwrap_or_default() {
            let state = match program.exit {
                Some(exit) => format!("ended: {exit:?}"),
                None => "running".to_owned(),
            };
            let log = self.log(&program.name).unwrap_or_default();
            let from = log.lines().count().saturating_sub(8);
            text += &format!("\n-- {} ({state})", program.name);
            for line in log.lines().skip(from) {
                text += &format!("\n   {line:.300}");
            }
        }
        text
    }
}
