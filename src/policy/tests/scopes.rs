use super::*;

/// Whether a scope with this condition takes the pod in, judged by one of its images.
fn takes_in(condition: &str, pod: &PodFacts, image: &str) -> bool {
    let toml = format!("[[scopes]]\nname = \"s\"\n{condition}");
    policy(&toml).judge(pod, image, &tally(1), start()).scope.is_some()
}

#[test]
fn every_condition_looks_at_its_part_of_the_pod() {
    let pod = changed(|p| {
        p.labels = Some([("team".to_owned(), "build".to_owned())].into());
        p.owner = Some("Job".into());
        p.priority_class = "batch-low".into();
    });
    for (condition, taken_in) in [
        ("", true),
        ("namespaces = [\"ba*\"]", true),
        ("namespaces = [\"x\", \"batch\"]", true),
        ("namespaces = [\"bat\"]", false),
        ("labels = \"team=build,!keep\"", true),
        ("labels = \"team=build,keep\"", false),
        ("owners = [\"ReplicaSet\", \"Job\"]", true),
        ("owners = [\"none\"]", false),
        ("restart_policies = [\"Never\"]", true),
        ("restart_policies = [\"Always\", \"OnFailure\"]", false),
        ("priority_classes = [\"batch-*\"]", true),
        ("priority_classes = [\"batch\"]", false),
        ("namespaces = [\"batch\"]\nowners = [\"Job\"]", true),
        ("namespaces = [\"batch\"]\nowners = [\"none\"]", false),
    ] {
        assert_eq!(takes_in(condition, &pod, "img"), taken_in, "{condition}");
    }
    assert!(takes_in("owners = [\"none\"]", &stuck(), "img"));
    assert!(!takes_in("priority_classes = [\"?*\"]", &stuck(), "img"), "it has none");
}

#[test]
fn an_image_is_known_by_its_short_and_its_full_name() {
    for (condition, image, taken_in) in [
        ("images = [\"nginx\"]", "nginx", true),
        ("images = [\"docker.io/library/nginx:latest\"]", "nginx", true),
        ("images = [\"docker.io/*\"]", "nginx", true),
        ("images = [\"nginx:*\"]", "nginx", false),
        ("images = [\"r.example/team/*\"]", "r.example/team/a/b:1", true),
        ("images = [\"r.example/team/*\"]", "r.example/teams/a:1", false),
        ("registries = [\"docker.io\"]", "library/nginx:1", true),
        ("registries = [\"*.example\"]", "r.example/a", true),
        ("registries = [\"*.example\"]", "r.example:5000/a", true),
        ("registries = [\"r.example:5000\"]", "r.example:5000/a", true),
        ("registries = [\"r.example:5001\"]", "r.example:5000/a", false),
        ("registries = [\"*\"]", "NOT A NAME", false),
        ("images = [\"NOT*\"]", "NOT A NAME", true),
    ] {
        assert_eq!(takes_in(condition, &stuck(), image), taken_in, "{condition} {image}");
    }
}

#[test]
fn the_first_scope_that_fits_decides() {
    let toml = "[[scopes]]\nname = \"ci\"\nnamespaces = [\"ci-*\"]\naction = \"ignore\"\n\
        [[scopes]]\nname = \"rest\"\nlimits = { max_attempts = 2 }\n\
        [[scopes]]\nname = \"late\"\naction = \"ignore\"";
    let of = |namespace: &str| {
        let pod = changed(|p| p.namespace = namespace.into());
        let ruling = policy(toml).judge(&pod, "img", &tally(2), after(LONG));
        (ruling.scope.unwrap_or_default(), ruling.decision)
    };
    assert_eq!(of("ci-1"), ("ci".into(), Decision::Leave(Because::IgnoredByScope)));
    assert_eq!(of("batch"), ("rest".into(), Decision::Fail));
}

#[test]
fn a_dry_run_of_the_node_or_of_the_scope_spares_the_pod() {
    let dry = |node: &str, scope: &str| {
        let toml = format!("mode = \"{node}\"\n[[scopes]]\nname = \"s\"\nmode = \"{scope}\"");
        let ruling = policy(&toml).judge(&stuck(), "img", &tally(9), after(LONG));
        assert_eq!(ruling.decision, Decision::Fail, "a dry run decides as usual");
        ruling.dry_run
    };
    assert!(!dry("enforce", "enforce"));
    assert!(dry("enforce", "dry-run"));
    assert!(dry("dry-run", "dry-run"));
    assert!(dry("dry-run", "enforce"), "who stops the node stops all of it");
    assert!(policy("mode = \"dry-run\"").judge(&stuck(), "img", &tally(9), start()).dry_run);
}
