//! Serves `/metrics`, `/healthz` and `/readyz`.
//!
//! In: a [`Registry`] and the [`Health`] of the parts. Out: HTTP. Touches only its listener.

mod health;

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use thiserror::Error;
use tokio::net::TcpListener;

pub use health::{Condition, Health};

/// The media type of the OpenMetrics text format.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The address for metrics and health cannot be used.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {source}; set serve.address to a free one")]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

/// A bound listener, not serving yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
}

impl Server {
    /// Takes the address.
    ///
    /// # Errors
    /// When it is taken or not of this machine.
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let listener = TcpListener::bind(address).await;
        listener.map(|listener| Self { listener }).map_err(|source| BindError { address, source })
    }

    /// Serves until dropped; nothing it answers is worth waiting for at the end.
    ///
    /// # Errors
    /// When the listener breaks.
    pub async fn run(self, registry: Arc<Registry>, health: Health) -> io::Result<()> {
        let router = Router::new()
            .route("/metrics", get(metrics).with_state(registry))
            .route("/healthz", get(healthz).with_state(health.clone()))
            .route("/readyz", get(readyz).with_state(health));
        axum::serve(self.listener, router).await
    }
}

async fn metrics(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot encode metrics: {error}\n"))
                .into_response()
        }
    }
}

async fn healthz(State(health): State<Health>) -> (StatusCode, String) {
    answer(health.alive(), "ok\n".into(), "the agent's loop is stuck\n".into())
}

async fn readyz(State(health): State<Health>) -> (StatusCode, String) {
    let report = health.report();
    answer(health.ready(), report.clone(), report)
}

fn answer(good: bool, yes: String, no: String) -> (StatusCode, String) {
    if good { (StatusCode::OK, yes) } else { (StatusCode::SERVICE_UNAVAILABLE, no) }
}
