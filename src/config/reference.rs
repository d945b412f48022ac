//! Every key with its default, what it may be, and what it means: the source of `docs/config.md`. A
//! test compares it with the code.

/// A key of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// With its table, such as `limits.max_attempts`.
    pub path: &'static str,
    /// As TOML; empty where there is none.
    pub default: &'static str,
    /// What it may be.
    pub allowed: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

/// Keys that a running agent does not take over: all that begin with one of these.
pub const NEXT_START: [&str; 6] =
    ["serve.", "ledger.", "log.", "process.", "runtime.endpoint", "runtime.capture"];

const fn key(
    path: &'static str,
    default: &'static str,
    allowed: &'static str,
    meaning: &'static str,
) -> Key {
    Key { path, default, allowed, meaning }
}

const ATTEMPTS: &str = "1 or more, or `\"never\"`";
const UP_TO_A_DAY: &str = "`\"0s\"` to `\"24h\"`";
const WINDOW: &str = "`\"1s\"` to `\"24h\"`";
const GLOBS: &str = "list of globs";
const PATH: &str = "absolute path";

/// Every key, in the order of the documentation.
pub const KEYS: &[Key] = &[
    key(
        "mode",
        "\"enforce\"",
        "`\"enforce\"`, `\"dry-run\"`",
        "`\"dry-run\"`: log and count verdicts, touch nothing",
    ),
    key(
        "runtime.endpoint",
        "\"auto\"",
        "`\"auto\"`, `\"unix:///path\"`",
        "the CRI socket; auto tries containerd, CRI-O, k3s",
    ),
    key(
        "runtime.capture",
        "\"auto\"",
        "`\"auto\"`, `\"fentry\"`, `\"tracepoint\"`, `\"off\"`",
        "how the kernel is asked to listen to the CRI socket; `\"off\"`: attempts come from pod status",
    ),
    key(
        "runtime.holdup_after",
        "\"1m\"",
        WINDOW,
        "a pull that goes on for this long while other pods wait for theirs is reported",
    ),
    key(
        "limits.max_attempts",
        "5",
        ATTEMPTS,
        "attempts with permanent causes before a pod is ended",
    ),
    key("limits.min_elapsed", "\"1m\"", UP_TO_A_DAY, "least time since the first of them"),
    key(
        "limits.ambiguous.max_attempts",
        "8",
        ATTEMPTS,
        "the same for causes that somebody may mend; by default never less than `limits.max_attempts`",
    ),
    key(
        "limits.ambiguous.min_elapsed",
        "",
        UP_TO_A_DAY,
        "by default `limits.min_elapsed`, as in the tables below",
    ),
    key("limits.transient.max_attempts", "\"never\"", ATTEMPTS, "for causes that pass"),
    key("limits.transient.min_elapsed", "", UP_TO_A_DAY, ""),
    key("limits.node_fault.max_attempts", "\"never\"", ATTEMPTS, "for the node's own faults"),
    key("limits.node_fault.min_elapsed", "", UP_TO_A_DAY, ""),
    key(
        "limits.class.CLASS.max_attempts",
        "",
        ATTEMPTS,
        "for one class of causes, whose attempts are then counted by themselves",
    ),
    key("limits.class.CLASS.min_elapsed", "", UP_TO_A_DAY, ""),
    key("scopes[].name", "", "1 to 63 letters, digits, `-`, `_`, `.`", "needed; unique"),
    key(
        "scopes[].namespaces",
        "",
        GLOBS,
        "the pod's namespace; `kube-system` only where it is written out",
    ),
    key("scopes[].labels", "", "as in `kubectl -l`", "the pod's labels"),
    key("scopes[].owners", "", "list of kinds, or `\"none\"`", "the kind of the pod's controller"),
    key(
        "scopes[].restart_policies",
        "",
        "list of `\"Always\"`, `\"OnFailure\"`, `\"Never\"`",
        "pods with `Always` are ended only by a scope that names it here",
    ),
    key(
        "scopes[].images",
        "",
        GLOBS,
        "the image as the pod spells it, or in full: docker.io/library/nginx:latest",
    ),
    key("scopes[].registries", "", GLOBS, "the image's registry, with its port or without"),
    key("scopes[].priority_classes", "", GLOBS, "the pod's priority class"),
    key(
        "scopes[].action",
        "\"fail\"",
        "`\"fail\"`, `\"report\"`, `\"ignore\"`",
        "what happens when a limit is reached",
    ),
    key(
        "scopes[].mode",
        "",
        "`\"enforce\"`, `\"dry-run\"`",
        "`\"dry-run\"` for this scope alone; `\"enforce\"` does not overrule a dry run of the node",
    ),
    key(
        "scopes[].limits",
        "",
        "as `[limits]`",
        "what it does not say comes from `[limits]`, key by key",
    ),
    key(
        "annotations.max_attempts",
        "{ min = 1, max = 100 }",
        "`{ min = N, max = N }`, `false`",
        "what `pullfuse.io/max-attempts` on a pod may say; `false`: nothing",
    ),
    key(
        "annotations.mode",
        "true",
        "`true`, `false`",
        "whether `pullfuse.io/mode: ignore` or `report` on a pod is heard",
    ),
    key("caps.per_node", "30", "1 or more", "most pods to end on the node within `caps.window`"),
    key("caps.per_namespace", "20", "1 or more", "most pods to end in a namespace of the node"),
    key("caps.window", "\"10m\"", WINDOW, ""),
    key(
        "breaker.images",
        "5",
        "2 to 100, or `0`: never",
        "this many images of one registry that begin to fail with no success between them are an outage",
    ),
    key("breaker.window", "\"10m\"", WINDOW, "within which they begin to fail"),
    key(
        "breaker.hold",
        "\"30m\"",
        WINDOW,
        "how long verdicts are held at most while nothing succeeds",
    ),
    key(
        "act.method",
        "\"status\"",
        "`\"status\"`, `\"deadline\"`",
        "`\"deadline\"` ends pods by their deadline, which needs components/deadline",
    ),
    key("act.verify_for", "\"30s\"", WINDOW, "how long a verdict is watched"),
    key(
        "act.max_rewrites",
        "5",
        "0 or more",
        "how often a verdict that was taken back is written again, after 10 s and then twice as long each time",
    ),
    key(
        "act.check_image",
        "true",
        "`true`, `false`",
        "ask the runtime for the image before each verdict",
    ),
    key(
        "serve.address",
        "\"0.0.0.0:9460\"",
        "address and port",
        "`/metrics`, `/healthz`, `/readyz`",
    ),
    key(
        "serve.socket",
        "\"/run/pullfuse/pullfuse.sock\"",
        PATH,
        "where `pullfuse status` asks the agent; only root and the agent's own user are answered",
    ),
    key(
        "metrics.registries",
        "20",
        "0 to 200",
        "registries with series of their own in the [metrics](metrics.md); the rest is `other`",
    ),
    key(
        "metrics.namespaces",
        "false",
        "`true`, `false`",
        "whether attempts, failing images and verdicts are told apart by the pod's namespace",
    ),
    key("ledger.dir", "\"/var/lib/pullfuse\"", PATH, "where counts and verdicts are kept"),
    key(
        "history.keep",
        "\"336h\"",
        "`\"1h\"` to `\"2160h\"`",
        "how long ended episodes are remembered for `what-if`",
    ),
    key("history.max_episodes", "2000", "1 or more", "and how many of them"),
    key(
        "log.level",
        "\"info,kube_client=off\"",
        "such as `\"pullfuse=debug,kube=warn\"`",
        "what is logged",
    ),
    key("log.format", "\"json\"", "`\"json\"`, `\"text\"`", "how a line looks"),
    key(
        "process.confine",
        "true",
        "`true`, `false`",
        "give up capabilities, files and system calls that are not needed, see \
         [SECURITY.md](../SECURITY.md); `false` for debugging",
    ),
    key("rules[].name", "", "text", "its name in output; `rules[0]` and so on without"),
    key("rules[].match", "", "regular expression", "condition: found in the error's text"),
    key(
        "rules[].registry",
        "",
        "glob",
        "condition: the host that failed or the image's registry; a port may be left out",
    ),
    key("rules[].code", "", "name or number", "condition: the gRPC status of the call"),
    key("rules[].class", "", "a class of causes", "result: the class, and with it its disposition"),
    key("rules[].disposition", "", "a disposition", "result: another disposition, with any class"),
    key("rules[].advice", "", "text", "what the pod's owner reads"),
];

/// The table of the documentation.
pub fn markdown() -> String {
    let mut table = "| key | default | may be | meaning |\n|---|---|---|---|\n".to_owned();
    for Key { path, default, allowed, meaning } in KEYS {
        let mark = if NEXT_START.iter().any(|start| path.starts_with(start)) { " ¹" } else { "" };
        let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
        table.push_str(&format!("| `{path}`{mark} | {default} | {allowed} | {meaning} |\n"));
    }
    table.push_str("\n¹ At the next start of the agent.\n");
    table
}
