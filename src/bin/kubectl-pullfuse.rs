//! `kubectl pullfuse`: parses the arguments and asks the cluster.

use std::{
    io::{Write, stderr},
    process::ExitCode,
};

use clap::Parser;
use pullfuse::{
    plugin::{self, Cli},
    text,
};

fn main() -> ExitCode {
    match plugin::run(&Cli::parse()) {
        Ok(code) => ExitCode::from(code),
        Err((code, error)) => {
            let error = text::lines(&pullfuse::say(&error));
            // Who reads may have seen enough.
            let _ = writeln!(stderr(), "kubectl-pullfuse: {error}");
            ExitCode::from(code)
        }
    }
}
