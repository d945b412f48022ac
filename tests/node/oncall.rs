//! Whoever is on call asks one node's agent: six kinds of failing pods and more, and every question
//! is answered by the command line alone.
//!
//! With PULLFUSE_TRANSCRIPTS=FOLDER the questions and answers are written there (`make transcript`).

use std::{fs, os::unix::fs::PermissionsExt};

use anyhow::Context;
use jiff::Timestamp;
use libtest_mimic::Trial;
use pullfuse_rig::{
    FINE_IMAGE, Options, Program,
    fake_registry::{Answer, FakeRegistry, StatusCode},
};
use serde_json::{Value, json};

use crate::{
    plugin::plugin,
    support::{
        AgentOptions, Node, Transcript, missing_pod, no_pull_limit, phase, scenario, until, verdict,
    },
};

/// Registries that fail, each in its way.
const BUSY: u16 = 5001;
const PRIVATE: u16 = 5002;
const EMPTY: u16 = 5003;
/// Pods of the registry that has lost all its images.
/// What is said of a pod that was ended.
const ENDED: &str = "the pod was ended";
const LOST: [&str; 3] = ["lost-a", "lost-b", "lost-c"];

pub fn trials() -> Vec<Trial> {
    vec![scenario("oncall::every_question_is_answered_by_the_command_line", questions)]
}

/// A node, its agent, and what was asked.
struct OnCall {
    node: Node,
    agent: AgentOptions,
    transcript: Transcript,
}

impl OnCall {
    /// Asks, for the transcript too.
    async fn ask(&mut self, words: &[&str]) -> anyhow::Result<String> {
        let said = self.node.ask(&self.agent, words).await?;
        self.transcript.asked("pullfuse", words, &said);
        Ok(said)
    }

    /// What someone on call reads first.
    fn remark(&mut self, text: &str) {
        self.transcript.remark(text);
    }

    /// A command that must say no.
    async fn refused(&self, words: &[&str], code: i32, says: &str) -> anyhow::Result<()> {
        let (exit, said) = self.node.command(&self.agent, words).await?;
        assert_eq!(exit.code, Some(code), "{words:?}: {said}");
        assert!(said.contains(says), "{words:?} lacks {says}: {said}");
        Ok(())
    }

    /// Waits until this holds of what the agent says of a pod's failing image.
    async fn until(&self, pod: &str, holds: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let look = async || {
            let (exit, said) = self.node.command(&self.agent, &["pod", pod, "-o", "json"]).await?;
            let answer: Value = serde_json::from_str(&said).unwrap_or_default();
            let image = answer["images"][0].clone();
            Ok((exit.code == Some(0) && holds(&image)).then_some(image))
        };
        let log = || self.node.log_of(&self.agent);
        until(look).await.with_context(|| format!("{pod} never was so; {}", log()))
    }
}

/// The line of a table that begins with this.
fn line<'a>(table: &'a str, name: &str) -> &'a str {
    let mut lines = table.lines();
    let begins = |line: &&str| line.split_whitespace().next() == Some(name);
    lines.find(begins).unwrap_or_else(|| panic!("no line {name}:\n{table}"))
}

fn has(line: &str, words: &[&str]) {
    for word in words {
        assert!(line.contains(word), "lacks {word}: {line}");
    }
}

