//! `pullfuse run`: builds every part, connects them and runs them until told to stop.

mod judge;
mod listen;
mod metrics;
mod needs;
mod node;
mod reload;

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use kube::Client;
use prometheus_client::{
    metrics::{gauge::ConstGauge, histogram::Histogram, info::Info},
    registry::Registry,
};
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::{judge::Judge, listen::Listener, reload::Reload};
use crate::{
    act::{self, Actor},
    api,
    classify::Disposition,
    clock::Clock,
    config::Config,
    confine::Confinement,
    events::Events,
    kubeconfig,
    ledger::{Kept, Ledger, LedgerError},
    local,
    logging::Level,
    metrics::{Contact, PREFIX, Series, measured, table, when_asked},
    pods::{self, Pods},
    policy::breaker::Breaker,
    pulls::{Hearing, Pulls},
    runtime::Runtime,
    serve::{BindError, Condition, Health, Server},
    settings::Settings,
};

/// How often the runtime is asked whether it is still there.
const PROBE_EVERY: Duration = Duration::from_secs(10);
/// Seconds of a write; none takes longer than the deadline of a call.
const WRITE_BUCKETS: [f64; 8] = [0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 10.0];
/// Questions of the command line on their way to the judge.
const QUESTIONS: usize = 16;

/// What the agent is told when it starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// The checked configuration.
    pub config: Config,
    /// The file it was read from, which is followed.
    pub path: PathBuf,
    /// The node whose pods it looks after.
    pub node: String,
    /// What is logged.
    pub log: Level,
}

