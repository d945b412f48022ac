//! Tells people what pullfuse saw and did, as Kubernetes Events.
//!
//! In: a [`Note`]. Out: one Event, however often the same note is told; when the same happens again,
//! the Event's series says so. A bounded number for each pod, and a bounded number of writes for each
//! Event. Touches Events at the API server only.

mod object;
#[cfg(test)]
mod tests;
mod told;

use std::{hash::Hasher, sync::Arc};

use fnv::FnvHasher;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::events::v1;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use self::{
    object::{event, series},
    told::{Told, TooMany, Writing},
};
use crate::{
    api::{ApiError, Turns, limited},
    pods::PodUid,
};

/// Tries for one note. While Events fail there is one try in half a minute or so for all notes
/// together.
const TRIES: usize = 5;

/// What an Event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A pod.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its UID.
        uid: PodUid,
    },
    /// The agent's own node.
    Node,
}

/// Something worth telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What it is about.
    pub subject: Subject,
    /// Whether it asks for attention.
    pub warning: bool,
    /// Why, in one word for programs.
    pub reason: &'static str,
    /// What was done, in one word for programs.
    pub action: &'static str,
    /// What people read: what happened, how often, and what to do. Of a series the first one stays, for
    /// the API server lets nobody change it.
    pub text: String,
    /// Tells it from other notes about the subject; lower case letters, digits and dashes. The same
    /// when the same happens again.
    pub key: String,
    /// When this time of it began: what was told since then is this time, and not told again. `None`
    /// where nobody knows, so that an Event that is there is taken for it.
    pub since: Option<Timestamp>,
}

/// A part of a key, for a text that may have any letters; the same in every version of pullfuse, or
/// an update would begin new Events.
pub fn digest(text: &str) -> String {
    let mut hasher = FnvHasher::default();
    hasher.write(text.as_bytes());
    format!("{:x}", hasher.finish())
}

/// Writes Events; clones share one connection and its turns.
#[derive(Clone)]
pub struct Events {
    client: Client,
    node: String,
    turns: Arc<Turns>,
    told: Told,
}

impl Events {
    /// Events of the agent of this node.
    pub fn new(client: Client, node: String) -> Self {
        Self { client, node, turns: Arc::default(), told: Told::default() }
    }

    /// Tells once, or counts it in the series of the Event that is there, now or a few minutes later.
    /// An Event that cannot be written is logged and left; nothing depends on it.
    pub async fn tell(&self, note: &Note) {
        match self.told.take(note) {
            Ok(Some(writing)) => self.write(writing).await,
            Ok(None) => {}
            Err(TooMany) => tracing::info!(
                reason = note.reason,
                text = note.text,
                "not told: this pod has enough Events of this reason"
            ),
        }
    }

    /// Whether [`Events::tell_rest`] has something to tell.
    pub fn has_rest(&self) -> bool {
        self.told.any()
    }

    /// Tells what happened again too soon after it was told, and is due.
    pub async fn tell_rest(&self) {
        while let Some(writing) = self.told.next() {
            self.write(writing).await;
        }
    }

    /// Moves every time, because the clock was set.
    pub fn shift(&self, by: SignedDuration) {
        self.told.shift(by);
    }

    /// Forgets the pods for which `keep` is false.
    pub fn retain(&self, keep: impl Fn(&PodUid) -> bool) {
        self.told.retain(keep);
    }

    async fn write(&self, writing: Writing) {
        for tries_left in (0..TRIES).rev() {
            let turn = self.turns.take().await;
            match self.attempt(&writing).await {
                Ok(count) => {
                    turn.worked();
                    return writing.told(count);
                }
                Err(error) if tries_left > 0 && error.passes() => turn.failed(),
                Err(error) => {
                    turn.failed();
                    tracing::warn!(reason = writing.note.reason, text = writing.note.text, %error,
                        "an Event could not be written");
                    return writing.gave_up();
                }
            }
        }
    }

    /// Writes it; returns how often it happened, as the Event then says.
    async fn attempt(&self, writing: &Writing) -> Result<u32, ApiError> {
        let Writing { note, latest, untold, count, .. } = writing;
        if *count > 0 {
            let count = count.saturating_add(*untold);
            return match self.count(note, count).await {
                // The API server keeps Events for an hour or so.
                Err(ApiError::Gone) => self.create(note, *untold).await,
                answer => answer,
            };
        }
        match self.create(note, *untold).await {
            Err(ApiError::Conflict) => {}
            answer => return answer,
        }
        // An earlier agent wrote it: of this very time, or of one before. A change of nothing shows the
        // Event, and needs no right to read those of others.
        let (count, last_told) = object::told(&self.patch(note, json!({})).await?);
        if *latest <= last_told {
            return Ok(count);
        }
        self.count(note, count.saturating_add(*untold)).await
    }

    async fn create(&self, note: &Note, count: u32) -> Result<u32, ApiError> {
        let event = event(note, &self.node, count, Timestamp::now());
        limited(self.api(note).create(&PostParams::default(), &event)).await.map(|_| count)
    }

    async fn count(&self, note: &Note, count: u32) -> Result<u32, ApiError> {
        let series = series(count, Timestamp::now());
        self.patch(note, json!({ "series": series })).await.map(|_| count)
    }

    async fn patch(&self, note: &Note, body: Value) -> Result<v1::Event, ApiError> {
        let name = object::name(note, &self.node);
        limited(self.api(note).patch(&name, &PatchParams::default(), &Patch::Merge(body))).await
    }

    fn api(&self, note: &Note) -> Api<v1::Event> {
        Api::namespaced(self.client.clone(), object::namespace(note))
    }
}
