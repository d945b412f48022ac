//! Nodes with an agent on them, and what scenarios ask of both.

mod agent;
mod answers;
mod cri;
mod node;
mod operator;
mod pods;
mod proxy;
mod rights;
mod transcript;
mod tried;

use std::{future::Future, sync::LazyLock, time::Duration};

use libtest_mimic::Trial;
use tokio::runtime::Runtime;

use crate::harm;

pub use agent::{AgentOptions, NO_RIGHTS};
pub use answers::happened;
pub use cri::{pull, pull_with, ready_sandboxes};
pub use node::{Node, no_pull_limit, stop_nodes};
pub use pods::{Waiting, condition, job_condition, missing_pod, phase, verdict};
pub use proxy::{Fault, Kind, Proxy};
pub use rights::{Holder, event};
pub use transcript::Transcript;
pub use tried::{Tried, print_tried, rounds};

/// Longest wait for anything that a scenario expects: the machines are shared and slow at times.
pub const LONG: Duration = Duration::from_secs(240);

/// One runtime for all: nodes outlive the scenario that made them.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("no threads, no tests"));

/// A scenario; an error or a panic fails it, and any harm to a pod of a node of its own.
pub fn scenario<F>(name: &str, run: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = anyhow::Result<()>>,
{
    Trial::test(name, move || {
        let ran = harm::watched(|| RUNTIME.block_on(run()));
        ran.map_err(|error| format!("{error:?}").into())
    })
}

/// Looks until there is something to see.
pub async fn until<T>(look: impl AsyncFn() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let looking = async {
        loop {
            if let Some(seen) = look().await? {
                return anyhow::Ok(seen);
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    tokio::time::timeout(LONG, looking).await?
}
