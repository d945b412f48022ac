use super::*;

/// As strict as a configuration can be.
const STRICT: &str = "[limits]\nmax_attempts = 1\n\
    [[scopes]]\nname = \"all\"\nnamespaces = [\"*\", \"kube-system\"]\n\
    restart_policies = [\"Always\", \"OnFailure\", \"Never\"]";

#[test]
fn no_scope_and_no_count_ends_who_is_protected() {
    type Protect = fn(&mut PodFacts);
    let cases: [(Because, Protect); 10] = [
        (Because::MirrorPod, |p| p.mirror = true),
        (Because::ProtectedPriority, |p| p.priority_class = "system-node-critical".into()),
        (Because::ProtectedPriority, |p| p.priority_class = "system-cluster-critical".into()),
        (Because::TooManyLabels, |p| p.labels = None),
        (Because::Deleting, |p| p.deleting = true),
        (Because::NotPending, |p| p.phase = "Running".into()),
        (Because::NotPending, |p| p.phase = "Succeeded".into()),
        (Because::NotPending, |p| p.phase = String::new()),
        (Because::NotFailing, |p| p.images.clear()),
        (Because::NotFailing, |p| {
            p.images.insert("img".into(), ImageState::Pulled);
        }),
    ];
    for (because, change) in cases {
        for toml in ["", STRICT] {
            let fate = fate(toml, &changed(change), &tally(99));
            assert_eq!(fate, Decision::Leave(because), "{toml}");
        }
    }
}

#[test]
fn the_clusters_own_namespace_is_touched_only_where_it_is_written_out() {
    let pod = changed(|p| p.namespace = "kube-system".into());
    let with =
        |condition: &str| fate(&format!("[[scopes]]\nname = \"s\"\n{condition}"), &pod, &tally(99));
    let protected = Decision::Leave(Because::ProtectedNamespace);
    assert_eq!(fate("", &pod, &tally(99)), protected);
    assert_eq!(with(""), protected);
    assert_eq!(with("namespaces = [\"*\"]"), protected);
    assert_eq!(with("namespaces = [\"kube-*\", \"kube-system?\"]"), protected);
    assert_eq!(with("namespaces = [\"kube-system\"]"), Decision::Fail);
    assert_eq!(
        with("namespaces = [\"kube-system\"]\naction = \"report\""),
        Decision::Report(Because::ReportedByScope)
    );
}

#[test]
fn a_scope_by_glob_does_not_hide_one_that_names_the_namespace() {
    let toml = "[[scopes]]\nname = \"glob\"\nnamespaces = [\"*\"]\naction = \"ignore\"\n\
        [[scopes]]\nname = \"named\"\nnamespaces = [\"kube-system\"]";
    let pod = changed(|p| p.namespace = "kube-system".into());
    let ruling = policy(toml).judge(&pod, "img", &tally(99), after(LONG));
    assert_eq!((ruling.decision, ruling.scope.as_deref()), (Decision::Fail, Some("named")));
}

#[test]
fn pods_that_are_started_again_for_ever_are_only_reported() {
    let reported = Decision::Report(Because::RestartPolicyAlways);
    for policy in ["Always", "", "SomethingNew"] {
        let pod = changed(|p| p.restart_policy = policy.into());
        assert_eq!(fate("", &pod, &tally(99)), reported);
        assert_eq!(fate("[[scopes]]\nname = \"s\"", &pod, &tally(99)), reported);
        assert_eq!(fate("", &pod, &tally(4)), Decision::Leave(Because::BelowLimit));
    }
    let pod = changed(|p| p.restart_policy = "Always".into());
    assert_eq!(fate(STRICT, &pod, &tally(99)), Decision::Fail);
    assert_eq!(
        fate("", &changed(|p| p.restart_policy = "OnFailure".into()), &tally(99)),
        Decision::Fail
    );
}
