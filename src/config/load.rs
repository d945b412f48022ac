use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags};
use thiserror::Error;

use super::Config;

/// Largest file that is read. A ConfigMap holds 1 MiB.
const LARGEST: u64 = 1 << 20;
/// Characters of a line of the file that an error shows.
const LONGEST_LINE: usize = 400;

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
        source: io::Error,
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
    let bytes =
        read(path).map_err(|source| ConfigError::Unreadable { path: path.into(), source })?;
    let invalid = |message| ConfigError::Invalid { path: path.into(), message };
    if bytes.len() as u64 > LARGEST {
        return Err(invalid(format!(
            "the file is larger than {LARGEST} bytes; no configuration is"
        )));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        invalid(format!("line {line} is no UTF-8 text; save the file as UTF-8"))
    })?;
    parse(&text).map_err(|message| ConfigError::Invalid { path: path.into(), message })
}

/// Reads a file of at most [`LARGEST`] bytes and one more. A pipe or a device is refused: it may never
/// end, and whoever waits for its other side waits for ever.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let options = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, options, Mode::empty())?);
    match file.metadata()?.file_type() {
        kind if kind.is_file() => {}
        kind if kind.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        _ => return Err(io::Error::other("it is no regular file")),
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Checks a configuration's text.
///
/// # Errors
/// A sentence that names the key, its line where known, and what is allowed.
pub fn parse(text: &str) -> Result<Config, String> {
    let document = toml::Deserializer::parse(text).map_err(|error| sentence(&error))?;
    serde_path_to_error::deserialize(document).map_err(|error| {
        let key: String = error.path().to_string().chars().take(LONGEST_LINE).collect();
        format!("key `{key}`: {}", sentence(error.inner()))
    })
}

/// The parser's words; a line that it quotes may be as long as the file.
fn sentence(error: &toml::de::Error) -> String {
    let text = error.to_string();
    if text.trim_end() == "recursion limit" {
        return "tables or arrays are nested too deeply; no key needs that".into();
    }
    let short = |line: &str| match line.char_indices().nth(LONGEST_LINE) {
        Some((end, _)) => format!("{} ...", &line[..end]),
        None => line.to_owned(),
    };
    text.trim_end().lines().map(short).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod policy_tests;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;
