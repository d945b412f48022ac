use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use thiserror::Error;

use super::Config;

/// Why a configuration file was refused. The text names the file, the key and what is allowed.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}; name another with --config")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("{path}: {message}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Key, line and what is allowed.
        message: String,
    },
}

/// Reads and checks a configuration file.
///
/// # Errors
/// When it cannot be read, is no valid TOML, has unknown keys or values out of range.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.into(), source })?;
    parse(&text).map_err(|message| ConfigError::Invalid { path: path.into(), message })
}

/// Checks a configuration's text.
///
/// # Errors
/// A sentence that names the key, its line where known, and what is allowed.
pub fn parse(text: &str) -> Result<Config, String> {
    let document =
        toml::Deserializer::parse(text).map_err(|e| e.to_string().trim_end().to_owned())?;
    let config: Config = serde_path_to_error::deserialize(document).map_err(|error| {
        let key = error.path().to_string();
        format!("key `{key}`: {}", error.into_inner().to_string().trim_end())
    })?;
    check(&config)?;
    Ok(config)
}

/// What the types alone cannot say.
fn check(config: &Config) -> Result<(), String> {
    let Config { mode: _, runtime: _, limits, act, serve: _, ledger, log } = config;
    if limits.max_attempts == 0 {
        return Err("key `limits.max_attempts`: 0 would fail every pod at once; use 1 or more \
                    (to fail none, set mode = \"dry-run\")"
            .into());
    }
    within("limits.min_elapsed", limits.min_elapsed, SignedDuration::ZERO)?;
    within("act.verify_for", act.verify_for, SignedDuration::from_secs(1))?;
    if !ledger.dir.is_absolute() {
        return Err(format!(
            "key `ledger.dir`: `{}` is not an absolute path; use for example /var/lib/pullfuse",
            ledger.dir.display()
        ));
    }
    log.level.parse::<tracing_subscriber::filter::Targets>().map_err(|error| {
        format!("key `log.level`: `{}`: {error}; use for example \"info\" or \"pullfuse=debug,kube=warn\"", log.level)
    })?;
    Ok(())
}

fn within(key: &str, value: SignedDuration, least: SignedDuration) -> Result<(), String> {
    let most = SignedDuration::from_hours(24);
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(format!("key `{key}`: {value:#} is out of range; use {least:#} to {most:#}"))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
