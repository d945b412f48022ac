//! Parses the arguments and starts one of the commands.

use std::process::ExitCode;

use clap::Parser;
use pullfuse::{cli::Cli, commands, text};

fn main() -> ExitCode {
    match commands::run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, error)) => {
            eprintln!("pullfuse: {}", text::lines(&pullfuse::say(error.as_ref())));
            ExitCode::from(code)
        }
    }
}
