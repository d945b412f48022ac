//! What happened in a rig: events and the API server's audit log.

use std::fs;

use anyhow::Context;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde_json::Value;

use crate::rig::Rig;

impl Rig {
    /// The Events about objects with this name.
    pub async fn events(&self, namespace: &str, involved: &str) -> anyhow::Result<Vec<Event>> {
        let api = Api::<Event>::namespaced(self.client(), namespace);
        let about = ListParams::default().fields(&format!("regarding.name={involved}"));
        Ok(api.list(&about).await?.items)
    }

    /// Every request so far that changed a pod, a pod's status or an event, with its whole body.
    pub fn audit(&self) -> anyhow::Result<Vec<Value>> {
        let log = fs::read_to_string(self.folder.path("log/audit.log"))
            .context("the API server has written no audit log")?;
        // The last line may be half written.
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        whole.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}
