use futures_util::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt, watcher},
};

use super::{PodFacts, PodUid};

/// A change of this node's pods.
#[derive(Debug)]
pub enum PodEvent {
    /// Everything there is; pods not in it are gone.
    All(Vec<PodFacts>),
    /// A pod is new or changed.
    Changed(Box<PodFacts>),
    /// A pod is gone.
    Gone(PodUid),
    /// The API server could not be reached or refused; the watch goes on by itself.
    Trouble(watcher::Error),
}

/// Watches the pods bound to `node`, for ever; failures are reported and retried with a back-off.
pub fn watch(client: Client, node: &str) -> impl Stream<Item = PodEvent> + Send + 'static {
    let config = watcher::Config::default().fields(&format!("spec.nodeName={node}"));
    let open = move || {
        Box::pin(watcher(Api::<Pod>::all(client.clone()), config.clone()).default_backoff())
    };
    stream::unfold((open(), open, None), |(mut watch, open, mut listed)| async move {
        loop {
            let event = match watch.next().await {
                Some(Ok(event)) => translate(event, &mut listed),
                Some(Err(error)) => {
                    if expired(&error) {
                        watch = open();
                    }
                    Some(PodEvent::Trouble(error))
                }
                None => {
                    watch = open();
                    None
                }
            };
            if let Some(event) = event {
                return Some((event, (watch, open, listed)));
            }
        }
    })
}

/// kube's watcher would ask for the same version again, for ever.
fn expired(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 410,
        _ => false,
    }
}

/// Gathers a list into one [`PodEvent::All`].
fn translate(event: watcher::Event<Pod>, listed: &mut Option<Vec<PodFacts>>) -> Option<PodEvent> {
    match event {
        watcher::Event::Init => {
            *listed = Some(Vec::new());
            None
        }
        watcher::Event::InitApply(pod) => {
            listed.get_or_insert_default().extend(PodFacts::read(&pod));
            None
        }
        watcher::Event::InitDone => Some(PodEvent::All(listed.take().unwrap_or_default())),
        watcher::Event::Apply(pod) => PodFacts::read(&pod).map(Box::new).map(PodEvent::Changed),
        watcher::Event::Delete(pod) => pod.metadata.uid.map(PodEvent::Gone),
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;
    use tower_test::mock;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_is_refused_as_expired_begins_with_a_new_list() {
        let (service, mut api) = mock::pair::<Request<Body>, Response<Body>>();
        let list = json!({ "kind": "PodList", "apiVersion": "v1", "items": [],
                           "metadata": { "resourceVersion": "5" } });
        let expired = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure",
                              "code": 410, "message": "too old", "reason": "Expired" });
        let server = tokio::spawn(async move {
            let mut watches = Vec::new();
            for (code, body) in [(200, &list), (410, &expired), (200, &list)] {
                let (request, send) = api.next_request().await.expect("a call was expected");
                watches.push(request.uri().query().unwrap_or_default().contains("watch=true"));
                let body = Body::from(body.to_string().into_bytes());
                send.send_response(Response::builder().status(code).body(body).unwrap());
            }
            watches
        });
        let mut events = pin!(watch(Client::new(service, "default"), "node-a"));
        assert!(matches!(events.next().await, Some(PodEvent::All(_))));
        assert!(matches!(events.next().await, Some(PodEvent::Trouble(_))));
        assert!(matches!(events.next().await, Some(PodEvent::All(_))));
        assert_eq!(server.await.unwrap(), [false, true, false]);
    }
}
