//! `kubectl pullfuse`: parses the arguments and asks the cluster.

use std::process::ExitCode;

use clap::Parser;
use pullfuse::plugin::{self, Cli};

fn main() -> ExitCode {
    match plugin::run(&Cli::parse()) {
        Ok(code) => ExitCode::from(code),
        Err((code, error)) => {
            eprintln!("kubectl-pullfuse: {}", pullfuse::say(&error));
            ExitCode::from(code)
        }
    }
}