async fn questions() -> anyhow::Result<()> {
    let agent = AgentOptions::new(
        "[limits]\nmax_attempts = 3\nmin_elapsed = \"20s\"\n[breaker]\nimages = 3\n\
         [[scopes]]\nname = \"tried-first\"\nnamespaces = [\"tryout\"]\nmode = \"dry-run\"\n",
    )
    .listening();
    let options = Options { kubelet_config: no_pull_limit(), ..Options::default() };
    let node = Node::start(options, Some(agent.clone())).await?;
    for namespace in ["shop", "tryout"] {
        node.rig.namespace(namespace).await?;
    }
    let busy = FakeRegistry::serve(node.rig.listen(BUSY)?)?;
    busy.set_default(Answer::ServerError(StatusCode::SERVICE_UNAVAILABLE));
    let private = FakeRegistry::serve(node.rig.listen(PRIVATE)?)?;
    private.set_default(Answer::Unauthorized);
    let empty = FakeRegistry::serve(node.rig.listen(EMPTY)?)?;
    let mut on_call = OnCall { node, agent, transcript: Transcript::default() };

    let said = on_call.node.ask(&on_call.agent, &["pods"]).await?;
    assert_eq!(said, "no image fails on this node\n");
    let watch = on_call.node.begin(&on_call.agent, &["watch", "-o", "json"]).await?;
    let followed = on_call.node.begin(&on_call.agent, &["pods", "-w", "-n", "shop"]).await?;
    let image = |image: String| json!({ "containers": [{ "name": "c", "image": image }] });
    let nosuch = "127.0.0.1:5000/nosuch:1".to_owned();
    let always = json!({
        "restartPolicy": "Always", "containers": [{ "name": "c", "image": nosuch }],
    });
    let mut pods = vec![
        ("shop", "fine", image(FINE_IMAGE.into())),
        ("shop", "typo", image("127.0.0.1:5000/app:v11".into())),
        ("shop", "busy", image(busy.image("app:1"))),
        ("shop", "private", image(private.image("app:1"))),
        ("shop", "dns", image("registry.invalid/app:1".into())),
        ("shop", "name", image("127.0.0.1:5000/App:1".into())),
        ("shop", "web", always),
        ("kube-system", "addon", image(nosuch.clone())),
        ("tryout", "tried", image(nosuch)),
    ];
    pods.extend(LOST.map(|name| ("shop", name, image(empty.image(&format!("{name}:1"))))));
    for (namespace, name, spec) in pods {
        let mut pod: Value = serde_json::from_str(&missing_pod(namespace, name, spec))?;
        // Time enough to ask before they are ended.
        if let Some(most) = [("typo", "4"), ("name", "9")].iter().find(|(pod, _)| *pod == name) {
            pod["metadata"]["annotations"] = json!({ "pullfuse.io/max-attempts": most.1 });
        }
        on_call.node.rig.apply(&pod.to_string()).await?;
    }

    let foretold = which_and_when(&mut on_call).await?;
    why_not(&mut on_call).await?;
    which_registry(&mut on_call).await?;
    as_foretold(&on_call, foretold).await?;
    release(&mut on_call).await?;
    what_changed(&mut on_call).await?;
    wrong_input(&on_call).await?;
    nobody_else_is_answered(&on_call).await?;
    log_level(&on_call).await?;

    for kind in ["FAILING", "ATTEMPT", "VERDICT", "ENDED", "BREAKER", "HELD", "RELEASED"] {
        on_call.node.until_said(&watch, &[&format!("\"kind\":\"KIND_{kind}\"")]).await?;
    }
    on_call.node.until_said(&followed, &["shop/typo", "4/4", "ended"]).await?;
    on_call.transcript.keep("oncall")?;
    whole_cluster(&on_call.node)
}

/// And what of the other nodes? The plugin needs no agent.
fn whole_cluster(node: &Node) -> anyhow::Result<()> {
    let mut transcript = Transcript::default();
    let mut ask = |remark: &str, words: &[&str]| {
        let (code, said, errors) = plugin(node, &node.rig.kubeconfig(), words)?;
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{words:?}: {said}");
        transcript.remark(remark);
        transcript.asked("kubectl pullfuse", words, &said);
        anyhow::Ok(said)
    };
    let all = ask("Which images are missing, and who waits for them?", &["-A"])?;
    let row = |table: &str, words: &[&str]| {
        let there = table.lines().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(there, "no line with {words:?}:\n{table}");
    };
    row(&all, &["ended", "127.0.0.1:5000/app:v11", "not_found", "shop", "check the spelling"]);
    row(&all, &["waiting", "127.0.0.1:5001/app:1", "registry_5xx"]);
    row(&all, &["waiting", "127.0.0.1:5000/nosuch:1", "not_found", " 3 "]);
    let one =
        ask("And in one namespace, with an example of each?", &["-n", "tryout", "-o", "wide"])?;
    row(&one, &["waiting", "not_found", "tryout/tried", "127.0.0.1:5000"]);
    transcript.keep("plugin")
}

