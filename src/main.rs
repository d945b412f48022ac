//! Parses the arguments and starts one of the commands.

use std::{io::ErrorKind, process::ExitCode};

use clap::Parser;
use pullfuse::{
    agent::{Agent, AgentError, Options},
    cli::{Cli, Command, Replay, Run, exit},
    config, logging,
    replay::{self, ReplayError},
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Run(args) => run(args),
        Command::Check { file } => check(&file),
        Command::Replay(args) => replay(&args),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, error)) => {
            eprintln!("pullfuse: {error:#}");
            ExitCode::from(code)
        }
    }
}

fn check(file: &std::path::Path) -> Result<(), (u8, anyhow::Error)> {
    config::load(file).map_err(|error| (exit::NO, error.into()))?;
    println!("{}: fine", file.display());
    Ok(())
}

fn replay(args: &Replay) -> Result<(), (u8, anyhow::Error)> {
    match replay::replay(args, &mut std::io::stdout().lock()) {
        // Who reads has seen enough, as with `| head`.
        Err(ReplayError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) if error.is_absence() => Err((exit::UNAVAILABLE, error.into())),
        ended => ended.map_err(|error| (exit::NO, error.into())),
    }
}

/// One thread does: a node has little to say, and the agent must not compete with its pods.
#[tokio::main(flavor = "current_thread")]
async fn run(args: Run) -> Result<(), (u8, anyhow::Error)> {
    let config = config::load(&args.config).map_err(|error| (exit::NO, error.into()))?;
    logging::start(&config.log);
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone()).map_err(|error| (exit::UNAVAILABLE, error.into()))?;
    let agent = Agent::build(Options { config, node: args.node_name }).await;
    let ended = match agent {
        Ok(agent) => agent.run(stop).await,
        Err(error) => Err(error),
    };
    ended.map_err(|error| match error {
        AgentError::Node(_) => (exit::NO, error.into()),
        _ => (exit::UNAVAILABLE, error.into()),
    })
}

/// The first signal stops gracefully, a second one at once.
fn stop_on_signal(stop: CancellationToken) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop.is_cancelled() {
                std::process::exit(i32::from(exit::UNAVAILABLE));
            }
            tracing::info!("stopping");
            stop.cancel();
        }
    });
    Ok(())
}
