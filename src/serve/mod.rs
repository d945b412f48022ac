//! Serves `/metrics`, `/healthz` and `/readyz`.
//!
//! In: a [`Registry`] and the [`Health`] of the parts. Out: HTTP. Touches only its listener.

mod health;
mod plain;

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
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

async fn metrics(State(registry): State<Arc<Registry>>, headers: HeaderMap) -> Response {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) if wants_openmetrics(&headers) => {
            ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response()
        }
        Ok(()) => {
            ([(header::CONTENT_TYPE, plain::PROMETHEUS)], plain::prometheus(&text)).into_response()
        }
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot encode metrics: {error}\n"))
                .into_response()
        }
    }
}

/// Only who names the newer format gets it.
fn wants_openmetrics(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|offer| {
        let mut words = offer.split(';').map(str::trim);
        let media_type = words.next().unwrap_or_default();
        media_type.eq_ignore_ascii_case("application/openmetrics-text")
            && !words.any(|word| matches!(word, "q=0" | "q=0.0"))
    })
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

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn who_names_openmetrics_gets_it_and_everybody_else_the_older_text() {
        let mut registry = Registry::default();
        registry.register("c", "Help", Counter::<u64>::default());
        let registry = Arc::new(registry);
        for (accept, openmetrics) in [
            ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3", true),
            ("text/plain", false),
            ("*/*", false),
            ("application/openmetrics-text;q=0,text/plain", false),
        ] {
            let router = Router::new().route("/", get(metrics)).with_state(Arc::clone(&registry));
            let request = http::Request::get("/").header(header::ACCEPT, accept);
            let request = request.body(axum::body::Body::empty()).unwrap();
            let answer = router.oneshot(request).await.unwrap();
            let media_type = answer.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
            let body = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
            let text = String::from_utf8(body.to_vec()).unwrap();
            assert_eq!(text.ends_with("# EOF\n"), openmetrics, "{accept}: {text}");
            assert_eq!(text.contains("# TYPE c counter\n"), openmetrics, "{accept}: {text}");
            assert_eq!(media_type.starts_with("application/openmetrics-text"), openmetrics);
        }
    }
}
