use futures_util::{Stream, StreamExt};
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
    let mut listed = None;
    watcher::watcher(Api::<Pod>::all(client), config).default_backoff().filter_map(move |event| {
        let event = match event {
            Ok(event) => translate(event, &mut listed),
            Err(error) => Some(PodEvent::Trouble(error)),
        };
        std::future::ready(event)
    })
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
