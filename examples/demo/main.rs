//! `make demo`: the main job on a real node, from an empty machine to a Job that failed for a
//! reason.

#![allow(unreachable_pub, reason = "nobody links to an example")]

#[path = "../../tests/support/deploy.rs"]
mod deploy;
mod table;

use std::time::{Duration, Instant};

use anyhow::Context;
use k8s_openapi::api::{apps::v1::DaemonSet, batch::v1::Job, core::v1::Pod};
use kube::{Api, api::ListParams};
use pullfuse_rig::{
    FINE_IMAGE, NODE, Options, Rig,
    fake_registry::{Answer, FakeRegistry},
};
use serde_json::json;

use self::table::{Row, Table};

const ATTEMPTS: u32 = 3;
const READY_WITHIN: Duration = Duration::from_secs(120);
const FAILED_WITHIN: Duration = Duration::from_secs(300);
/// Port of the registry that answers 503.
const BUSY_PORT: u16 = 5001;
/// The Job that wants an image of it.
const BUSY: &str = "registry-busy";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    step(
        "starting a Kubernetes node of its own (API server, controllers, kubelet, containerd, registry)",
    );
    let started = Instant::now();
    let rig = Rig::start(Options::default()).await?;
    done(started);

    step(
        "building pullfuse's image and pushing it to that node's registry (the first build takes minutes)",
    );
    let started = Instant::now();
    deploy::push_image(&rig).await?;
    done(started);

    step("installing it: kubectl apply -k daemonset/, with max_attempts = 3 instead of 5");
    let started = Instant::now();
    rig.apply(&deploy::manifests(&rig, ATTEMPTS, "10s")?).await?;
    rig.wait_for(
        "pullfuse",
        "pullfuse",
        READY_WITHIN,
        "its pod is ready",
        |set: Option<&DaemonSet>| {
            set.and_then(|set| set.status.as_ref()).is_some_and(|status| status.number_ready == 1)
        },
    )
    .await?;
    done(started);

    step("creating three Jobs");
    let busy = FakeRegistry::serve(rig.listen(BUSY_PORT)?)?;
    busy.set_default(Answer::ServerError(http::StatusCode::SERVICE_UNAVAILABLE));
    let jobs = [
        ("image-missing", "127.0.0.1:5000/team/app:v1.2.4".to_owned()),
        (BUSY, busy.image("team/app:v1.2.3")),
        ("image-fine", FINE_IMAGE.to_owned()),
    ];
    for (name, image) in &jobs {
        println!("    {name:14} {image}");
        rig.apply(&job(name, image)).await?;
    }
    println!();
    let failed = watch(&rig, &jobs).await?;
    explain(&rig, &failed).await?;

    step("cleaning up");
    let started = Instant::now();
    drop(busy);
    rig.stop().await?;
    done(started);
    Ok(())
}

fn step(what: &str) {
    println!("==> {what}");
}

fn done(started: Instant) {
    println!("    done in {:.0} s\n", started.elapsed().as_secs_f64());
}

/// A Job that fails as a whole when pullfuse fails its pod.
fn job(name: &str, image: &str) -> String {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name },
        "spec": {
            "podFailurePolicy": { "rules": [{
                "action": "FailJob",
                "onPodConditions": [{ "type": "pullfuse.io/ImagePullFailed", "status": "True" }],
            }] },
            "template": { "spec": {
                "nodeName": NODE, "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
                "containers": [{ "name": "main", "image": image }],
            } },
        },
    })
    .to_string()
}

/// Shows the table until the Job without an image has failed; returns that Job's name.
async fn watch(rig: &Rig, jobs: &[(&str, String)]) -> anyhow::Result<String> {
    let started = Instant::now();
    let mut table = Table::new();
    while started.elapsed() < FAILED_WITHIN {
        let mut rows = Vec::new();
        for (name, _) in jobs {
            rows.push(row(rig, name).await?);
        }
        table.show(started.elapsed(), &rows);
        if rows[0].job.starts_with("Failed") {
            println!();
            return Ok(jobs[0].0.to_owned());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    anyhow::bail!("no Job failed within {} s", FAILED_WITHIN.as_secs())
}

async fn pod_of(rig: &Rig, job: &str) -> anyhow::Result<Option<Pod>> {
    let pods = Api::<Pod>::default_namespaced(rig.client());
    let list = pods.list(&ListParams::default().labels(&format!("job-name={job}"))).await?;
    Ok(list.items.into_iter().next())
}

async fn row(rig: &Rig, name: &str) -> anyhow::Result<Row> {
    let job = Api::<Job>::default_namespaced(rig.client()).get(name).await?;
    let pod = pod_of(rig, name).await?;
    let pod_name = pod.as_ref().and_then(|pod| pod.metadata.name.clone()).unwrap_or_default();
    let attempts = attempts_of(rig, &pod_name);
    Ok(Row::new(name, &job, pod.as_ref(), attempts))
}

/// What pullfuse's own log says.
fn attempts_of(rig: &Rig, pod: &str) -> u64 {
    let logs = rig.host_path("/var/log/pods");
    let mut attempts = 0;
    for folder in std::fs::read_dir(logs).into_iter().flatten().flatten() {
        if !folder.file_name().to_string_lossy().starts_with("pullfuse_") {
            continue;
        }
        let log = std::fs::read_to_string(folder.path().join("pullfuse/0.log")).unwrap_or_default();
        for line in log.lines().filter_map(|line| line.find('{').map(|start| &line[start..])) {
            let Ok(entry) = serde_json::from_str::<serde_json::Value>(line) else { continue };
            if entry["pod"] == pod && entry["message"] == "attempt failed" {
                attempts = attempts.max(entry["attempts"].as_u64().unwrap_or_default());
            }
        }
    }
    attempts
}

/// What happened, in plain words.
async fn explain(rig: &Rig, job: &str) -> anyhow::Result<()> {
    let pod = pod_of(rig, job).await?.context("the Job's pod is gone")?;
    let name = pod.metadata.name.unwrap_or_default();
    let status = pod.status.unwrap_or_default();
    let events = rig.events("default", &name).await?;
    let note = events.iter().find(|e| e.reason.as_deref() == Some("ImagePullFailed"));
    println!("What happened");
    println!("  The kubelet tried to pull the image of Job {job} {ATTEMPTS} times and failed.");
    println!("  pullfuse counted these attempts and then set the pod {name} to");
    println!(
        "  phase {}, reason {}:",
        status.phase.unwrap_or_default(),
        status.reason.unwrap_or_default()
    );
    println!("    {}", status.message.unwrap_or_default());
    println!(
        "  The Job's podFailurePolicy saw the condition pullfuse.io/ImagePullFailed and failed"
    );
    println!(
        "  the Job at once, instead of leaving it in ImagePullBackOff for ever. The pod's Event:"
    );
    println!("    {}", note.and_then(|e| e.note.clone()).unwrap_or_default());
    let busy = row(rig, BUSY).await?;
    anyhow::ensure!(busy.job == "active", "a busy registry failed its Job: {}", busy.job);
    println!(
        "  {BUSY} failed {} times too, of a registry that answers 503. That is",
        busy.attempts
    );
    println!("  expected to pass (class registry_5xx, transient), so its pod is left alone.");
    println!("  image-fine runs and was never touched.\n");
    Ok(())
}
