//! What happened in a rig: events and the API server's audit log.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use anyhow::Context;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde_json::Value;

use crate::rig::Rig;

impl Rig {
    /// The Events about objects with this name.
    pub async fn events(&self, namespace: &str, involved: &str) -> anyhow::Result<Vec<Event>> {
        let api = Api::<Event>::namespaced(self.client(), namespace);
        let about = ListParams::default().fields(&format!("regarding.name={involved}"));
        Ok(api.list(&about).await?.items)
    }

    /// Every request so far that changed a pod, a pod's status or an event, with its whole body.
    pub fn audit(&self) -> anyhow::Result<Vec<Value>> {
        self.audit_lines()?.collect()
    }

    /// The same, one at a time: a log of long runs is larger than a memory.
    pub fn audit_lines(
        &self,
    ) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Value>> + use<>> {
        let files = self.audit_logs()?.into_iter().map(File::open);
        let files = files.collect::<Result<Vec<_>, _>>()?;
        let lines = files.into_iter().flat_map(|file| {
            let mut file = BufReader::new(file);
            std::iter::from_fn(move || next_line(&mut file).transpose())
        });
        Ok(lines.map(|line| Ok(serde_json::from_str(&line?)?)))
    }

    /// The files of the audit log, the oldest first: the API server begins another one when one has
    /// grown to 100 MB.
    fn audit_logs(&self) -> anyhow::Result<Vec<PathBuf>> {
        let newest = self.folder.path("log/audit.log");
        anyhow::ensure!(newest.is_file(), "the API server has written no audit log");
        let mut logs = Vec::new();
        for entry in fs::read_dir(self.folder.path("log"))? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("audit-") {
                logs.push(entry.path());
            }
        }
        // Their names are the times of their ends.
        logs.sort();
        logs.push(newest);
        Ok(logs)
    }
}

/// The next whole line; the last one may be half written.
fn next_line(log: &mut impl BufRead) -> anyhow::Result<Option<String>> {
    let mut line = String::new();
    log.read_line(&mut line).context("cannot read the audit log")?;
    Ok(line.ends_with('\n').then_some(line))
}
