//! Makes sure that the agent looks after the node it runs on.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use k8s_openapi::api::{authentication::v1::SelfSubjectReview, core::v1::Node};
use kube::{Api, Client, api::PostParams};

use crate::{
    api::{ApiError, limited},
    serve::{Condition, Health},
};

/// Claim of a pod's ServiceAccount token that names its node (KEP-4193).
const NODE_CLAIM: &str = "authentication.kubernetes.io/node-name";
/// With its jitter it may double, and the agent must not seem stuck meanwhile.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The configured node name cannot be right.
#[derive(Debug, thiserror::Error)]
pub enum WrongNode {
    /// The token belongs to a pod of another node.
    #[error(
        "the node name is {configured}, but this pod's token is bound to node {actual}: set \
             NODE_NAME from spec.nodeName (downward API), as daemonset/ does"
    )]
    NotOurs {
        /// From the command line or environment.
        configured: String,
        /// From the token.
        actual: String,
    },
    /// The API server knows no such node.
    #[error(
        "the API server knows no node {0:?}: set --node-name or NODE_NAME to the name that \
             `kubectl get nodes` shows"
    )]
    Unknown(String),
}

/// Asks until the API server answers, however long that takes.
pub(super) async fn check(client: &Client, node: &str, health: &Health) -> Result<(), WrongNode> {
    let mut pauses = ExponentialBuilder::default()
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .with_jitter()
        .build();
    loop {
        match ask(client, node).await {
            Ok(Ok(how)) => {
                health.set("node", Condition::Good(how));
                return Ok(());
            }
            Ok(Err(wrong)) => return Err(wrong),
            Err(error) => health.set("node", Condition::Starting(error.to_string())),
        }
        health.turned();
        tokio::time::sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
    }
}

async fn ask(client: &Client, node: &str) -> Result<Result<String, WrongNode>, ApiError> {
    let reviews = Api::<SelfSubjectReview>::all(client.clone());
    let (params, review) = (PostParams::default(), SelfSubjectReview::default());
    // Older clusters have no such review (it came with 1.28).
    let review = match limited(reviews.create(&params, &review)).await {
        Ok(review) => Some(review),
        Err(ApiError::Gone | ApiError::Forbidden(_)) => None,
        Err(error) => return Err(error),
    };
    let extra = review.and_then(|r| r.status?.user_info?.extra);
    if let Some(actual) = extra.and_then(|e| e.get(NODE_CLAIM)?.first().cloned()) {
        if actual == node {
            return Ok(Ok(format!("{node}, as the token says")));
        }
        return Ok(Err(WrongNode::NotOurs { configured: node.into(), actual }));
    }
    match limited(Api::<Node>::all(client.clone()).get_metadata(node)).await {
        Ok(_) => Ok(Ok(format!("{node}, known to the API server"))),
        Err(ApiError::Gone) => Ok(Err(WrongNode::Unknown(node.into()))),
        // The ServiceAccount of daemonset/ may not read nodes.
        Err(ApiError::Forbidden(_)) => Ok(Ok(format!("{node}, unchecked: no right to read it"))),
        Err(error) => Err(error),
    }
}
