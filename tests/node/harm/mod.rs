//! The safety net: whatever a scenario tries, no agent harms a pod.
//!
//! In: the API server's audit log, the kubelet's and the runtime's own logs, and what the node's
//! agents were told. Out: a [`Report`] of every write of theirs and each one that should not have
//! been made. [`check`] is pure; [`reports`] looks at every node of these scenarios when it ends,
//! without being asked. Nothing that an agent says of itself counts as evidence.

mod agents;
mod audit;
mod events;
mod fields;
mod kubelet;
mod pods;
mod quoted;
mod reports;
mod rules;
mod runtime;
mod tests;
mod witness;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    rc::Rc,
};

use jiff::{SignedDuration, Timestamp};
use pullfuse::settings::Settings;
use serde_json::Value;

pub use self::{
    agents::Agents,
    audit::{AGENTS, Entry},
    reports::{conclude, look, watched},
    tests::trials,
};
use self::{
    events::Told,
    fields::Kind,
    pods::Pods,
    rules::{Case, RULES},
    witness::Witness,
};

const VERDICT: &str = "pullfuse.io/verdict";
/// A kubelet that is there has ended a pod this long after its deadline was set.
const HEEDED: SignedDuration = SignedDuration::from_secs(10);
/// Entries of the audit log that may stand in the wrong order.
const OUT_OF_ORDER: usize = 300;

/// What happened on a node.
pub struct Evidence<'a> {
    /// The node that has a kubelet.
    pub node: &'a str,
    pub kubelet_log: &'a str,
    pub runtime_log: &'a str,
    pub agents: &'a Agents,
    /// When the logs were read; what was written later is not looked at.
    pub now: Timestamp,
}

/// What was found.
#[derive(Debug, Default, Clone)]
pub struct Report {
    /// Writes to pods that were looked at.
    pub verdicts: usize,
    pub events: usize,
    /// A sentence each.
    pub violations: Vec<String>,
}

/// Looks at every write of the agents.
pub fn check(audit: impl Iterator<Item = Value>, evidence: &Evidence<'_>) -> Report {
    let mut net = Net::new(evidence);
    for entry in audit.filter_map(Entry::read).filter(|entry| entry.at <= evidence.now) {
        net.take(entry);
    }
    net.end()
}

struct Net<'a> {
    evidence: &'a Evidence<'a>,
    witness: Witness,
    pods: Pods,
    told: Told,
    /// Writes that wait until the versions before them are known for sure.
    waiting: VecDeque<Entry>,
    entries_since: usize,
    /// Writes of each kind and when the last was, and refusals, by pod.
    written: HashMap<(String, &'static str), (usize, Timestamp)>,
    refused: HashMap<(String, String), usize>,
    /// Pods that carry a verdict, and their names.
    judged: BTreeMap<String, String>,
    checked: HashSet<String>,
    settings: HashMap<String, Option<Rc<Settings>>>,
    report: Report,
}

impl<'a> Net<'a> {
    fn new(evidence: &'a Evidence<'a>) -> Self {
        let witness = Witness::new(evidence.kubelet_log, evidence.runtime_log, evidence.now);
        Self {
            evidence,
            witness,
            pods: Pods::default(),
            told: Told::default(),
            waiting: VecDeque::new(),
            entries_since: 0,
            written: HashMap::new(),
            refused: HashMap::new(),
            judged: BTreeMap::new(),
            checked: HashSet::new(),
            settings: HashMap::new(),
            report: Report::default(),
        }
    }

    fn take(&mut self, entry: Entry) {
        let to_pod = matches!(entry.resource.as_str(), "pods" | "pods/status");
        if !entry.carried_out {
            if entry.by_an_agent() && to_pod {
                *self.refused.entry((entry.namespace, entry.name)).or_default() += 1;
            }
            return;
        }
        self.pods.take(&entry);
        let carries = |pod: &Value| !pod["metadata"]["annotations"][VERDICT].is_null();
        if to_pod && carries(&entry.response) {
            let name = format!("{}/{}", entry.namespace, entry.name);
            let first = self.judged.insert(entry.uid().to_owned(), name).is_none();
            if first && !entry.by_an_agent() && !carries(&entry.request) {
                self.waiting.push_back(entry.unseen());
            }
        }
        self.entries_since += 1;
        if entry.by_an_agent() {
            self.waiting.push_back(entry);
            self.entries_since = 0;
        } else if self.entries_since > OUT_OF_ORDER {
            self.look_at_writes();
        }
    }

    fn look_at_writes(&mut self) {
        while let Some(entry) = self.waiting.pop_front() {
            // The write itself may stand after what shows its result.
            let of_pod = |other: &Entry| other.seen && other.uid() == entry.uid();
            if !entry.seen
                && (self.checked.contains(entry.uid()) || self.waiting.iter().any(of_pod))
            {
                continue;
            }
            match (entry.verb.as_str(), entry.resource.as_str()) {
                ("patch", "pods" | "pods/status") => self.verdict(&entry),
                ("create", "events") => {
                    self.report.events += 1;
                    let found = self.told.take(&entry, self.evidence.node, &self.pods);
                    self.report.violations.extend(found);
                }
                ("patch", "events") => self.report.violations.extend(self.told.change(&entry)),
                // Questions about itself.
                ("create", resource) if resource.starts_with("selfsubject") => {}
                (verb, resource) => self.report.violations.push(format!(
                    "{} did what no agent has to do: {verb} {resource} {}/{} at {:.3}",
                    entry.user, entry.namespace, entry.name, entry.at
                )),
            }
        }
    }

