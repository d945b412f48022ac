//! `pullfuse explain`: what an error text means.
//!
//! In: a text, or many as JSON lines, and the configuration. Out: cause, advice and what would
//! happen. Touches the files that are named.

mod batch;

use std::{
    io::{self, Write},
    path::Path,
};

use serde::Serialize;
use thiserror::Error;

use crate::{
    classify::{Cause, Class, Classifier, Failure},
    cli::{Explain, Format},
    config::{self, Config, ConfigError, Mode},
    table,
    text::shown,
};

/// Why nothing could be explained.
#[derive(Debug, Error)]
pub enum ExplainError {
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The batch is not there or cannot be read.
    #[error(
        "cannot read the batch {file}: {source}; name a file of JSON lines, or - for standard input"
    )]
    Batch {
        /// The file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

/// Whether everything was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Understood {
    /// Yes.
    All,
    /// No rule knows the text, or a line of a batch could not be read.
    NotAll,
}

/// The pod that the arguments name, if they name one: no text of a runtime is a single path of two
/// Kubernetes names.
pub fn pod(args: &Explain) -> Option<&str> {
    let word = args.target_or_message.as_deref()?;
    let (namespace, name) = word.split_once('/')?;
    let is_name = |part: &str| {
        let edge =
            |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(part.chars().next())
            && edge(part.chars().next_back())
            && part
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.'))
    };
    let alone = args.code.is_none() && args.reason.is_none() && args.image.is_none();
    (alone && is_name(namespace) && !namespace.contains('.') && is_name(name)).then_some(word)
}

/// Explains what the arguments name and writes it to `to`.
///
/// # Errors
/// When the configuration is not valid, the batch cannot be read, or the output not be written.
pub fn explain(args: &Explain, to: &mut dyn Write) -> Result<Understood, ExplainError> {
    let config = configured(args.config.as_deref())?;
    let classifier = Classifier::new(&config.rules);
    if let Some(file) = &args.batch {
        return batch::explain(file, &classifier, to);
    }
    let cause = classifier.classify(&Failure {
        message: args.target_or_message.as_deref().unwrap_or_default(),
        code: args.code,
        runtime: args.runtime.as_deref(),
        reason: args.reason.as_deref(),
        image: args.image.as_deref(),
    });
    let outlook = outlook(&cause, &config);
    match args.output {
        Format::Json => {
            serde_json::to_writer(&mut *to, &Answer { cause: &cause, outlook: &outlook })
                .map_err(io::Error::from)?;
            writeln!(to)?;
        }
        Format::Table => writeln!(to, "{}", shown_as_table(&cause, &outlook))?,
    }
    to.flush()?;
    Ok(if cause.class == Class::Unknown { Understood::NotAll } else { Understood::All })
}

/// The named configuration, else the node's, else the defaults.
fn configured(file: Option<&Path>) -> Result<Config, ConfigError> {
    let usual = Path::new(config::DEFAULT_PATH);
    match file {
        Some(file) => config::load(file),
        None if usual.exists() => config::load(usual),
        None => Ok(Config::default()),
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    cause: &'a Cause,
    outlook: &'a str,
}

fn shown_as_table(cause: &Cause, outlook: &str) -> String {
    let mut table = table::plain();
    for (name, value) in [
        ("CLASS", cause.class.as_str()),
        ("DISPOSITION", cause.disposition.as_str()),
        ("RULE", &cause.rule),
        ("HOST", cause.host.as_deref().unwrap_or("<unknown>")),
        ("ADVICE", &cause.advice),
        ("OUTLOOK", outlook),
    ] {
        table.add_row([name, &shown(Some(value))]);
    }
    table::text(table)
}

/// What the configuration makes of such failures, for a pod that is in no scope.
pub fn outlook(cause: &Cause, config: &Config) -> String {
    let limit = config.limits.of_cause(cause.class, cause.disposition);
    let then = match config.mode {
        Mode::Enforce => "is ended",
        Mode::DryRun => "would be ended (dry run)",
    };
    let scopes = if config.scopes.is_empty() { "" } else { "; [[scopes]] may say otherwise" };
    match limit.max_attempts.number() {
        Some(attempts) => format!(
            "a pod with restartPolicy Never or OnFailure {then} after {attempts} such attempts, and \
             not within {:#} of the first{scopes}",
            limit.min_elapsed
        ),
        None => format!("no pod is ended for this, however often it fails{scopes}"),
    }
}
