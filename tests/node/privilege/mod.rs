//! What someone could do with a stolen token: real tokens of the shipped ServiceAccount, under the
//! shipped RBAC and admission policies.

mod events;
mod writes;

use std::collections::BTreeSet;

use anyhow::Context;
use k8s_openapi::api::{
    admissionregistration::v1::ValidatingAdmissionPolicy,
    authorization::v1::{SelfSubjectRulesReview, SelfSubjectRulesReviewSpec},
};
use kube::{Api, api::PostParams};
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{AgentOptions, LONG, Node, condition, missing_pod, phase, scenario};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("privilege::the_account_may_do_this_and_no_more", rights),
        scenario("privilege::writes_that_no_verdict_makes_are_refused", writes::pods),
        scenario("privilege::events_in_the_name_of_others_are_refused", events::reports),
        scenario(
            "privilege::of_an_event_only_the_series_changes_and_only_by_its_agent",
            events::series_changes,
        ),
        scenario("privilege::the_policies_have_no_type_errors", no_type_errors),
        scenario("privilege::agents_end_pods_under_the_policies", agents),
        scenario("privilege::an_agent_whose_token_names_no_node_ends_none", unbound_agent),
    ]
}

/// As `kubectl auth can-i --list` shows it.
async fn rights() -> anyhow::Result<()> {
    let holder = Node::core().await?.holder(None).await?;
    let review = SelfSubjectRulesReview {
        spec: SelfSubjectRulesReviewSpec { namespace: Some("default".into()) },
        ..SelfSubjectRulesReview::default()
    };
    let review = Api::all(holder.client).create(&PostParams::default(), &review).await?;
    let status = review.status.context("a review without an answer")?;
    let mut rights = BTreeSet::new();
    for rule in status.resource_rules {
        let (groups, resources) = (rule.api_groups.unwrap_or_default(), rule.resources);
        for (group, resource) in
            groups.iter().flat_map(|g| resources.iter().flatten().map(move |r| (g, r)))
        {
            assert_eq!(rule.resource_names, None, "{group}/{resource}");
            rights.extend(rule.verbs.iter().map(|verb| format!("{verb} {group}/{resource}")));
        }
    }
    let expected = [
        "create events.k8s.io/events",
        "patch events.k8s.io/events",
        "get /pods",
        "list /pods",
        "patch /pods/status",
        "watch /pods",
        // What every ServiceAccount may: ask about itself.
        "create authentication.k8s.io/selfsubjectreviews",
        "create authorization.k8s.io/selfsubjectaccessreviews",
        "create authorization.k8s.io/selfsubjectrulesreviews",
    ];
    assert_eq!(rights, expected.map(str::to_owned).into());
    let urls = status.non_resource_rules.into_iter();
    let verbs: BTreeSet<String> = urls.flat_map(|rule| rule.verbs).collect();
    assert_eq!(verbs, ["get".to_owned()].into(), "URLs that are no objects are only read");
    Ok(())
}

/// As the API server's own check of the expressions finds it.
async fn no_type_errors() -> anyhow::Result<()> {
    let node = Node::guarded().await?;
    let policies = Api::<ValidatingAdmissionPolicy>::all(node.rig.client());
    for name in ["pullfuse-pods", "pullfuse-events"] {
        let checked = |policy: Option<&ValidatingAdmissionPolicy>| {
            let status = policy.and_then(|policy| policy.status.as_ref());
            status.is_some_and(|status| status.type_checking.is_some())
        };
        let policy = node.rig.wait_for_in(policies.clone(), name, LONG, "it is checked", checked);
        let status = policy.await?.and_then(|policy| policy.status);
        let found = status.and_then(|status| status.type_checking?.expression_warnings);
        assert_eq!(found, None, "{name}");
    }
    Ok(())
}

async fn agents() -> anyhow::Result<()> {
    let node = Node::guarded().await?;
    let limits = "limits = { max_attempts = 1, min_elapsed = \"1s\" }\n";
    let ways = [("status", 9460, "ImagePullFailed"), ("deadline", 9461, "DeadlineExceeded")];
    for (method, port, _) in ways {
        let config = format!("{limits}act.method = \"{method}\"\n");
        let agent = AgentOptions::own(method, port, &config).bound();
        node.start_agent(&agent).await?;
        node.until_readyz(&agent, |_, body| body.contains("node-a, as the token says")).await?;
        let namespace = format!("own-{method}");
        node.rig.namespace(&namespace).await?;
        node.rig.apply(&missing_pod(&namespace, "p", json!({}))).await?;
    }
    for (method, _, reason) in ways {
        let namespace = format!("own-{method}");
        let failed = node.wait_pod(&namespace, "p", "it is Failed", |p| phase(p) == "Failed");
        let pod = failed.await?;
        assert!(condition(&pod, "pullfuse.io/ImagePullFailed").is_some(), "{method}");
        assert_eq!(pod.status.and_then(|status| status.reason).as_deref(), Some(reason));
        node.until_told(&namespace, "p", "ImagePullFailed").await?;
    }
    Ok(())
}

async fn unbound_agent() -> anyhow::Result<()> {
    let node = Node::guarded().await?;
    let limits = "limits = { max_attempts = 1, min_elapsed = \"1s\" }\n";
    let agent = AgentOptions::own("unbound", 9462, limits);
    node.start_agent(&agent).await?;
    node.rig.namespace("own-unbound").await?;
    node.rig.apply(&missing_pod("own-unbound", "p", json!({}))).await?;
    node.until_logged(&agent, &["held back", "token that is bound to a pod"]).await?;
    assert_eq!(phase(&node.pods("own-unbound").get("p").await?), "Pending");
    assert_eq!(node.good_writes_to("own-unbound", "p")?, 0);
    Ok(())
}
