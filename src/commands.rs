//! The commands, each with the exit code that its error means.

use std::{io::ErrorKind, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{Agent, AgentError, Options},
    ask::{self, AskError},
    capture,
    check::{self, CheckError},
    cli::{Ask, Check, Command, Explain, Pods, Record, Replay, Run, WhatIf, exit},
    config::{self, Config},
    confine,
    explain::{self, ExplainError, Understood},
    local::ClientError,
    logging, record,
    replay::{self, ReplayError},
};

/// An exit code and what to tell the user.
pub type Failure = (u8, anyhow::Error);

/// Runs one command to its end.
///
/// # Errors
/// With the exit code that the error means.
pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(args) => run_agent(args),
        Command::Check(args) => check(&args),
        Command::Explain(args) => explain(&args),
        Command::Replay(args) => replay(&args),
        Command::Record(args) => record(args),
        Command::Status(args) => status(&args),
        Command::Pods(args) => pods(&args),
        Command::Pod { pod: name, ask } => pod(&name, &ask),
        Command::WhatIf(args) => what_if(&args),
    }
}

fn check(args: &Check) -> Result<(), Failure> {
    match check::check(args, &mut std::io::stdout().lock(), &mut std::io::stderr().lock()) {
        // Who reads has seen enough, as with `| head`.
        Err(CheckError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        ended => ended.map_err(|error| (exit::NO, error.into())),
    }
}

fn explain(args: &Explain) -> Result<(), Failure> {
    if let Some(name) = explain::pod(args) {
        return pod(name, &Ask { socket: args.socket.clone(), output: args.output });
    }
    match explain::explain(args, &mut std::io::stdout().lock()) {
        Ok(Understood::All) => Ok(()),
        Ok(Understood::NotAll) => {
            Err((exit::NO, anyhow::anyhow!("not everything was understood; see the answer")))
        }
        Err(ExplainError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error @ ExplainError::Batch { .. }) => Err((exit::UNAVAILABLE, error.into())),
        Err(error) => Err((exit::NO, error.into())),
    }
}

fn replay(args: &Replay) -> Result<(), Failure> {
    match replay::replay(args, &mut std::io::stdout().lock()) {
        // Who reads has seen enough, as with `| head`.
        Err(ReplayError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) if error.is_absence() => Err((exit::UNAVAILABLE, error.into())),
        ended => ended.map_err(|error| (exit::NO, error.into())),
    }
}

fn run_agent(args: Run) -> Result<(), Failure> {
    confine::keep_memory_private();
    let config = config::load(&args.config).map_err(|error| (exit::NO, error.into()))?;
    logging::start(&config.log);
    let confined = config.process.confine;
    // One thread does: a node has little to say, and the agent must not compete with its pods. Those
    // that write the ledger and resolve names are others.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_start(move || {
            if confined {
                confine::drop_rights();
            }
        })
        .build();
    runtime.map_err(|error| (exit::UNAVAILABLE, error.into()))?.block_on(agent(config, args))
}

async fn agent(config: Config, args: Run) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone()).map_err(|error| (exit::UNAVAILABLE, error.into()))?;
    let agent = Agent::build(Options { config, path: args.config, node: args.node_name }).await;
    let ended = match agent {
        Ok(agent) => agent.run(stop).await,
        Err(error) => Err(error),
    };
    ended.map_err(|error| match error {
        AgentError::Node(_) => (exit::NO, error.into()),
        AgentError::Deaf(_) => (exit::RESTART, error.into()),
        _ => (exit::UNAVAILABLE, error.into()),
    })
}

#[tokio::main(flavor = "current_thread")]
async fn record(args: Record) -> Result<(), Failure> {
    confine::keep_memory_private();
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

#[tokio::main(flavor = "current_thread")]
async fn status(args: &Ask) -> Result<(), Failure> {
    answered(ask::status(args, &mut std::io::stdout().lock()).await)
}

#[tokio::main(flavor = "current_thread")]
async fn pods(args: &Pods) -> Result<(), Failure> {
    answered(ask::pods(args, &mut std::io::stdout().lock()).await)
}

#[tokio::main(flavor = "current_thread")]
async fn pod(name: &str, ask: &Ask) -> Result<(), Failure> {
    answered(ask::pod(name, ask, &mut std::io::stdout().lock()).await)
}

#[tokio::main(flavor = "current_thread")]
async fn what_if(args: &WhatIf) -> Result<(), Failure> {
    answered(ask::what_if(args, &mut std::io::stdout().lock()).await)
}

fn answered(asked: Result<(), AskError>) -> Result<(), Failure> {
    match asked {
        // Who reads has seen enough, as with `| head`.
        Err(AskError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error @ AskError::Agent(ClientError::NotFound(_))) => Err((exit::NO, error.into())),
        ended => ended.map_err(|error| (exit::UNAVAILABLE, error.into())),
    }
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
