use oci_spec::distribution::Reference;

use super::PROTECTED_NAMESPACE;
use crate::{
    config::{Limits, Mode, Pattern, RestartPolicy, Scope},
    pods::PodFacts,
};

/// How `owners` spells a pod that nothing controls.
const NO_OWNER: &str = "none";

/// A scope, its limits completed by those of the node.
#[derive(Debug, Clone)]
pub(super) struct CompiledScope {
    pub(super) conditions: Scope,
    pub(super) limits: Limits,
    pub(super) dry_run: bool,
    /// Whether it may fail pods whose containers are started again for ever.
    pub(super) names_always: bool,
}

impl CompiledScope {
    pub(super) fn new(scope: &Scope, node: &Limits) -> Self {
        Self {
            limits: scope.limits.over(node),
            dry_run: scope.mode == Some(Mode::DryRun),
            names_always: (scope.restart_policies.iter().flatten())
                .any(|policy| *policy == RestartPolicy::Always),
            conditions: scope.clone(),
        }
    }

    fn matches(&self, pod: &PodFacts, image: &Image<'_>) -> bool {
        // Written out, so that a forgotten condition does not compile.
        let Scope {
            name: _,
            namespaces,
            labels,
            owners,
            restart_policies,
            images,
            registries,
            priority_classes,
            action: _,
            mode: _,
            limits: _,
        } = &self.conditions;
        namespace_fits(namespaces.as_deref(), &pod.namespace)
            && labels.as_ref().is_none_or(|selector| {
                pod.labels.as_ref().is_some_and(|labels| selector.matches(labels))
            })
            && owners.as_ref().is_none_or(|owners| {
                owners.iter().any(|kind| kind == pod.owner.as_deref().unwrap_or(NO_OWNER))
            })
            && restart_policies.as_ref().is_none_or(|policies| {
                policies.iter().any(|policy| policy.as_str() == pod.restart_policy)
            })
            && one_fits(images.as_deref(), || image.spellings())
            && one_fits(registries.as_deref(), || image.registries())
            && one_fits(priority_classes.as_deref(), || [pod.priority_class.as_str()])
    }
}

/// The first scope whose conditions all hold.
pub(super) fn first_match<'a>(
    scopes: &'a [CompiledScope],
    pod: &PodFacts,
    image: &str,
) -> Option<&'a CompiledScope> {
    if scopes.is_empty() {
        return None;
    }
    let image = Image { spelled: image, reference: image.parse().ok() };
    scopes.iter().find(|scope| scope.matches(pod, &image))
}

/// Whoever means the cluster's own namespace has to write its name.
fn namespace_fits(patterns: Option<&[Pattern]>, namespace: &str) -> bool {
    if namespace == PROTECTED_NAMESPACE {
        return patterns.into_iter().flatten().any(|pattern| pattern.as_str() == namespace);
    }
    one_fits(patterns, || [namespace])
}

fn one_fits<T: AsRef<str>, I: IntoIterator<Item = T>>(
    patterns: Option<&[Pattern]>,
    texts: impl FnOnce() -> I,
) -> bool {
    patterns.is_none_or(|patterns| {
        texts().into_iter().any(|text| patterns.iter().any(|p| p.matches(text.as_ref())))
    })
}

/// An image's name, and what it stands for if it can be parsed.
struct Image<'a> {
    spelled: &'a str,
    reference: Option<Reference>,
}

impl Image<'_> {
    fn spellings(&self) -> Vec<String> {
        let whole = self.reference.as_ref().map(Reference::whole);
        whole.into_iter().chain([self.spelled.to_owned()]).collect()
    }

    fn registries(&self) -> Vec<&str> {
        let Some(registry) = self.reference.as_ref().map(Reference::registry) else {
            return Vec::new();
        };
        let without_port = registry.rsplit_once(':').map(|(host, _)| host);
        without_port.into_iter().chain([registry]).collect()
    }
}
