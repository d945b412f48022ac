//! Every node is looked at when it ends.

use std::cell::RefCell;

use jiff::Timestamp;
use parking_lot::Mutex;
use pullfuse_rig::{NODE, Rig};

use super::{Agents, Evidence, Report, check};

/// What was found so far, and on how many nodes.
static ALL: Mutex<(usize, Report)> =
    Mutex::new((0, Report { verdicts: 0, events: 0, violations: Vec::new() }));

thread_local! {
    /// What was found on nodes that ended on this thread: those of the scenario that it runs.
    static OWN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Looks at a node that is about to end.
pub fn look(rig: &Rig, agents: &Agents) -> Report {
    let report = read(rig, agents).unwrap_or_else(|error| Report {
        violations: vec![format!("what agents wrote could not be checked: {error:#}")],
        ..Report::default()
    });
    OWN.with_borrow_mut(|own| own.extend(report.violations.iter().cloned()));
    let (nodes, all) = &mut *ALL.lock();
    *nodes += 1;
    all.verdicts += report.verdicts;
    all.events += report.events;
    all.violations.extend(report.violations.iter().cloned());
    report
}

fn read(rig: &Rig, agents: &Agents) -> anyhow::Result<Report> {
    let now = Timestamp::now();
    let (kubelet_log, runtime_log) = (rig.log("kubelet")?, rig.log("containerd")?);
    let evidence =
        Evidence { node: NODE, kubelet_log: &kubelet_log, runtime_log: &runtime_log, agents, now };
    let mut broken = None;
    let lines = rig.audit_lines()?.map_while(|line| line.map_err(|e| broken = Some(e)).ok());
    let report = check(lines, &evidence);
    broken.map_or(Ok(report), Err)
}

/// Runs a scenario, and fails it if something is found on a node of its own.
pub fn watched(scenario: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    // One that panicked may have left something behind.
    OWN.take();
    let ran = scenario();
    let found = OWN.take();
    ran?;
    anyhow::ensure!(found.is_empty(), "pods were harmed:\n{}", found.join("\n"));
    Ok(())
}

/// Says what was looked at; whether all of it was as it should be.
pub fn conclude() -> bool {
    let (nodes, Report { verdicts, events, violations }) = &*ALL.lock();
    if *nodes == 0 {
        return true;
    }
    for violation in violations {
        println!("harm: {violation}");
    }
    println!(
        "{verdicts} verdict writes and {events} Events on {nodes} nodes checked, {} violations",
        violations.len()
    );
    violations.is_empty()
}
