//! The questions of `proto/pullfuse/v1/pullfuse.proto`, one method each.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt, future::ready, stream};
use strum::VariantNames;
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};
use tonic::{Request, Response, Status};

use super::{
    Hold, NotReleased, Question, Server, WhatIf, length, of_journal,
    server::{About, peer},
    timestamp,
    v1::{self, Part, agent_server::Agent, watch_response::What},
};
use crate::{
    classify::{Class, Code, Failure},
    explain,
    logging::InForce,
    pods::LONGEST_NAME,
    pulls::Pull,
    serve::Condition,
    text::plain,
};

/// Bytes of a question that an answer repeats.
const LONGEST_ECHO: usize = 64;

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Agent for Server {
    async fn status(&self, _: Request<v1::StatusRequest>) -> Answer<v1::StatusResponse> {
        let About { node, started, health, pulls, log, .. } = &self.about;
        let summary = self.ask(Question::Summary).await.ok();
        let (counts, breakers) = summary.map(|s| (s.counts, s.breakers)).unzip();
        Ok(Response::new(v1::StatusResponse {
            version: env!("CARGO_PKG_VERSION").into(),
            node: node.clone(),
            started: Some(timestamp(*started)),
            parts: health.parts().into_iter().map(|(name, state)| part(name, state)).collect(),
            pulls: pulls.all().iter().map(pull).collect(),
            counts,
            breakers: breakers.unwrap_or_default(),
            log_level: Some(log_level(log.configured(), log.in_force())),
        }))
    }

    async fn list_pods(
        &self,
        request: Request<v1::ListPodsRequest>,
    ) -> Answer<v1::ListPodsResponse> {
        let wanted = request.into_inner();
        self.ask(|answer| Question::Pods(wanted, answer)).await.map(Response::new)
    }

    async fn get_pod(&self, request: Request<v1::GetPodRequest>) -> Answer<v1::GetPodResponse> {
        let wanted = request.into_inner();
        let name = plain(&format!("{}/{}", wanted.namespace, wanted.name), LONGEST_NAME);
        let found = self.ask(|answer| Question::Pod(wanted, answer)).await?;
        let missing = || Status::not_found(NotReleased::NoSuchPod(name).to_string());
        let pulls = self.about.pulls.all();
        let found = found.map(|pod| v1::GetPodResponse {
            pulls: pulls.iter().filter(|p| p.key.pod_uid == pod.uid).map(pull).collect(),
            ..pod
        });
        found.map(Response::new).ok_or_else(missing)
    }

    async fn list_images(
        &self,
        _: Request<v1::ListImagesRequest>,
    ) -> Answer<v1::ListImagesResponse> {
        self.ask(Question::Images).await.map(Response::new)
    }

    async fn list_registries(
        &self,
        _: Request<v1::ListRegistriesRequest>,
    ) -> Answer<v1::ListRegistriesResponse> {
        self.ask(Question::Registries).await.map(Response::new)
    }

    async fn breakers(&self, _: Request<v1::BreakersRequest>) -> Answer<v1::BreakersResponse> {
        let breakers = self.ask(Question::Summary).await?.breakers;
        Ok(Response::new(v1::BreakersResponse { breakers }))
    }

    async fn list_changes(
        &self,
        request: Request<v1::ListChangesRequest>,
    ) -> Answer<v1::ListChangesResponse> {
        let v1::ListChangesRequest { since, namespace } = request.into_inner();
        let since = since.as_ref().map(length);
        let kept = self.ask(|answer| Question::Changes(since, namespace, answer)).await?;
        let changes = kept.changes.iter().map(|(number, change)| of_journal(*number, change));
        let changes = changes.collect();
        Ok(Response::new(v1::ListChangesResponse { changes, since: Some(timestamp(kept.since)) }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::WatchResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Answer<Self::WatchStream> {
        let v1::WatchRequest { since, namespace } = request.into_inner();
        let permit = Arc::clone(&self.watching).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted("too many watch this agent already; end one of them")
        })?;
        // What changes between this line and the next is told once: by its number.
        let live = BroadcastStream::new(self.about.watchers.subscribe());
        let (mut kept, mut next) = (Vec::new(), 0);
        if let Some(since) = since.as_ref().map(length) {
            let of = namespace.clone();
            let known = self.ask(|answer| Question::Changes(Some(since), of, answer)).await?;
            (kept, next) = (known.changes, known.next);
        }
        let told = |what| Ok(v1::WatchResponse { what: Some(what) });
        let kept =
            kept.into_iter().map(move |(n, change)| told(What::Change(of_journal(n, &change))));
        let live = live.filter_map(move |heard| {
            let _held_for_as_long = &permit;
            ready(match heard {
                Ok((number, change)) => (number >= next && change.concerns(&namespace))
                    .then(|| told(What::Change(of_journal(number, &change)))),
                Err(BroadcastStreamRecvError::Lagged(missed)) => Some(told(What::Missed(missed))),
            })
        });
        Ok(Response::new(Box::pin(stream::iter(kept).chain(live))))
    }

    async fn explain(&self, request: Request<v1::ExplainRequest>) -> Answer<v1::ExplainResponse> {
        let v1::ExplainRequest { message, code, runtime, reason, image } = request.into_inner();
        let code = match code.as_str() {
            "" => None,
            text => Some(Code::read(text).ok_or_else(|| {
                Status::invalid_argument(format!("code is not {}", Code::EXPECTED))
            })?),
        };
        let given = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
        let (runtime, reason, image) = (given(&runtime), given(&reason), given(&image));
        let settings = Arc::clone(&self.about.settings.borrow());
        let cause = settings.classifier.classify(&Failure {
            message: &message,
            code,
            runtime: runtime.as_deref(),
            reason: reason.as_deref(),
            image: image.as_deref(),
        });
        Ok(Response::new(v1::ExplainResponse {
            class: cause.class.as_str().into(),
            disposition: cause.disposition.as_str().into(),
            outlook: explain::outlook(&cause, &settings.config),
            rule: cause.rule,
            advice: cause.advice,
            host: cause.host.unwrap_or_default(),
        }))
    }

    async fn what_if(&self, request: Request<v1::WhatIfRequest>) -> Answer<v1::WhatIfResponse> {
        let question = question(&request.into_inner()).map_err(Status::invalid_argument)?;
        self.ask(|answer| Question::WhatIf(question, answer)).await.map(Response::new)
    }

    async fn release(&self, request: Request<v1::ReleaseRequest>) -> Answer<v1::ReleaseResponse> {
        use v1::release_request::What as Named;
        // Nobody without one comes so far.
        let uid = peer(&request).ok_or_else(|| Status::permission_denied("who are you?"))?;
        let hold = match request.into_inner().what {
            Some(Named::Registry(registry)) => Hold::Registry(registry),
            Some(Named::Pod(v1::GetPodRequest { namespace, name })) => Hold::Pod(namespace, name),
            None => return Err(Status::invalid_argument("name a registry or a pod to release")),
        };
        let released = self.ask(|answer| Question::Release(hold, uid, answer)).await?;
        let text = released.map_err(|error| match error {
            NotReleased::NoSuchPod(_) => Status::not_found(error.to_string()),
            NotReleased::NotHeld(_) => Status::failed_precondition(error.to_string()),
        })?;
        Ok(Response::new(v1::ReleaseResponse { text }))
    }

    async fn set_log_level(
        &self,
        request: Request<v1::SetLogLevelRequest>,
    ) -> Answer<v1::SetLogLevelResponse> {
        let uid = peer(&request);
        let v1::SetLogLevelRequest { level, lasting } = request.into_inner();
        let log = &self.about.log;
        let set = if level.is_empty() {
            log.reset()
        } else {
            let lasting = lasting.as_ref().map(length).unwrap_or_default();
            log.set(&level, Duration::try_from(lasting).unwrap_or_default())
        };
        let in_force = set.map_err(|error| Status::invalid_argument(error.to_string()))?;
        tracing::warn!(uid, level = in_force.level, "the log level was changed by hand");
        let log_level = Some(log_level(log.configured(), in_force));
        Ok(Response::new(v1::SetLogLevelResponse { log_level }))
    }
}

fn question(request: &v1::WhatIfRequest) -> Result<WhatIf, String> {
    let v1::WhatIfRequest { max_attempts, class, min_elapsed } = request;
    if *max_attempts == 0 {
        return Err("max_attempts is 0; use 1 or more".into());
    }
    let known = || Class::VARIANTS.join(", ");
    let class = match class.as_str() {
        "" => None,
        name => Some(name.parse().map_err(|_| {
            let name = plain(name, LONGEST_ECHO);
            format!("no class {name}; use one of {}", known())
        })?),
    };
    let min_elapsed = min_elapsed.as_ref().map(length);
    Ok(WhatIf { max_attempts: *max_attempts, min_elapsed, class })
}

fn log_level(configured: &str, in_force: InForce) -> v1::LogLevel {
    let InForce { level, until } = in_force;
    v1::LogLevel { level, configured: configured.into(), until: until.map(timestamp) }
}

fn part(name: &str, condition: Condition) -> Part {
    use v1::part::State;
    let (state, text) = match condition {
        Condition::Starting(text) => (State::Starting, text),
        Condition::Good(text) => (State::Good, text),
        Condition::Degraded(text) => (State::Degraded, text),
    };
    Part { name: name.into(), state: state.into(), text }
}

fn pull(pull: &Pull) -> v1::Pull {
    let age = pull.began.elapsed();
    v1::Pull {
        namespace: pull.namespace.clone(),
        pod: pull.pod.clone(),
        image: pull.key.image.clone(),
        since: Some(timestamp(pull.since)),
        age: Some(age.into()),
    }
}
