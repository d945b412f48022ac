//! Parses the arguments and starts one of the commands.
#![forbid(unsafe_code)]

use std::{
    io::{Write, stderr},
    process::ExitCode,
};

use clap::Parser;
use pullfuse::{cli::Cli, commands, text};

fn main() -> ExitCode {
    match commands::run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, error)) => {
            let error = text::lines(&pullfuse::say(error.as_ref()));
            // Who reads may have seen enough.
            let _ = writeln!(stderr(), "pullfuse: {error}");
            ExitCode::from(code)
        }
    }
}