    fn verdict(&mut self, write: &Entry) {
        let uid = write.uid();
        let version = pods::version_of(&write.response).unwrap_or_default();
        let Some(before) = self.pods.before(uid, version) else {
            let text = "the log shows no version of the pod before this write".to_owned();
            return self.violation(write, &[text], "");
        };
        self.report.verdicts += 1;
        self.checked.insert(uid.to_owned());
        let kind = Kind::of(&write.resource, before, &write.response);
        let verdict = &write.response["metadata"]["annotations"][VERDICT];
        let verdict: Value =
            serde_json::from_str(verdict.as_str().unwrap_or_default()).unwrap_or_default();
        let image = verdict["image"].as_str().unwrap_or_default();
        // The witnesses know it as the pod spells it.
        let spelled = pods::spelled(before, image);
        let last_pulled = self.pods.last_pulled(uid, spelled, write.at);
        let attempts = self.witness.attempts(before, spelled, last_pulled, write.at);
        let all = self.witness.attempts(before, spelled, None, write.at);
        let came = all.last().and_then(|last| self.witness.came(spelled, last.at, write.asked));
        let came = came.or(last_pulled.filter(|_| attempts.is_empty()));
        let case = Case {
            write,
            kind,
            node: self.evidence.node,
            before,
            image,
            claimed: verdict["attempts"].as_u64().unwrap_or(u64::MAX),
            in_flight: self.witness.in_flight(&self.pods, uid, spelled, write.asked),
            came,
            released: self.evidence.agents.released(&write.namespace, &write.name),
            settings: settings(&mut self.settings, self.evidence.agents, write),
            attempts,
        };
        let mut wrong: Vec<String> = RULES.iter().filter_map(|rule| rule(&case)).collect();
        let seen = describe(&case);
        wrong.extend(self.too_often(write, kind));
        self.violation(write, &wrong, &seen);
    }

    /// A pod is ended once; that the kubelet took it back shows in its phase. An explanation may be
    /// written again when the deadline after it was refused, and both when no kubelet heeded them.
    fn too_often(&mut self, write: &Entry, kind: Kind) -> Option<String> {
        let refused = self.refused.get(&(write.namespace.clone(), write.name.clone()));
        let most = match kind {
            Kind::End => return None,
            Kind::Explain => 1 + refused.copied().unwrap_or_default(),
            Kind::Deadline => 1,
        };
        let name = if kind == Kind::Explain { "explanation" } else { "deadline" };
        let first = (0, write.at);
        let (written, last) = self.written.entry((write.uid().to_owned(), name)).or_insert(first);
        if write.at.duration_since(*last) < HEEDED {
            *written += 1;
        }
        *last = write.at;
        (*written > most).then(|| format!("this is its {name} number {written}"))
    }

    fn violation(&mut self, write: &Entry, wrong: &[String], seen: &str) {
        if wrong.is_empty() {
            return;
        }
        let agent = self.evidence.agents.name(write.token.as_deref());
        self.report.violations.push(format!(
            "pod {}/{} ({}): the agent {agent} wrote to its {} at {:.3}, but {}{seen}",
            write.namespace,
            write.name,
            write.uid(),
            write.resource,
            write.at,
            wrong.join("; "),
        ));
    }

    fn end(mut self) -> Report {
        self.look_at_writes();
        for (uid, name) in &self.judged {
            if !self.checked.contains(uid) {
                let text =
                    format!("pod {name} ({uid}) carries a verdict that no agent's write made");
                self.report.violations.push(text);
            }
        }
        self.report.violations.extend(self.told.without_verdict(&self.checked));
        self.report
    }
}

fn settings(
    known: &mut HashMap<String, Option<Rc<Settings>>>,
    agents: &Agents,
    write: &Entry,
) -> Vec<Rc<Settings>> {
    let texts = agents.in_force(write.token.as_deref(), write.at).into_iter();
    let made = texts.map(|text| {
        let make = || Some(Rc::new(Settings::new(pullfuse::config::parse(text).ok()?)));
        known.entry(text.to_owned()).or_insert_with(make).clone()
    });
    made.flatten().collect()
}

/// What the witnesses saw.
fn describe(case: &Case<'_>) -> String {
    let times: Vec<String> = case.attempts.iter().map(|one| format!("{:.3}", one.at)).collect();
    let last = case.attempts.last().map_or("", |last| last.text.as_str());
    format!(
        ". The kubelet's log shows {} failed attempts of {:?} before it and none pulled since [{}] {last}",
        times.len(),
        case.image,
        times.join(", "),
    )
}
