//! Parses the arguments and starts one of the commands.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use pullfuse::{
    agent::{Agent, AgentError, Options},
    capture,
    cli::{Cli, Command, Record, Run, exit},
    config, logging, record,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Run(args) => run(args),
        Command::Check { file } => check(&file),
        Command::Record(args) => record(args),
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

#[tokio::main(flavor = "current_thread")]
async fn record(args: Record) -> Result<(), (u8, anyhow::Error)> {
    let unavailable = |error: anyhow::Error| (exit::UNAVAILABLE, error);
    let endpoints = args.endpoint.candidates().into_iter().map(Into::into).collect();
    let options = capture::Options { mode: args.capture, ..capture::Options::new(endpoints) };
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone()).map_err(|error| unavailable(error.into()))?;
    let longest = args.seconds.map_or(Duration::MAX, Duration::from_secs);
    let end = async { drop(timeout(longest, stop.cancelled()).await) };
    let (written, counters) =
        record::record(options, args.out, end).await.map_err(|error| unavailable(error.into()))?;
    eprintln!("pullfuse: {written} records; {counters}");
    Ok(())
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
