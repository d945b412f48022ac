//! The connection to the API server.

use std::{path::PathBuf, sync::Arc, time::Duration};

use kube::{
    Client,
    client::Body,
    config::{Config, Kubeconfig},
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use super::pace::Pace;

/// Lists and watches: the few of a start at once, then one each of these. kube's watcher opens a watch
/// that was closed in good order again at once, and an expired one after less than a second.
const WATCH_EVERY: Duration = Duration::from_secs(10);
const WATCH_BURST: u32 = 6;
/// An API server says something on every watch once a minute (a bookmark). A connection that is silent
/// for longer than this is dead.
const SILENCE: Duration = Duration::from_secs(150);

/// A client for the API server of this configuration; it does not connect yet. Tokens and the
/// certificates of authorities that are in files are read anew every minute.
///
/// # Errors
/// When the configuration cannot be used.
pub fn connect(mut config: Config) -> kube::Result<Client> {
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    if config.root_cert_file.is_none() {
        config.root_cert_file = authority_file(&config);
    }
    let namespace = config.default_namespace.clone();
    let client = Client::try_from(config)?;
    let pace = Arc::new(Mutex::new(Pace::new(WATCH_EVERY, WATCH_BURST, Instant::now())));
    let paced = tower::service_fn(move |request: http::Request<Body>| {
        let (client, pace) = (client.clone(), Arc::clone(&pace));
        async move {
            if lists_or_watches(&request) {
                wait(&pace).await;
            }
            client.send(request).await
        }
    });
    Ok(Client::new(paced, namespace))
}

/// Where a kubeconfig names a file instead of holding the certificates.
fn authority_file(config: &Config) -> Option<PathBuf> {
    let kubeconfig = Kubeconfig::from_env().ok()??;
    let named = kubeconfig.clusters.into_iter().filter_map(|cluster| cluster.cluster);
    let used = named.filter(|cluster| {
        let server = cluster.server.as_ref().and_then(|server| server.parse().ok());
        cluster.certificate_authority_data.is_none() && server.as_ref() == Some(&config.cluster_url)
    });
    used.filter_map(|cluster| cluster.certificate_authority).map(PathBuf::from).next()
}

/// Whether it is the list or watch of this node's pods: nothing else asks for more than one object.
pub fn lists_or_watches(request: &http::Request<Body>) -> bool {
    request.method() == http::Method::GET && request.uri().path().ends_with("/pods")
}

async fn wait(pace: &Mutex<Pace>) {
    loop {
        let asked = pace.lock().ask(Instant::now());
        match asked {
            Ok(()) => return,
            Err(next) => sleep_until(next).await,
        }
    }
}
