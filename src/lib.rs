//! A fuse on every Kubernetes node: ends pods whose image will never come.

pub mod act;
pub mod agent;
pub mod api;
pub mod ask;
pub mod attempts;
pub mod capture;
pub mod check;
pub mod classify;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod events;
pub mod explain;
mod faultpoint;
#[cfg(test)]
mod fixtures;
pub mod fuse;
pub mod guarded;
pub mod history;
pub mod journal;
mod kubeconfig;
pub mod ledger;
pub mod local;
pub mod logging;
pub mod metrics;
pub mod plugin;
pub mod pods;
pub mod policy;
pub mod pulls;
pub mod record;
pub mod recording;
pub mod replay;
pub mod runtime;
pub mod serve;
pub mod settings;
pub mod simulation;
pub mod sources;
mod table;
pub mod text;
pub mod wire;

/// An error with all its causes, as one sentence.
pub fn say(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        // Many errors already repeat their cause.
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}
