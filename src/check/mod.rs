//! `pullfuse check`: is a configuration valid, what does it mean, and what in it contradicts itself?
//!
//! In: a file. Out: the effective policy on standard output, warnings on standard error. Touches
//! only that file.

mod effective;
mod kubelet;
mod reach;
mod rules;
mod table;
mod warnings;

use std::io::{self, Write};

use thiserror::Error;

use self::effective::Effective;
use crate::{
    cli::{Check, Format},
    config::{self, ConfigError},
};

/// Why a configuration cannot be shown.
#[derive(Debug, Error)]
pub enum CheckError {
    /// It is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

/// Checks the file, and writes what it means to `out` and what is doubtful in it to `err`.
///
/// # Errors
/// When the configuration is not valid, or the output cannot be written.
pub fn check(args: &Check, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), CheckError> {
    let config = config::load(&args.file)?;
    let warnings = warnings::all(&config);
    for warning in &warnings {
        writeln!(err, "pullfuse: warning: {warning}")?;
    }
    let effective = Effective::new(&config, warnings);
    match args.output {
        Format::Json => {
            writeln!(out, "{}", serde_json::to_string(&effective).map_err(io::Error::from)?)?
        }
        Format::Table => {
            let warnings = match effective.warnings.len() {
                0 => String::new(),
                1 => ", with 1 warning".to_owned(),
                more => format!(", with {more} warnings"),
            };
            writeln!(out, "{}: fine{warnings}\n", args.file.display())?;
            table::write(&effective, out)?;
        }
    }
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests;
