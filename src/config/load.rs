use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Config;

/// Why a configuration file was refused. The text names the file, the key and what is allowed.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(
        "cannot read the configuration {path}: {source}; name one that exists and may be read (pullfuse run: --config)"
    )]
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
    serde_path_to_error::deserialize(document).map_err(|error| {
        let key = error.path().to_string();
        format!("key `{key}`: {}", error.into_inner().to_string().trim_end())
    })
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod policy_tests;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;
