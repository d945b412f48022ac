use std::fs;

use anyhow::Context;
use k8s_openapi::api::{authorization::v1::SubjectAccessReview, core::v1::Pod, events::v1::Event};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use pullfuse_rig::{FINE_IMAGE, NODE};
use serde_json::{Value, json};

use super::{Node, missing_pod, until};
use crate::deploy::shipped;

/// What pullfuse may do at the API server, exactly as it ships.
impl Node {
    /// Namespace, ServiceAccount and RBAC.
    pub async fn install_rights(&self) -> anyhow::Result<()> {
        self.rig.namespace("pullfuse").await?;
        let rbac = fs::read_to_string(shipped("rbac.yaml"))?;
        let account = "kind: ServiceAccount\nmetadata:\n  name: pullfuse\n";
        assert!(rbac.contains(account), "the ServiceAccount is expected without a namespace");
        self.rig.apply(&rbac.replace(account, &format!("{account}  namespace: pullfuse\n"))).await
    }

    /// The component that allows to end pods by their deadline.
    pub async fn install_deadline_right(&self) -> anyhow::Result<()> {
        self.rig.apply(&fs::read_to_string(shipped("components/deadline/rbac.yaml"))?).await
    }

    /// Waits until the API server knows that a ServiceAccount of `pullfuse` may do this, or may not.
    pub async fn until_may(
        &self,
        account: &str,
        (verb, resource): (&str, &str),
        allowed: bool,
    ) -> anyhow::Result<()> {
        let review: SubjectAccessReview = serde_json::from_value(json!({ "spec": {
            "user": format!("system:serviceaccount:pullfuse:{account}"),
            "resourceAttributes": { "verb": verb, "resource": resource },
        } }))?;
        let reviews = Api::<SubjectAccessReview>::all(self.rig.client());
        let known = async || {
            let said = reviews.create(&PostParams::default(), &review).await?;
            let may = said.status.is_some_and(|status| status.allowed);
            Ok((may == allowed).then_some(()))
        };
        until(known).await
    }

    /// The admission policies.
    pub async fn install_policies(&self) -> anyhow::Result<()> {
        self.rig.apply(&fs::read_to_string(shipped("admission.yaml"))?).await?;
        self.until_policies_hold().await
    }

    /// Waits until the admission policies are in force, which takes the API server a while.
    pub async fn until_policies_hold(&self) -> anyhow::Result<()> {
        self.rig.apply(&missing_pod("default", "probe", json!({}))).await?;
        let nobody = self.holder(None).await?;
        let verdict = json!({ "status": { "phase": "Failed" } });
        let refused = |answer: Result<(), String>| {
            answer.is_err_and(|error| error.contains("ValidatingAdmissionPolicy"))
        };
        until(async || {
            let in_force = refused(nobody.patch_status("default", "probe", &verdict).await)
                && refused(nobody.report("default", event("probe")).await);
            Ok(in_force.then_some(()))
        })
        .await
    }

    /// Someone with a token of the agents' ServiceAccount, bound to this pod of theirs or to none.
    pub async fn holder(&self, pod: Option<&Pod>) -> anyhow::Result<Holder> {
        let token = self.rig.service_account_token("pullfuse", "pullfuse", pod).await?;
        Ok(Holder { client: self.rig.client_with_token(&token).await? })
    }

    /// Makes a pod like the DaemonSet's, of which only the identity matters.
    pub async fn pod_of_an_agent(&self, name: &str, node: &str) -> anyhow::Result<Pod> {
        let spec = json!({
            "nodeName": node, "serviceAccountName": "pullfuse",
            "containers": [{ "name": "c", "image": FINE_IMAGE }],
        });
        self.rig.apply(&missing_pod("pullfuse", name, spec)).await?;
        self.pods("pullfuse").get(name).await.context("it was just made")
    }
}

/// An Event as an agent on the rig's node reports it about a pod.
pub fn event(pod: &str) -> Value {
    json!({
        "metadata": { "name": format!("{pod}.pullfuse-test") },
        "regarding": { "apiVersion": "v1", "kind": "Pod", "name": pod },
        "type": "Warning", "reason": "ImagePullFailed", "action": "Fail",
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "pullfuse.io/pullfuse", "reportingInstance": NODE,
    })
}

/// Someone with a token. What is tried only shows the API server's answer and changes nothing.
pub struct Holder {
    pub client: Client,
}

impl Holder {
    pub async fn patch_status(&self, ns: &str, pod: &str, body: &Value) -> Result<(), String> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), ns);
        said(pods.patch_status(pod, &dry_run(), &Patch::Strategic(body)).await)
    }

    pub async fn patch_pod(&self, ns: &str, pod: &str, body: &Value) -> Result<(), String> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), ns);
        said(pods.patch(pod, &dry_run(), &Patch::Strategic(body)).await)
    }

    pub async fn patch_event(&self, ns: &str, event: &str, body: &Value) -> Result<(), String> {
        let events = Api::<Event>::namespaced(self.client.clone(), ns);
        said(events.patch(event, &dry_run(), &Patch::Merge(body)).await)
    }

    pub async fn report(&self, ns: &str, mut event: Value) -> Result<(), String> {
        event["metadata"]["namespace"] = ns.into();
        event["regarding"]["namespace"] = ns.into();
        let event: Event = serde_json::from_value(event).map_err(|error| error.to_string())?;
        let how = PostParams { dry_run: true, ..PostParams::default() };
        said(Api::namespaced(self.client.clone(), ns).create(&how, &event).await)
    }
}

fn dry_run() -> PatchParams {
    PatchParams { dry_run: true, ..PatchParams::default() }
}

fn said<T>(answer: kube::Result<T>) -> Result<(), String> {
    match answer {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(format!("{} {}", status.code, status.message)),
        Err(error) => Err(error.to_string()),
    }
}
