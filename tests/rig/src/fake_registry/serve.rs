//! Accepts connections, and closes those that get no answer.

use std::convert::Infallible;
use std::fmt;

use axum::Router;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Closes the connection instead of being sent. Goes through the router as a response's extension.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reset;

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("told to close the connection")
    }
}

impl std::error::Error for Reset {}

impl IntoResponse for Reset {
    fn into_response(self) -> Response {
        axum::Extension(self).into_response()
    }
}

/// Serves until it is aborted; its connections end with it.
pub(super) async fn run(listener: TcpListener, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone()));
                }
                Err(error) => {
                    tracing::error!(%error, "the fake registry cannot accept connections");
                    return;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, router: Router) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(|request: http::Request<Incoming>| {
        let response = router.call(request);
        async move {
            let response = response.await.unwrap_or_else(|never: Infallible| match never {});
            match response.extensions().get::<Reset>() {
                Some(&reset) => Err(reset),
                None => Ok(response),
            }
        }
    });
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        // Truncated and reset answers end here, and clients that went away.
        tracing::debug!(%error, "a connection of the fake registry ended early");
    }
}
