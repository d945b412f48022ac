//! A registry that fails the way it is told to.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use pullfuse_rig::fake_registry::{Answer, FakeRegistry};
//!
//! let rig = pullfuse_rig::Rig::start(Default::default()).await?;
//! let registry = FakeRegistry::serve(rig.listen(0)?)?;
//! registry.set("team/app", Answer::Hang);
//! let image = registry.image("team/app:1"); // for a pod's `image`
//! // … create the pod, then wait until its pull hangs …
//! registry.wait_for("team/app", |counts| counts.manifest_head == 1).await;
//! registry.set("team/app", Answer::NotFound); // the hanging pull now fails
//! # Ok(())
//! # }
//! ```
//!
//! Repositories that were given no answer of their own answer [`Answer::NotFound`], or what
//! [`FakeRegistry::set_default`] says. The address `/v2/`, which some clients ask before they ask
//! for an image, answers like the default as far as that concerns the whole registry: it asks for
//! credentials, breaks down or hangs, but it is never missing or forbidden.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;

mod answer;
mod auth;
mod body;
mod content;
mod errors;
mod request;
mod routes;
mod serve;
mod state;

pub use answer::{Answer, Login, Tokens, WRONG_ARCHITECTURE};
pub use http::StatusCode;
pub use state::Counts;
use state::State;

/// A running registry. Dropping it closes its port and all of its connections.
#[derive(Debug)]
#[must_use = "a registry ends when it is dropped"]
pub struct FakeRegistry {
    address: SocketAddr,
    state: Arc<State>,
    _server: AbortOnDropHandle<()>,
}

impl FakeRegistry {
    /// Serves on a listener, which may belong to another network namespace.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn serve(listener: TcpListener) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let state = Arc::new(State::default());
        let server = tokio::spawn(serve::run(listener, routes::router(state.clone())));
        Ok(Self { address, state, _server: AbortOnDropHandle::new(server) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The full name of an image here, of `repo:tag` or `repo@digest`.
    #[must_use]
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Gives a repository an answer, at once for requests to come and for hanging ones.
    pub fn set(&self, repository: &str, answer: Answer) {
        self.state.answers.send_modify(|answers| {
            answers.repositories.insert(repository.to_owned(), answer);
        });
    }

    /// Sets the answer of the repositories that have none of their own.
    pub fn set_default(&self, answer: Answer) {
        self.state.answers.send_modify(|answers| answers.default = answer);
    }

    /// How many requests a repository has seen.
    #[must_use]
    pub fn requests(&self, repository: &str) -> Counts {
        self.state.counts.borrow().get(repository).copied().unwrap_or_default()
    }

    /// Waits until the requests that a repository has seen satisfy `enough`.
    pub async fn wait_for(
        &self,
        repository: &str,
        mut enough: impl FnMut(Counts) -> bool,
    ) -> Counts {
        let mut counts = self.state.counts.subscribe();
        loop {
            let seen = counts.borrow_and_update().get(repository).copied().unwrap_or_default();
            if enough(seen) {
                return seen;
            }
            #[expect(clippy::expect_used, reason = "the sender lives in `self`")]
            counts.changed().await.expect("the sender lives in `self`");
        }
    }
}
