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
pub mod confine;
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

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    fn sources(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
        files.into_iter().chain(folders.iter().flat_map(|folder| sources(folder))).collect()
    }

    /// The compiler denies unsafe code wherever no attribute allows it.
    #[test]
    fn one_file_may_hold_unsafe_code() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let attribute = ["allow(", "expect("].map(|word| format!("{word}unsafe_code"));
        let mut allowed = sources(&root.join("src"));
        allowed.retain(|file| {
            let text = fs::read_to_string(file).unwrap_or_default();
            attribute.iter().any(|attribute| text.contains(attribute))
        });
        assert_eq!(allowed, [root.join("src/capture/poll.rs")]);
    }
}
