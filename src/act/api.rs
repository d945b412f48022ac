//! The calls to the API server that a verdict needs.

use jiff::Timestamp;
use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
    core::v1::Pod,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};

use super::{VerdictRecord, patch};
use crate::{
    api::{ApiError, limited},
    pods::PodFacts,
};

const FIELD_MANAGER: &str = "pullfuse";

/// Calls about one pod.
pub(super) struct PodApi {
    client: Client,
    namespace: String,
    name: String,
}

impl PodApi {
    pub(super) fn new(client: Client, record: &VerdictRecord) -> Self {
        let (namespace, name) = (record.tally.namespace.clone(), record.tally.pod.clone());
        Self { client, namespace, name }
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The pod as it is now; another pod of the same name is not it.
    pub(super) async fn read(&self, uid: &str) -> Result<PodFacts, ApiError> {
        let pod = limited(self.pods().get(&self.name)).await?;
        PodFacts::read(&pod).filter(|facts| facts.uid == uid).ok_or(ApiError::Gone)
    }

    /// Ends the pod by its status.
    pub(super) async fn fail(
        &self,
        record: &VerdictRecord,
        pod: &PodFacts,
    ) -> Result<(), ApiError> {
        self.patch_status(&patch::failed(record, pod, Timestamp::now())).await.map(drop)
    }

    /// Explains by the status, then ends the pod by its deadline.
    pub(super) async fn expire(
        &self,
        record: &VerdictRecord,
        pod: &PodFacts,
    ) -> Result<(), ApiError> {
        let explained = patch::condition(record, pod, Timestamp::now());
        let explained = self.patch_status(&explained).await?;
        let pod = PodFacts::read(&explained).filter(|p| p.uid == pod.uid).ok_or(ApiError::Gone)?;
        let deadline = Patch::Merge(patch::deadline(&pod));
        limited(self.pods().patch(&self.name, &params(), &deadline)).await.map(drop)
    }

    async fn patch_status(&self, body: &serde_json::Value) -> Result<Pod, ApiError> {
        limited(self.pods().patch_status(&self.name, &params(), &Patch::Strategic(body))).await
    }

    /// Whether the pod's deadline may be set.
    pub(super) async fn may_expire(&self) -> Result<bool, ApiError> {
        let attributes = ResourceAttributes {
            namespace: Some(self.namespace.clone()),
            resource: Some("pods".into()),
            verb: Some("patch".into()),
            ..Default::default()
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(attributes),
                ..Default::default()
            },
            ..Default::default()
        };
        let api = Api::<SelfSubjectAccessReview>::all(self.client.clone());
        let review = limited(api.create(&PostParams::default(), &review)).await?;
        Ok(review.status.is_some_and(|status| status.allowed))
    }
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() }
}
