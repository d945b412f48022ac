use std::{
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::Context;
use k8s_openapi::api::events::v1::Event;
use pullfuse_rig::{Exit, NODE, Program};
use serde_json::Value;

use super::{AgentOptions, Node, until};

/// Commands so far, for their names on the rigs.
static ASKED: AtomicUsize = AtomicUsize::new(0);

/// What an agent says of itself: to its command line, in metrics and in Events.
impl Node {
    /// What a command that asks the agent prints; it must end well.
    pub async fn ask(&self, agent: &AgentOptions, words: &[&str]) -> anyhow::Result<String> {
        let (exit, said) = self.command(agent, words).await?;
        anyhow::ensure!(exit.code == Some(0), "{words:?} ended with {exit:?}:\n{said}");
        Ok(said)
    }

    /// How a command that asks the agent ends, and what it prints.
    pub async fn command(
        &self,
        agent: &AgentOptions,
        words: &[&str],
    ) -> anyhow::Result<(Exit, String)> {
        let name = self.begin(agent, words).await?;
        let exit = self.rig.wait_exit(&name).await?;
        Ok((exit, self.rig.log(&name).unwrap_or_default()))
    }

    /// Starts a command that asks the agent; returns its name on the rig.
    pub async fn begin(&self, agent: &AgentOptions, words: &[&str]) -> anyhow::Result<String> {
        if let ["release", pod, ..] = words {
            self.agents().release(pod);
        }
        let name = format!("{}-ask-{}", agent.name, ASKED.fetch_add(1, Ordering::Relaxed));
        let socket = agent.socket();
        let argv = [env!("CARGO_BIN_EXE_pullfuse")].iter().chain(words);
        let argv = argv.copied().chain(["--socket", socket.as_str()]);
        self.rig.spawn(Program::new(name.as_str(), argv)).await?;
        Ok(name)
    }

    /// Waits until a program has printed a line with all these words, and returns the line.
    pub async fn until_said(&self, program: &str, words: &[&str]) -> anyhow::Result<String> {
        let said = |line: &&str| words.iter().all(|word| line.contains(word));
        let look = async || {
            Ok(self.rig.log(program).unwrap_or_default().lines().find(said).map(str::to_owned))
        };
        let all = || self.rig.log(program).unwrap_or_default();
        until(look).await.with_context(|| format!("{program} never said {words:?}:\n{}", all()))
    }

    /// What `pullfuse pod` says, for programs, about a pod with one failing image.
    pub async fn failing(&self, agent: &AgentOptions, pod: &str) -> anyhow::Result<Value> {
        let said = self.ask(agent, &["pod", pod, "-o", "json"]).await?;
        let mut answer: Value = serde_json::from_str(&said)?;
        Ok(answer["images"][0].take())
    }

    /// The sum of the agent's series that have this name and these labels, perhaps among others; 0
    /// while there is none.
    pub async fn metric(&self, agent: &AgentOptions, series: &str) -> anyhow::Result<f64> {
        let text = self.rig.metrics(agent.port).await?;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let wanted: Vec<&str> = labels.trim_end_matches('}').split(',').collect();
        let value = |line: &str| {
            let (found, value) = line.rsplit_once(' ')?;
            let (of, labels) = found.split_once('{').unwrap_or((found, ""));
            let has = wanted.iter().all(|label| labels.contains(label));
            (of == name && has).then(|| value.parse::<f64>())
        };
        Ok(text.lines().filter_map(value).sum::<Result<f64, _>>()?)
    }

    /// Waits until a series has this value.
    pub async fn until_metric(
        &self,
        agent: &AgentOptions,
        series: &str,
        value: f64,
    ) -> anyhow::Result<()> {
        let last = Cell::new(f64::NAN);
        let reached = async || {
            last.set(self.metric(agent, series).await?);
            Ok((last.get() == value).then_some(()))
        };
        until(reached).await.with_context(|| {
            format!("{series} is {}, not {value}; {}", last.get(), self.log_of(agent))
        })
    }

    /// Waits for an Event of an agent about a pod.
    pub async fn until_told(
        &self,
        namespace: &str,
        pod: &str,
        reason: &str,
    ) -> anyhow::Result<Event> {
        let told = async || Ok(self.told(namespace, pod).await?.into_iter().find(of(reason)));
        until(told).await.with_context(|| format!("no Event {reason} about {namespace}/{pod}"))
    }

    /// Waits until the one Event of this reason about an object says that it happened so often.
    pub async fn until_told_times(
        &self,
        namespace: &str,
        name: &str,
        reason: &str,
        times: i32,
    ) -> anyhow::Result<Event> {
        let told = async || {
            let mut events = self.told(namespace, name).await?;
            events.retain(of(reason));
            let event = events.pop();
            anyhow::ensure!(events.is_empty(), "more than one Event {reason} about {name}");
            Ok(event.filter(|event| happened(event) == times))
        };
        let told = until(told).await;
        told.with_context(|| format!("no Event {reason} about {namespace}/{name}, {times} times"))
    }

    /// Waits for an Event of an agent about the node that names all these words.
    pub async fn until_node_told(&self, reason: &str, word: &str) -> anyhow::Result<Event> {
        let about = |event: &Event| {
            of(reason)(event) && event.note.as_deref().is_some_and(|note| note.contains(word))
        };
        let told = async || Ok(self.told("default", NODE).await?.into_iter().find(about));
        until(told).await.with_context(|| format!("no Event {reason} about the node and {word}"))
    }

    /// The Events of agents about this object.
    pub async fn told(&self, namespace: &str, name: &str) -> anyhow::Result<Vec<Event>> {
        let mut events = self.rig.events(namespace, name).await?;
        events.retain(|e| e.reporting_controller.as_deref() == Some("pullfuse.io/pullfuse"));
        Ok(events)
    }
}

fn of(reason: &str) -> impl Fn(&Event) -> bool {
    move |event| event.reason.as_deref() == Some(reason)
}

/// How often something happened, as its Event says.
pub fn happened(event: &Event) -> i32 {
    event.series.as_ref().map_or(1, |series| series.count)
}