/// Why the agent cannot start or go on.
#[derive(Debug, Error)]
pub enum AgentError {
    /// The process runs neither in a cluster nor with a kubeconfig.
    #[error(
        "no Kubernetes API server is configured: {0}; run pullfuse as a pod with a \
             ServiceAccount, or set KUBECONFIG"
    )]
    NoApiServer(String),
    /// The node name is wrong.
    #[error(transparent)]
    Node(#[from] node::WrongNode),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The address for metrics is not free.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// What was heard no longer is, and the rights to listen anew are given up.
    #[error("the CRI socket is no longer heard, and only a new process may listen to it: {0}")]
    Deaf(std::io::Error),
    /// The metrics listener broke.
    #[error("metrics can no longer be served: {0}")]
    Serve(#[from] std::io::Error),
}

/// An agent that holds its address and its ledger, not running yet.
pub struct Agent {
    options: Options,
    client: Client,
    server: Server,
    ledger: Arc<Ledger>,
    kept: Kept,
    confinement: Confinement,
}

impl Agent {
    /// Confines the process to what the agent needs, and takes what only one agent can have: the
    /// ledger and the address.
    ///
    /// # Errors
    /// When one of them is not to be had, or no API server is configured.
    pub async fn build(options: Options) -> Result<Self, AgentError> {
        let confinement = match options.config.process.confine {
            true => Confinement::begin(&needs::of(&options.config, &options.path)),
            false => Confinement::off(),
        };
        let configured = kube::Config::infer().await.map_err(|error| kubeconfig::told(&error));
        let client = configured
            .and_then(|config| kubeconfig::client(config, api::connect))
            .map_err(AgentError::NoApiServer)?;
        let (ledger, kept) = Ledger::open(&options.config.ledger.dir)?;
        let server = Server::bind(options.config.serve.address).await?;
        Ok(Self { options, client, server, ledger: Arc::new(ledger), kept, confinement })
    }

    /// Runs until `stop`.
    ///
    /// # Errors
    /// When the node turns out to be the wrong one, or metrics can no longer be served.
    pub async fn run(self, stop: CancellationToken) -> Result<(), AgentError> {
        let Self { options, client, server, ledger, kept, confinement } = self;
        let Options { config, path, node, log } = options;
        let mut registry = Registry::with_prefix(PREFIX);
        let health = Health::new(
            &mut registry,
            &[
                "api",
                "capture",
                "config",
                "confinement",
                "ledger",
                "node",
                "pods",
                "pulls",
                "runtime",
                "verdicts",
            ],
        );
        let metrics = metrics::Metrics::new(&mut registry, &config.metrics);
        let reload = Reload {
            path,
            config: config.clone(),
            health: health.clone(),
            metrics: reload::Metrics::new(&mut registry),
        };
        let act_metrics = act::Metrics::new(&mut registry);
        let contact = Contact::default();
        let writes = register(&mut registry, contact.clone(), config.ledger.dir.clone());
        let client = measured(client, writes, contact);
        announce(&config, &node, &kept);
        health.set("ledger", ledger_condition(&kept));

        let (in_effect, settings) = watch::channel(Arc::new(Settings::new(config.clone())));
        let (breaker, outages) = watch::channel(Breaker::default());
        let runtime = Runtime::new(config.runtime.endpoint.clone());
        let (pods, pulls, clock) = (Pods::default(), Pulls::default(), Clock::new());
        registry.register_collector(Box::new(pulls.clone()));
        pulls.hears(Hearing::Pending);
        let events = Events::new(client.clone(), node.clone());
        let (heard, calls) = listen::queue();
        let listener = Listener {
            endpoints: config.runtime.endpoint.candidates().into_iter().map(Into::into).collect(),
            mode: config.runtime.capture,
            scratch: config.ledger.dir.clone(),
            pulls: pulls.clone(),
            health: health.clone(),
            metrics: metrics.clone(),
            confinement,
        };
        let actor = Arc::new(Actor::new(act::Parts {
            client: client.clone(),
            events: events.clone(),
            settings: settings.clone(),
            breaker: outages,
            ledger: Arc::clone(&ledger),
            runtime: runtime.clone(),
            pods: pods.clone(),
            pulls: pulls.clone(),
            health: health.clone(),
            clock: clock.clone(),
            metrics: act_metrics,
        }));
        let (asked, questions) = mpsc::channel(QUESTIONS);
        let watchers = local::watchers();
        let about = local::About {
            node: node.clone(),
            started: Timestamp::now(),
            health: health.clone(),
            pulls: pulls.clone(),
            settings: settings.clone(),
            log,
            watchers: watchers.clone(),
        };
        let answering = local::Server::new(about, asked);
        let judging = async {
            match stop.run_until_cancelled(node::check(&client, &node, &health)).await {
                Some(checked) => checked?,
                None => return Ok(()),
            }
            let judge = Judge::new(judge::Parts {
                settings: settings.clone(),
                breaker,
                ledger,
                kept,
                pods,
                actor,
                runtime: runtime.clone(),
                pulls,
                clock,
                events,
                health: health.clone(),
                metrics,
                watchers,
            });
            let inputs = judge::Inputs { calls, questions };
            judge.run(pods::watch(client, &node), inputs, stop.clone()).await;
            Ok(())
        };
        // Both go on for as long as the judge does.
        let serving = server.run(Arc::new(registry), health.clone());
        tokio::select! {
            // In this order: the command line's socket is made before the right to make sockets is
            // given up.
            biased;
            never = answer(answering, &config.serve.socket, &health) => match never {},
            ended = judging => ended,
            Err(broken) = serving => Err(AgentError::Serve(broken)),
            never = probe(&runtime, &settings, &health) => match never {},
            never = reload.follow(|new| drop(in_effect.send(Arc::new(Settings::new(new.clone()))))) => {
                match never {}
            }
            deaf = listener.run(heard) => Err(deaf),
        }
    }
}

/// Registers what belongs to no part: the build, the calls to the API server, the ledger's folder.
fn register(registry: &mut Registry, contact: Contact, ledger: PathBuf) -> Series<Histogram> {
    table::BUILD.register(registry, Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    when_asked(registry, move |encoder| {
        let age = ConstGauge::new(contact.age().as_secs_f64());
        table::WATCH_AGE.encode(encoder, &age)?;
        let files = std::fs::read_dir(&ledger).into_iter().flatten().flatten();
        let sizes = files.filter_map(|file| file.metadata().ok()).filter(|file| file.is_file());
        let size = sizes.map(|file| file.len()).sum::<u64>();
        let size = ConstGauge::new(i64::try_from(size).unwrap_or(i64::MAX));
        table::LEDGER_SIZE.encode(encoder, &size)
    });
    let writes = table::API_WRITE_DURATION.series(registry, || Histogram::new(WRITE_BUCKETS));
    // What an alert counts must begin at 0.
    for (write, refused) in
        [("status", "forbidden"), ("status", "rejected"), ("event", "forbidden")]
    {
        writes.with([write, refused]);
    }
    writes
}

fn announce(config: &Config, node: &str, kept: &Kept) {
    let limit = config.limits.of_disposition(Disposition::Permanent);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        node,
        mode = config.mode.as_str(),
        max_attempts = %limit.max_attempts,
        min_elapsed = %format!("{:#}", limit.min_elapsed),
        scopes = config.scopes.len(),
        method = config.act.method.as_str(),
        tallies = kept.tallies.len(),
        verdicts = kept.verdicts.len(),
        "pullfuse starts"
    );
}

fn ledger_condition(kept: &Kept) -> Condition {
    match (&kept.set_aside, kept.unreadable) {
        (Some(path), _) => Condition::Degraded(format!(
            "the old ledger was damaged and is now {}: counts began anew",
            path.display()
        )),
        (None, _) if kept.mended => Condition::Degraded(
            "the ledger was damaged and is mended: the newest counts may be missing".into(),
        ),
        (None, 0) => Condition::Good("open".into()),
        (None, n) => Condition::Degraded(format!("{n} unreadable records were skipped")),
    }
}

/// Answers the command line for ever; the agent does without where that cannot be.
async fn answer(server: local::Server, socket: &Path, health: &Health) -> Infallible {
    health.set("api", Condition::Good(format!("answers at {}", socket.display())));
    if let Err(error) = server.run(socket).await {
        health.set("api", Condition::Degraded(error.to_string()));
    }
    std::future::pending().await
}

/// Keeps an eye on the runtime for ever.
async fn probe(
    runtime: &Runtime,
    settings: &watch::Receiver<Arc<Settings>>,
    health: &Health,
) -> Infallible {
    loop {
        let condition = if !settings.borrow().config.act.check_image {
            Condition::Good("not asked: act.check_image = false".into())
        } else {
            match runtime.probe().await {
                Ok(found) => Condition::Good(format!(
                    "{} {} at {}",
                    found.name,
                    found.version,
                    found.socket.display()
                )),
                Err(error) => Condition::Degraded(format!("verdicts are held back: {error}")),
            }
        };
        health.set("runtime", condition);
        tokio::time::sleep(PROBE_EVERY).await;
    }
}
