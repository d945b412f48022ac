use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::{Serialize, Serializer};
use strum::IntoEnumIterator;

use super::{kubelet, rules};
use crate::{
    classify::{Class, Disposition},
    config::{
        Action, Annotations, Config, InForce, Limits, MaxAttempts, Mode, RestartPolicy, Scope,
    },
    policy,
};

/// What a configuration comes to, with nothing left to defaults.
#[derive(Debug, Serialize)]
pub(super) struct Effective {
    pub(super) mode: Mode,
    /// In the order in which they are tried; the last two are for pods that no scope takes in.
    pub(super) scopes: Vec<Row>,
    /// The user's own, in the order in which they are tried.
    pub(super) rules: Vec<rules::Row>,
    pub(super) protected: Vec<String>,
    pub(super) annotations: Annotations,
    pub(super) caps: Caps,
    pub(super) breaker: Breaker,
    pub(super) warnings: Vec<String>,
}

/// How one set of pods is treated.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    /// `None`: a default.
    pub(super) name: Option<String>,
    /// By the name of the condition: its alternatives.
    pub(super) conditions: BTreeMap<&'static str, Vec<String>>,
    pub(super) action: Action,
    /// What is done with pods whose restartPolicy is `Always`.
    pub(super) action_always: Action,
    pub(super) mode: Mode,
    pub(super) limits: BTreeMap<Disposition, Limit>,
    pub(super) classes: BTreeMap<Class, Limit>,
}

/// A limit, and when it can be reached.
#[derive(Debug, Serialize)]
pub(super) struct Limit {
    pub(super) max_attempts: MaxAttempts,
    #[serde(serialize_with = "as_written")]
    pub(super) min_elapsed: SignedDuration,
    /// Seconds after the pod was added, as the kubelet backs off.
    pub(super) earliest_verdict_s: Option<i64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Caps {
    pub(super) per_node: u32,
    pub(super) per_namespace: u32,
    #[serde(serialize_with = "as_written")]
    pub(super) window: SignedDuration,
}

#[derive(Debug, Serialize)]
pub(super) struct Breaker {
    pub(super) images: u32,
    #[serde(serialize_with = "as_written")]
    pub(super) window: SignedDuration,
    #[serde(serialize_with = "as_written")]
    pub(super) hold: SignedDuration,
}

impl Effective {
    pub(super) fn new(config: &Config, warnings: Vec<String>) -> Self {
        let scopes = config.scopes.iter().map(|scope| Row::of_scope(scope, config));
        let (caps, breaker) = (&config.caps, &config.breaker);
        Self {
            mode: config.mode,
            scopes: scopes.chain(Row::defaults(config)).collect(),
            rules: rules::rows(config),
            protected: protected(),
            annotations: config.annotations.clone(),
            caps: Caps {
                per_node: caps.per_node,
                per_namespace: caps.per_namespace,
                window: caps.window,
            },
            breaker: Breaker { images: breaker.images, window: breaker.window, hold: breaker.hold },
            warnings,
        }
    }
}

impl Row {
    fn of_scope(scope: &Scope, config: &Config) -> Self {
        let names_always =
            scope.restart_policies.iter().flatten().any(|p| *p == RestartPolicy::Always);
        Self {
            name: Some(scope.name.clone()),
            conditions: conditions(scope),
            action_always: match scope.action {
                Action::Fail if !names_always => Action::Report,
                action => action,
            },
            mode: match scope.mode {
                Some(mode) if config.mode == Mode::Enforce => mode,
                _ => config.mode,
            },
            ..Self::new(scope.action, &scope.limits.over(&config.limits))
        }
    }

    fn defaults(config: &Config) -> [Self; 2] {
        let row = |policies: &[RestartPolicy], action| Self {
            conditions: [("restart_policies", texts(policies, |p| p.as_str()))].into(),
            mode: config.mode,
            ..Self::new(action, &config.limits)
        };
        [
            row(&[RestartPolicy::Never, RestartPolicy::OnFailure], Action::Fail),
            row(&[RestartPolicy::Always], Action::Report),
        ]
    }

    fn new(action: Action, limits: &Limits) -> Self {
        let classes = limits
            .class
            .keys()
            .map(|class| (*class, Limit::new(limits.of_cause(*class, class.disposition()))));
        Self {
            name: None,
            conditions: BTreeMap::new(),
            action,
            action_always: action,
            mode: Mode::Enforce,
            limits: Disposition::iter()
                .map(|disposition| (disposition, Limit::new(limits.of_disposition(disposition))))
                .collect(),
            classes: classes.collect(),
        }
    }
}

impl Limit {
    fn new(limit: InForce) -> Self {
        Self {
            max_attempts: limit.max_attempts,
            min_elapsed: limit.min_elapsed,
            earliest_verdict_s: kubelet::earliest(limit).map(|at| at.as_secs()),
        }
    }
}

fn conditions(scope: &Scope) -> BTreeMap<&'static str, Vec<String>> {
    let patterns = |patterns: &[_]| texts(patterns, ToString::to_string);
    let all = [
        ("namespaces", scope.namespaces.as_deref().map(patterns)),
        ("labels", scope.labels.as_ref().map(|selector| vec![selector.to_string()])),
        ("owners", scope.owners.clone()),
        (
            "restart_policies",
            scope.restart_policies.as_deref().map(|policies| texts(policies, |p| p.as_str())),
        ),
        ("images", scope.images.as_deref().map(patterns)),
        ("registries", scope.registries.as_deref().map(patterns)),
        ("priority_classes", scope.priority_classes.as_deref().map(patterns)),
    ];
    all.into_iter().filter_map(|(name, texts)| Some((name, texts?))).collect()
}

fn texts<T, S: Into<String>>(all: &[T], text: impl Fn(&T) -> S) -> Vec<String> {
    all.iter().map(|one| text(one).into()).collect()
}

fn protected() -> Vec<String> {
    let priorities = policy::PROTECTED_PRIORITIES.map(|name| format!("priority class {name}"));
    let others = [
        "mirror pods of static pods".to_owned(),
        format!("namespace {}, unless a scope names it", policy::PROTECTED_NAMESPACE),
        "pods being deleted".to_owned(),
        "pods whose phase is not Pending".to_owned(),
    ];
    priorities.into_iter().chain(others).collect()
}

fn as_written<S: Serializer>(duration: &SignedDuration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{duration:#}"))
}