/// Which pods will be failed, and when?
async fn which_and_when(on_call: &mut OnCall) -> anyhow::Result<Timestamp> {
    for pod in ["shop/busy", "shop/private", "shop/dns", "shop/web", "shop/name"] {
        on_call.until(pod, |image| image["attempts"].is_u64()).await?;
    }
    for pod in ["kube-system/addon", "tryout/tried"] {
        on_call.until(pod, |image| image["attempts"].is_u64()).await?;
    }
    let typo = on_call.until("shop/typo", |image| image["counted"].as_u64() >= Some(2)).await?;
    on_call.remark("Pods do not start. Which of them will be failed, and when?");
    let pods = on_call.ask(&["pods"]).await?;
    let words = ["127.0.0.1:5000/app:v11", "not_found", "/4", "in ", " more"];
    has(line(&pods, "shop/typo"), &words);
    has(line(&pods, "shop/name"), &["invalid_reference", "/9"]);
    has(line(&pods, "shop/busy"), &["registry_5xx", "/never", "not ended: transient", "503"]);
    has(line(&pods, "shop/dns"), &["dns", "not ended: transient"]);
    has(line(&pods, "shop/private"), &["unauthorized", "/8", " more"]);
    has(line(&pods, "shop/web"), &["not_found", "not ended: restart_policy_always"]);
    has(line(&pods, "kube-system/addon"), &["not ended: protected_namespace"]);
    has(line(&pods, "tryout/tried"), &["dry run: "]);
    assert!(!pods.contains("shop/fine"), "{pods}");
    assert!(!pods.lines().any(|line| line.starts_with(' ') || line.contains('\u{1b}')), "{pods}");
    Ok(typo["verdictAt"].as_str().context("no time of the verdict")?.parse()?)
}

/// The verdict falls, and no sooner than it was said.
async fn as_foretold(on_call: &OnCall, foretold: Timestamp) -> anyhow::Result<()> {
    let failed = |pod: &_| phase(pod) == "Failed";
    let typo = on_call.node.wait_pod("shop", "typo", "it is Failed", failed).await?;
    let decided: Timestamp = verdict(&typo)["decided"].as_str().context("no verdict")?.parse()?;
    assert!(decided >= foretold, "{decided}, but {foretold} was foretold");
    Ok(())
}

/// Why is this pod not failed?
async fn why_not(on_call: &mut OnCall) -> anyhow::Result<()> {
    on_call.remark("Why is shop/busy not failed?");
    let busy = on_call.ask(&["pod", "shop/busy"]).await?;
    has(
        &busy,
        &["left alone after", "such a cause is expected to pass", "Host          127.0.0.1:5001"],
    );
    on_call.until("shop/lost-a", |image| image["decision"] == "held").await?;
    on_call.remark("And shop/lost-a, whose image does not exist?");
    let lost = on_call.ask(&["pod", "shop/lost-a"]).await?;
    has(&lost, &["held: registry 127.0.0.1:5003 seems to be out of order", "not_found", "outage"]);
    let fine = on_call.node.ask(&on_call.agent, &["pod", "shop/fine"]).await?;
    has(&fine, &["no image of it fails: the pod is Running"]);
    for (pod, says) in [
        ("shop/web", "its restartPolicy is Always"),
        ("kube-system/addon", "kube-system is protected"),
        ("tryout/tried", "dry run"),
    ] {
        let said = on_call.node.ask(&on_call.agent, &["explain", pod]).await?;
        assert!(said.contains(says), "{pod}: {said}");
    }
    Ok(())
}

