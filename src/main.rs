//! Parses the arguments and starts one of the commands.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use pullfuse::{cli::Cli, commands};

fn main() -> ExitCode {
    match commands::run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, error)) => {
            eprintln!("pullfuse: {}", pullfuse::say(error.as_ref()));
            ExitCode::from(code)
        }
    }
}
