use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;

use super::{LONG, Node, until};
use crate::tools::kubectl;

const KINDS: &str = include_str!("../../data/monitoring_crds.yaml");

impl Node {
    /// The kinds of the Prometheus operator that pullfuse uses, without the operator.
    pub async fn install_operator_kinds(&self) -> anyhow::Result<()> {
        self.rig.apply(KINDS).await?;
        for kind in ["podmonitors", "prometheusrules"] {
            let kinds = Api::<CustomResourceDefinition>::all(self.rig.client());
            let served = |kind: Option<&CustomResourceDefinition>| {
                let conditions = kind.and_then(|kind| kind.status.as_ref()?.conditions.as_ref());
                let mut conditions = conditions.into_iter().flatten();
                conditions.any(|one| one.type_ == "Established" && one.status == "True")
            };
            let name = format!("{kind}.monitoring.coreos.com");
            self.rig.wait_for_in(kinds, &name, LONG, "it is served", served).await?;
            // The list of all kinds is made a little later.
            until(async || Ok(kubectl(&self.rig, &["get", kind], "").ok())).await?;
        }
        Ok(())
    }
}
