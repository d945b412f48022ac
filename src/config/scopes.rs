use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize, de::Error};
use strum::IntoStaticStr;

use super::{LabelSelector, Limits, Mode, Pattern};

/// `[[scopes]]`: a set of pods that are treated alike. The first scope whose conditions all hold is
/// the pod's; a condition that is not given holds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// How messages and metrics name it.
    #[serde(deserialize_with = "name")]
    pub name: String,
    /// Of its namespace. `kube-system` is meant only where it is written out.
    #[serde(default, deserialize_with = "some")]
    pub namespaces: Option<Vec<Pattern>>,
    /// Of its labels.
    #[serde(default)]
    pub labels: Option<LabelSelector>,
    /// Of the kind of the controller that owns it; `none`: nobody does.
    #[serde(default, deserialize_with = "owners")]
    pub owners: Option<Vec<String>>,
    /// Of its restartPolicy. Pods with `Always` are failed only by a scope that names it here.
    #[serde(default, deserialize_with = "some")]
    pub restart_policies: Option<Vec<RestartPolicy>>,
    /// Of the image, as the pod spells it or in full, such as `docker.io/library/nginx:latest`.
    #[serde(default, deserialize_with = "some")]
    pub images: Option<Vec<Pattern>>,
    /// Of the image's registry, with its port or without.
    #[serde(default, deserialize_with = "some")]
    pub registries: Option<Vec<Pattern>>,
    /// Of its priority class.
    #[serde(default, deserialize_with = "some")]
    pub priority_classes: Option<Vec<Pattern>>,
    /// What happens when the limits are reached.
    #[serde(default)]
    pub action: Action,
    /// `dry-run` spares this scope; `enforce` does not overrule a dry run of the whole node.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// Limits that differ from `[limits]`.
    #[serde(default)]
    pub limits: Limits,
}

/// What happens when the limits are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Action {
    /// The pod is ended.
    #[default]
    Fail,
    /// It is told, nothing is done.
    Report,
    /// Nothing.
    Ignore,
}

/// `spec.restartPolicy` of a pod, as Kubernetes spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, IntoStaticStr)]
pub enum RestartPolicy {
    /// Its containers are started again for ever.
    Always,
    /// Until they succeed.
    OnFailure,
    /// Not at all.
    Never,
}

impl Action {
    /// The name in configuration and output.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl RestartPolicy {
    /// The name in configuration and output.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Scopes, each with a name of its own.
pub(super) fn unique<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Scope>, D::Error> {
    let scopes = Vec::<Scope>::deserialize(deserializer)?;
    let mut names = BTreeSet::new();
    match scopes.iter().find(|scope| !names.insert(&scope.name)) {
        Some(twice) => Err(D::Error::custom(format!(
            "two scopes are named `{}`; give each a name of its own",
            twice.name
        ))),
        None => Ok(scopes),
    }
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=63).contains(&name.len()) && name.chars().all(fits) {
        return Ok(name);
    }
    Err(D::Error::custom(format!(
        "`{}` is no name for a scope; use 1 to 63 letters, digits, `-`, `_` or `.`",
        name.escape_debug()
    )))
}

/// A list with at least one alternative.
fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let list = Vec::deserialize(deserializer)?;
    if list.is_empty() {
        return Err(D::Error::custom(
            "an empty list fits no pod; leave the key out to fit every pod",
        ));
    }
    Ok(Some(list))
}

fn owners<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let owners: Option<Vec<String>> = some(deserializer)?;
    let is_kind = |text: &String| {
        text == "none"
            || (text.starts_with(|c: char| c.is_ascii_uppercase())
                && text.chars().all(|c| c.is_ascii_alphanumeric()))
    };
    match owners.iter().flatten().find(|text| !is_kind(text)) {
        Some(wrong) => Err(D::Error::custom(format!(
            "`{}` is no kind of owner; use for example \"Job\" or \"ReplicaSet\", or \"none\" for \
             pods without one",
            wrong.escape_debug()
        ))),
        None => Ok(owners),
    }
}
