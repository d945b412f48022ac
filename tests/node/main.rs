//! pullfuse on real nodes: kubelet, containerd, API server, controllers and registry of the rig.
//!
//! Most scenarios share a node, each in a namespace of its own, since they mostly wait for the
//! kubelet's back-off. Nodes are made by the first scenario that needs them and stopped after the
//! last one.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]
#![allow(missing_docs, unreachable_pub, reason = "nobody links to a test")]

#[path = "../support/deploy.rs"]
mod deploy;
#[path = "../support/render.rs"]
mod render;
mod support;
#[path = "../support/monitoring.rs"]
mod watching;

mod breaker;
mod bystanders;
mod capture;
mod causes;
mod confinement;
mod daemonset;
mod dry_run;
mod faults;
mod harm;
mod helm;
mod holding;
mod hostile;
mod images;
mod jobs;
mod leftovers;
mod monitoring;
mod oncall;
mod outages;
mod packaging;
mod plugin;
mod policy;
mod preconditions;
mod privilege;
mod release;
mod reload;
mod series;
mod soak;
mod tools;
mod wire;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// Scenarios at the same time; they wait far more than they work.
const AT_ONCE: usize = 8;

/// As the harness itself ends when a test has failed.
const FAILED: u8 = 101;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let trials: Vec<Trial> = [
        harm::trials(),
        // The longest first.
        faults::trials(),
        wire::trials(),
        holding::trials(),
        daemonset::trials(),
        helm::trials(),
        outages::trials(),
        packaging::trials(),
        plugin::trials(),
        breaker::trials(),
        causes::trials(),
        policy::trials(),
        release::trials(),
        reload::trials(),
        series::trials(),
        dry_run::trials(),
        jobs::trials(),
        monitoring::trials(),
        oncall::trials(),
        images::trials(),
        bystanders::trials(),
        capture::trials(),
        preconditions::trials(),
        privilege::trials(),
        confinement::trials(),
        hostile::trials(),
        soak::trials(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    support::stop_nodes();
    support::print_tried();
    match harm::conclude() {
        true => conclusion.exit_code(),
        false => ExitCode::from(FAILED),
    }
}