/// Which registry is down?
async fn which_registry(on_call: &mut OnCall) -> anyhow::Result<()> {
    on_call.remark("Which registry is down?");
    let registries = on_call.ask(&["registries"]).await?;
    has(line(&registries, "127.0.0.1:5003"), &[" up ", " 0% ", "open, 2"]);
    has(line(&registries, "127.0.0.1:5001"), &["down: registry_5xx", " 0% ", "closed"]);
    has(line(&registries, "registry.invalid"), &["down: dns"]);
    has(line(&registries, "127.0.0.1:5002"), &[" up "]);
    has(line(&registries, "127.0.0.1:5000"), &[" up ", "%"]);
    on_call.remark("And which images, for whom?");
    let images = on_call.ask(&["images"]).await?;
    has(line(&images, "127.0.0.1:5000/nosuch:1"), &["not_found", "3 pods"]);
    has(line(&images, FINE_IMAGE), &[" 0 ", "ago"]);
    let busy: Value =
        serde_json::from_str(&on_call.node.ask(&on_call.agent, &["images", "-o", "json"]).await?)?;
    let all = busy["images"].as_array().context("no images")?;
    let busy = all.iter().find(|image| image["image"] == "127.0.0.1:5001/app:1").unwrap();
    assert_eq!((&busy["class"], &busy["pods"]), (&json!("registry_5xx"), &json!(["shop/busy"])));
    assert!(busy["lastSuccess"].is_null() && busy["failures"].as_u64() >= Some(2), "{busy}");
    Ok(())
}

/// Holds are ended by hand, and nothing else is.
async fn release(on_call: &mut OnCall) -> anyhow::Result<()> {
    for pod in LOST {
        on_call.until(&format!("shop/{pod}"), |image| image["decision"] == "held").await?;
    }
    on_call.refused(&["release", "shop/busy"], 1, "such a cause is expected to pass").await?;
    on_call.refused(&["release", "kube-system/addon"], 1, "kube-system is protected").await?;
    on_call.refused(&["release", "tryout/tried"], 1, "dry run").await?;
    on_call.refused(&["release", "shop/typo"], 1, "the pod was ended").await?;
    on_call.refused(&["release", "shop/nosuch"], 1, "no pod shop/nosuch is on this node").await?;
    on_call.refused(&["release", "127.0.0.1:5001"], 1, "those of 127.0.0.1:5003 are").await?;

    on_call.remark("shop/lost-a need not wait for that registry.");
    let said = on_call.ask(&["release", "shop/lost-a"]).await?;
    has(&said, &["pod shop/lost-a is released"]);
    // In the seconds after an attempt it waits until that is surely over.
    let ends = ["the pod is being ended", "unless its image comes"];
    assert!(ends.iter().any(|words| said.contains(words)), "{said}");
    let failed = |pod: &_| phase(pod) == "Failed";
    on_call.node.wait_pod("shop", "lost-a", "it is Failed", failed).await?;
    let told = on_call.node.until_told("shop", "lost-a", "Released").await?;
    has(told.note.as_deref().unwrap_or_default(), &["User 0", "127.0.0.1:5003"]);
    let told = on_call.node.until_told("shop", "lost-a", "ImagePullFailed").await?;
    has(told.note.as_deref().unwrap_or_default(), &["released by user 0"]);
    for pod in ["lost-b", "lost-c"] {
        on_call.until(&format!("shop/{pod}"), |image| image["decision"] == "held").await?;
    }

    on_call.remark("The registry is fine, the images are really gone.");
    let said = on_call.ask(&["release", "127.0.0.1:5003"]).await?;
    has(&said, &["the breaker of registry 127.0.0.1:5003 is closed"]);
    for pod in ["lost-b", "lost-c"] {
        on_call.node.wait_pod("shop", pod, "it is Failed", failed).await?;
    }
    on_call.node.until_node_told("RegistryOutageOver", "user 0").await?;
    on_call.refused(&["release", "127.0.0.1:5003"], 1, "no verdicts are held").await
}

