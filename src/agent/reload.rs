//! Follows the configuration file: a new version takes effect at once, a bad one never.

use std::{
    convert::Infallible,
    future, io,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::StreamExt;
use inotify::{EventStream, Inotify, WatchMask};
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use tokio::time::MissedTickBehavior;

use crate::{
    config::{self, Config, ConfigError},
    metrics::table,
    serve::{Condition, Health},
};

/// How often the file is read without a notice: not every file system gives notices.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// An editor and a ConfigMap make several changes of one.
const SETTLES_IN: Duration = Duration::from_millis(200);

/// What was read.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    generation: Gauge,
    failures: Counter,
}

impl Metrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let generation: Gauge = table::CONFIG_GENERATION.single(registry);
        let failures = table::CONFIG_RELOAD_FAILURES.single(registry);
        generation.set(1);
        Self { generation, failures }
    }
}

/// A configuration file, and the text in effect.
pub(super) struct Reload {
    pub(super) path: PathBuf,
    pub(super) config: Config,
    pub(super) health: Health,
    pub(super) metrics: Metrics,
}

impl Reload {
    /// Follows the file for ever, and hands over each version that is good.
    pub(super) async fn follow(mut self, mut apply: impl FnMut(&Config)) -> Infallible {
        let mut notices = watch(&self.path);
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.health.set("config", Condition::Good(self.told("in effect")));
        let mut refused = None;
        loop {
            tokio::select! {
                () = noticed(&mut notices) => tokio::time::sleep(SETTLES_IN).await,
                _ = tick.tick() => {}
            }
            match read(&self.path, &self.config) {
                Ok(config) => {
                    if config != self.config {
                        self.take(config, &mut apply);
                    } else if refused.is_some() {
                        let text = self.told("in effect, as before");
                        self.health.set("config", Condition::Good(text));
                    }
                    refused = None;
                }
                Err(error) => {
                    let error = error.to_string();
                    if refused.as_ref() == Some(&error) {
                        continue;
                    }
                    self.metrics.failures.inc();
                    let text = format!("the configuration from before stays in effect: {error}");
                    self.health.set("config", Condition::Degraded(text));
                    refused = Some(error);
                }
            }
        }
    }

    fn take(&mut self, config: Config, apply: &mut impl FnMut(&Config)) {
        self.metrics.generation.inc();
        apply(&config);
        let fixed = needs_restart(&self.config, &config);
        let text = if fixed.is_empty() {
            self.told("in effect")
        } else {
            self.told(&format!("in effect, but for {}, which takes a restart", fixed.join(", ")))
        };
        tracing::info!(file = %self.path.display(), generation = self.metrics.generation.get(),
            "a new configuration is in effect");
        self.config = config;
        self.health.set("config", Condition::Good(text));
    }

    fn told(&self, what: &str) -> String {
        format!("{}, version {}: {what}", self.path.display(), self.metrics.generation.get())
    }
}

/// Reads the file anew. While it is written in place it may be seen empty, which would be valid and
/// mean the defaults.
fn read(path: &Path, in_effect: &Config) -> Result<Config, ConfigError> {
    let empty = std::fs::metadata(path).is_ok_and(|file| file.len() == 0);
    if empty && *in_effect != Config::default() {
        let message = "the file is empty; write a comment if the defaults are meant".into();
        return Err(ConfigError::Invalid { path: path.into(), message });
    }
    config::load(path)
}

/// The keys that differ and are only read at the start.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let mut keys = Vec::new();
    if (&old.runtime.endpoint, old.runtime.capture) != (&new.runtime.endpoint, new.runtime.capture)
    {
        keys.push("runtime.endpoint and runtime.capture");
    }
    if old.serve != new.serve {
        keys.push("[serve]");
    }
    if old.ledger != new.ledger {
        keys.push("[ledger]");
    }
    if old.log != new.log {
        keys.push("[log]");
    }
    if old.process != new.process {
        keys.push("[process]");
    }
    if new.process.confine && new.act.check_image && !old.act.check_image {
        keys.push("act.check_image");
    }
    keys
}

type Notices = EventStream<[u8; 1024]>;

/// Notices of the file's folder: a ConfigMap is changed by replacing a link beside the file.
fn watch(path: &Path) -> Option<Notices> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let changes = WatchMask::CREATE | WatchMask::MODIFY | WatchMask::MOVE | WatchMask::DELETE;
    let watching = Inotify::init().and_then(|inotify| {
        inotify.watches().add(folder.unwrap_or(Path::new(".")), changes)?;
        inotify.into_event_stream([0; 1024])
    });
    watching.map_err(not_watched).ok()
}

async fn noticed(notices: &mut Option<Notices>) {
    let Some(stream) = notices else { return future::pending().await };
    // What happened does not matter: the file is read.
    match stream.next().await {
        Some(Ok(_)) => {}
        Some(Err(error)) => {
            not_watched(error);
            *notices = None;
        }
        None => *notices = None,
    }
}

fn not_watched(error: io::Error) {
    tracing::warn!(%error, "the configuration's folder cannot be watched: it is read every \
        {LOOK_EVERY:?} instead");
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use tempfile::TempDir;
    use tokio::sync::mpsc;

    use super::*;

    /// As the kubelet does it: the file is a link into a folder that is a link itself.
    fn config_map(folder: &Path, version: &str, text: &str) {
        let data = folder.join(version);
        fs::create_dir(&data).unwrap();
        fs::write(data.join("config.toml"), text).unwrap();
        symlink(version, folder.join("..tmp")).unwrap();
        fs::rename(folder.join("..tmp"), folder.join("..data")).unwrap();
        let _ = symlink("..data/config.toml", folder.join("config.toml"));
    }

    #[tokio::test]
    async fn a_good_version_takes_effect_and_a_bad_one_never() {
        let folder = TempDir::new().unwrap();
        config_map(folder.path(), "one", "");
        let mut registry = Registry::default();
        let health = Health::new(&mut registry, &["config"]);
        let metrics = Metrics::new(&mut registry);
        let path = folder.path().join("config.toml");
        let config = config::load(&path).unwrap();
        let reload = Reload { path, config, health: health.clone(), metrics: metrics.clone() };
        let (applied, mut seen) = mpsc::unbounded_channel();
        tokio::spawn(reload.follow(move |config| {
            applied.send(config.mode).unwrap();
        }));
        let said = async |word: &str| {
            while !health.report().contains(word) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        said("version 1: in effect").await;
        config_map(folder.path(), "two", "mode = \"dry-run\"\n[serve]\naddress = \"127.0.0.1:1\"");
        assert_eq!(seen.recv().await, Some(config::Mode::DryRun));
        said("version 2: in effect, but for [serve], which takes a restart").await;
        config_map(folder.path(), "three", "mode = \"sometimes\"");
        said("degraded").await;
        let report = health.report();
        assert!(report.contains("key `mode`") && report.contains("stays in effect"), "{report}");
        assert_eq!(metrics.failures.get(), 1);
        config_map(folder.path(), "four", "");
        said("the file is empty").await;
        config_map(folder.path(), "five", "# the defaults");
        assert_eq!(seen.recv().await, Some(config::Mode::Enforce), "nothing else was applied");
        assert_eq!(metrics.generation.get(), 3);
    }
}
