//! Events in others' names, and changes of Events.

use k8s_openapi::api::events::v1::Event;
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use pullfuse_rig::NODE;
use serde_json::{Value, json};

use super::writes::{OTHER_NODE, Spoilt, is_refused};
use crate::support::{Node, event, until};

/// Where the Events of these scenarios are.
const NAMESPACE: &str = "default";

pub(super) async fn reports() -> anyhow::Result<()> {
    let node = Node::guarded().await?;
    let holder = node.holder(Some(&node.pod_of_an_agent("reporter", NODE).await?)).await?;
    assert_eq!(holder.report(NAMESPACE, event("p")).await, Ok(()));
    let mut of_many = event("p");
    of_many["series"] = series(7);
    assert_eq!(holder.report(NAMESPACE, of_many).await, Ok(()));
    let nowhere = node.holder(None).await?.report(NAMESPACE, event("p")).await;
    is_refused(nowhere, "token that is bound to a pod");
    let spoilt: [Spoilt; 5] = [
        (|e| e["metadata"]["name"] = json!("p.17c0ffee"), "whose names tell"),
        (|e| e["reportingController"] = json!("kubelet"), "as itself"),
        (|e| e["reportingInstance"] = json!(OTHER_NODE), "reportingInstance node-a"),
        (|e| e["regarding"]["kind"] = json!("Secret"), "about pods and about its own node"),
        (
            |e| e["regarding"] = json!({ "kind": "Node", "name": OTHER_NODE }),
            "about pods and about its own node, node-a",
        ),
    ];
    for (spoil, words) in spoilt {
        let mut event = event("p");
        spoil(&mut event);
        is_refused(holder.report(NAMESPACE, event).await, words);
    }
    Ok(())
}

fn series(count: u32) -> Value {
    json!({ "count": count, "lastObservedTime": "2026-01-01T00:01:00.000000Z" })
}

/// What a patch adds to an Event, and what the policy says of it.
const FOREIGN: [(&str, &str); 4] = [
    (r#"{ "metadata": { "labels": { "a": "b" } } }"#, "metadata.labels"),
    (r#"{ "metadata": { "annotations": { "a": "b" } } }"#, "metadata.annotations"),
    (r#"{ "metadata": { "finalizers": ["example.com/stay"] } }"#, "metadata.finalizers"),
    (
        r#"{ "series": null, "metadata": { "ownerReferences": [
            { "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u" }] } }"#,
        "metadata.ownerReferences",
    ),
];

/// What the API server itself lets nobody change.
const FIXED: [&str; 6] = [
    r#"{ "note": "all is well" }"#,
    r#"{ "reason": "Bored" }"#,
    r#"{ "type": "Normal" }"#,
    r#"{ "eventTime": "2026-01-02T00:00:00.000000Z" }"#,
    r#"{ "regarding": { "name": "another" } }"#,
    r#"{ "reportingInstance": "node-b" }"#,
];

pub(super) async fn series_changes() -> anyhow::Result<()> {
    let node = Node::guarded().await?;
    let here = node.holder(Some(&node.pod_of_an_agent("series-here", NODE).await?)).await?;
    let there = node.holder(Some(&node.pod_of_an_agent("series-there", OTHER_NODE).await?)).await?;
    let again = json!({ "series": series(2) });

    let events = Api::<Event>::namespaced(node.rig.client(), NAMESPACE);
    let mut own = event("told");
    own["regarding"]["namespace"] = NAMESPACE.into();
    own["metadata"]["namespace"] = NAMESPACE.into();
    // As somebody else would write it who knows the name.
    let mut anothers = own.clone();
    anothers["metadata"]["name"] = json!("told.pullfuse-anothers");
    anothers["reportingController"] = json!("example.com/other");
    for event in [&own, &anothers] {
        events.create(&PostParams::default(), &serde_json::from_value(event.clone())?).await?;
    }
    let name = |event: &Value| event["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let (own, anothers) = (name(&own), name(&anothers));

    assert_eq!(here.patch_event(NAMESPACE, &own, &again).await, Ok(()));
    assert_eq!(here.patch_event(NAMESPACE, &own, &json!({})).await, Ok(()), "it may look");
    is_refused(there.patch_event(NAMESPACE, &own, &again).await, "reportingInstance node-b");
    let nowhere = node.holder(None).await?;
    is_refused(nowhere.patch_event(NAMESPACE, &own, &again).await, "bound to a pod");
    is_refused(here.patch_event(NAMESPACE, &anothers, &again).await, "as itself");
    // A look is a change, so nobody else's Event is shown either.
    is_refused(here.patch_event(NAMESPACE, &anothers, &json!({})).await, "as itself");
    for (body, words) in FOREIGN {
        let body = serde_json::from_str(body)?;
        is_refused(here.patch_event(NAMESPACE, &own, &body).await, words);
    }
    for body in FIXED {
        let answer = here.patch_event(NAMESPACE, &own, &serde_json::from_str(body)?).await;
        let refused = answer.as_ref().is_err_and(|error| error.starts_with("422 "));
        assert!(refused, "{body}: {answer:?}");
    }

    // The kubelet's, of the same node.
    let kubelets = until(async || {
        let all = events.list(&ListParams::default()).await?.items;
        let by = |event: &Event| event.reporting_controller.as_deref() == Some("kubelet");
        Ok(all.into_iter().filter(by).find_map(|event| event.metadata.name))
    });
    let kubelets = kubelets.await?;
    is_refused(here.patch_event(NAMESPACE, &kubelets, &again).await, "pullfuse");
    Ok(())
}
