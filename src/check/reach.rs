//! Which scopes a pod can reach.

use crate::{
    config::{Pattern, Scope},
    policy::PROTECTED_NAMESPACE,
};

/// Whether every pod of `later` is taken by `earlier`, as far as their texts can tell.
pub(super) fn covers(earlier: &Scope, later: &Scope) -> bool {
    let namespaces = (earlier.namespaces.as_deref(), later.namespaces.as_deref());
    (names_protected(namespaces.0) || !names_protected(namespaces.1))
        && patterns(namespaces, true)
        && match (&earlier.labels, &later.labels) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(earlier), Some(later)) => earlier.covers(later),
        }
        && contains(earlier.owners.as_deref(), later.owners.as_deref())
        && contains(earlier.restart_policies.as_deref(), later.restart_policies.as_deref())
        && patterns((earlier.images.as_deref(), later.images.as_deref()), true)
        // An image whose name cannot be parsed has no registry at all.
        && patterns((earlier.registries.as_deref(), later.registries.as_deref()), false)
        && patterns((earlier.priority_classes.as_deref(), later.priority_classes.as_deref()), true)
}

/// The first pattern that would reach the protected namespace if it were written out.
pub(super) fn means_protected_in_vain(scope: &Scope) -> Option<&Pattern> {
    let patterns = scope.namespaces.as_deref();
    if names_protected(patterns) {
        return None;
    }
    // Who writes `*` does not think of it.
    let mut others = patterns.into_iter().flatten().filter(|pattern| !pattern.is_everything());
    others.find(|pattern| pattern.matches(PROTECTED_NAMESPACE))
}

fn names_protected(patterns: Option<&[Pattern]>) -> bool {
    patterns.into_iter().flatten().any(|pattern| pattern.as_str() == PROTECTED_NAMESPACE)
}

fn patterns((earlier, later): (Option<&[Pattern]>, Option<&[Pattern]>), star_is_all: bool) -> bool {
    match (earlier, later) {
        (None, _) => true,
        (Some(earlier), None) => star_is_all && earlier.iter().any(Pattern::is_everything),
        (Some(earlier), Some(later)) => {
            later.iter().all(|later| earlier.iter().any(|earlier| earlier.covers(later)))
        }
    }
}

fn contains<T: PartialEq>(earlier: Option<&[T]>, later: Option<&[T]>) -> bool {
    match (earlier, later) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(earlier), Some(later)) => later.iter().all(|one| earlier.contains(one)),
    }
}
