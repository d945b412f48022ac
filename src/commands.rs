//! The commands, each with the exit code that its error means.

use std::{
    io::{self, ErrorKind, Stdout, Write},
    path::Path,
    time::Duration,
};

use anstream::AutoStream;
use clap::CommandFactory;
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
    cli::{Ask, Check, Cli, Command, Explain, Format, Output, Record, Replay, Run, exit},
    config::{self, Config},
    confine,
    explain::{self, ExplainError, Understood},
    guarded,
    local::ClientError,
    logging, record,
    replay::{self, ReplayError},
    text::Harmless,
};

/// An exit code and what to tell the user.
pub type Failure = (u8, anyhow::Error);

fn stdout() -> Harmless<impl Write> {
    Harmless::new(io::stdout().lock())
}

fn stderr() -> Harmless<impl Write> {
    Harmless::new(io::stderr().lock())
}

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
        Command::Status(args) => asking(async |out| ask::status(&args, out).await),
        Command::Pods(args) => asking(async |out| ask::pods(&args, out).await),
        Command::Pod { pod: name, ask } => asking(async |out| ask::pod(&name, &ask, out).await),
        Command::Images(args) => asking(async |out| ask::images(&args, out).await),
        Command::Registries(args) => asking(async |out| ask::registries(&args, out).await),
        Command::Changes(args) => asking(async |out| ask::changes(&args, out).await),
        Command::Watch(args) => asking(async |out| ask::watch(&args, out).await),
        Command::WhatIf(args) => asking(async |out| ask::what_if(&args, out).await),
        Command::Release(args) => asking(async |out| ask::release(&args, out).await),
        Command::LogLevel(args) => asking(async |out| ask::log_level(&args, out).await),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "pullfuse", &mut script);
            written(io::stdout().write_all(&script))
        }
        Command::Man { out: Some(folder) } => manual(&folder),
        Command::Man { out: None } => {
            written(clap_mangen::Man::new(Cli::command()).render(&mut io::stdout()))
        }
    }
}

/// Writes a page for each command.
fn manual(folder: &Path) -> Result<(), Failure> {
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder));
    written.map_err(|error| {
        let text = anyhow::anyhow!("cannot write manual pages to {}: {error}", folder.display());
        (exit::UNAVAILABLE, text)
    })
}

fn check(args: &Check) -> Result<(), Failure> {
    match check::check(args, &mut stdout(), &mut stderr()) {
        // Who reads has seen enough, as with `| head`.
        Err(CheckError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        ended => ended.map_err(|error| (exit::NO, error.into())),
    }
}

fn explain(args: &Explain) -> Result<(), Failure> {
    if let Some(name) = explain::pod(args) {
        let output = match args.output {
            Format::Table => Output::Table,
            Format::Json => Output::Json,
        };
        let ask = Ask { socket: args.socket.clone(), output };
        return asking(async |out| ask::pod(name, &ask, out).await);
    }
    match explain::explain(args, &mut stdout()) {
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
    match replay::replay(args, &mut stdout()) {
        // Who reads has seen enough, as with `| head`.
        Err(ReplayError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) if error.is_absence() => Err((exit::UNAVAILABLE, error.into())),
        ended => ended.map_err(|error| (exit::NO, error.into())),
    }
}

fn run_agent(args: Run) -> Result<(), Failure> {
    confine::keep_memory_private();
    let config = config::load(&args.config).map_err(|error| (exit::NO, error.into()))?;
    let log = logging::start(&config.log);
    guarded::abort_on_panic();
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
    runtime.map_err(|error| (exit::UNAVAILABLE, error.into()))?.block_on(agent(config, log, args))
}

async fn agent(config: Config, log: logging::Level, args: Run) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone()).map_err(|error| (exit::UNAVAILABLE, error.into()))?;
    let options = Options { config, path: args.config, node: args.node_name, log };
    let agent = Agent::build(options).await;
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

/// Asks the agent. Colours are for terminals that want them.
#[tokio::main(flavor = "current_thread")]
async fn asking(
    ask: impl AsyncFnOnce(&mut Harmless<AutoStream<Stdout>>) -> Result<(), AskError>,
) -> Result<(), Failure> {
    match ask(&mut Harmless::coloured(AutoStream::auto(io::stdout()))).await {
        Err(AskError::Output(error)) => written(Err(error)),
        Err(error @ AskError::Agent(ClientError::NotFound(_) | ClientError::No(_))) => {
            Err((exit::NO, error.into()))
        }
        ended => ended.map_err(|error| (exit::UNAVAILABLE, error.into())),
    }
}

fn written(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        // Who reads has seen enough, as with `| head`.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
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