/// What changed in the last hour?
async fn what_changed(on_call: &mut OnCall) -> anyhow::Result<()> {
    let ended = async || {
        let said = on_call.node.ask(&on_call.agent, &["changes"]).await?;
        let ended = |line: &str| line.contains("shop/typo") && line.contains(ENDED);
        Ok(said.lines().any(ended).then_some(()))
    };
    until(ended).await.context("it was never ended")?;
    on_call.remark("What changed in the last hour?");
    let changes = on_call.ask(&["changes", "--since", "1h"]).await?;
    let some = |words: &[&str]| {
        let there = changes.lines().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(there, "no line with {words:?}:\n{changes}");
    };
    some(&["started", "node"]);
    some(&["failing", "shop/typo", "not_found (attempt 1)"]);
    some(&["verdict", "shop/typo", "not_found (attempt 4)"]);
    some(&["shop/typo", ENDED]);
    some(&["breaker", "127.0.0.1:5003", "seems to be out of order"]);
    some(&["held", "shop/lost-b"]);
    some(&["released", "shop/lost-a", "User 0"]);
    some(&["breaker", "127.0.0.1:5003", "by hand"]);
    some(&["dry-run", "tryout/tried"]);
    let repeated = |line: &str| line.contains("shop/typo") && line.contains("(attempt 2)");
    assert!(!changes.lines().any(repeated), "repeated attempts change nothing:\n{changes}");

    // A new agent knows of it, and of what was seen of registries.
    on_call.node.rig.restart(&on_call.agent.name).await?;
    on_call.node.until_readyz(&on_call.agent, |status, _| status == 200).await?;
    let after = on_call.node.ask(&on_call.agent, &["changes", "-n", "shop"]).await?;
    has(&after, &["shop/typo", "released"]);
    assert!(!after.contains("tryout/"), "of another namespace:\n{after}");
    assert_eq!(after.matches(" started ").count(), 2, "{after}");
    let registries = on_call.node.ask(&on_call.agent, &["registries"]).await?;
    has(line(&registries, "127.0.0.1:5000"), &["up", "%"]);
    Ok(())
}

async fn wrong_input(on_call: &OnCall) -> anyhow::Result<()> {
    on_call.refused(&["pod", "shop"], 1, "write NAMESPACE/NAME").await?;
    on_call.refused(&["pod", "/x"], 1, "write NAMESPACE/NAME").await?;
    on_call.refused(&["changes", "--since", "soon"], 2, "write a time such as").await?;
    on_call.refused(&["log-level", "debgu"], 1, "`debgu` is no log level").await?;
    on_call.refused(&["log-level", "debug", "--for", "48h"], 1, "1s to 24h").await?;
    on_call.refused(&["log-level", "debug", "--reset"], 2, "cannot be used with").await
}

/// The socket's mode keeps others out; where it does not, the agent asks who they are.
async fn nobody_else_is_answered(on_call: &OnCall) -> anyhow::Result<()> {
    let rig = &on_call.node.rig;
    // A path that everybody can reach.
    let binary = "/var/lib/pullfuse-for-all";
    fs::copy(env!("CARGO_BIN_EXE_pullfuse"), rig.host_path(binary))?;
    let socket = on_call.agent.socket();
    let folder = rig.host_path("/run/pullfuse");
    for (open, says) in [(false, "user 65534 may not ask"), (true, "only root and the agent's own")]
    {
        if open {
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
            fs::set_permissions(rig.host_path(&socket), fs::Permissions::from_mode(0o666))?;
        }
        for (number, words) in
            [&["status"][..], &["release", "shop/busy"], &["watch"]].iter().enumerate()
        {
            let name = format!("nobody-{open}-{number}");
            let argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary];
            let argv = argv.iter().chain(words.iter()).copied().chain(["--socket", &socket]);
            rig.spawn(Program::new(name.as_str(), argv)).await?;
            let exit = rig.wait_exit(&name).await?;
            let said = rig.log(&name)?;
            assert_eq!(exit.code, Some(69), "{said}");
            assert!(said.contains(says), "lacks {says}: {said}");
        }
    }
    Ok(())
}

async fn log_level(on_call: &OnCall) -> anyhow::Result<()> {
    let OnCall { node, agent, .. } = on_call;
    let said = node.ask(agent, &["log-level"]).await?;
    assert_eq!(said, "the agent logs pullfuse=debug,info, as configured\n");
    let said = node.ask(agent, &["log-level", "pullfuse=trace", "--for", "3s"]).await?;
    has(&said, &["the agent logs pullfuse=trace for", "then pullfuse=debug,info as configured"]);
    node.until_logged(agent, &["the log level was changed by hand", "pullfuse=trace"]).await?;
    node.until_logged(agent, &["logging as configured again"]).await?;
    let said = node.ask(agent, &["log-level", "warn"]).await?;
    has(&said, &["the agent logs warn for"]);
    has(&node.ask(agent, &["status"]).await?, &["the agent logs warn for"]);
    let said = node.ask(agent, &["log-level", "--reset"]).await?;
    assert_eq!(said, "the agent logs pullfuse=debug,info, as configured\n");
    Ok(())
}
