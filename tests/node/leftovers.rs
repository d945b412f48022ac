//! What an installation leaves behind.

use std::collections::BTreeSet;

use anyhow::Context;
use pullfuse_rig::Rig;

use crate::{support::until, tools::kubectl};

/// A cluster as it was before.
pub struct Before(BTreeSet<String>);

impl Before {
    pub fn now(rig: &Rig) -> anyhow::Result<Self> {
        Ok(Self(objects(rig)?))
    }

    /// Waits until there is nothing new but these, as `kind namespace/name`, and what is in a
    /// namespace of the test's own.
    pub async fn until_left(&self, rig: &Rig, own: &str, left: &[&str]) -> anyhow::Result<()> {
        let expected: BTreeSet<String> = left.iter().map(|&object| object.to_owned()).collect();
        let new = || {
            let mut new = objects(rig)?;
            let of_the_test = [format!(" {own}/"), format!("Namespace /{own}")];
            new.retain(|object| {
                !self.0.contains(object) && !of_the_test.iter().any(|part| object.contains(part))
            });
            anyhow::Ok(new)
        };
        let as_expected = async || Ok((new()? == expected).then_some(()));
        until(as_expected)
            .await
            .with_context(|| format!("what is left: {:?}", new().unwrap_or_default()))
    }
}

/// Every object but those that tell what happened and who is there.
fn objects(rig: &Rig) -> anyhow::Result<BTreeSet<String>> {
    let (kinds, _) = kubectl(rig, &["api-resources", "--verbs=list", "-o", "name"], "")?;
    let told = |kind: &&str| kind.starts_with("events") || kind.starts_with("leases");
    let kinds: Vec<_> = kinds.lines().filter(|kind| !told(kind)).collect();
    let line = "{range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name}{\"\\n\"}{end}";
    let output = format!("jsonpath={line}");
    let (all, _) = kubectl(rig, &["get", &kinds.join(","), "-A", "-o", &output], "")?;
    Ok(all.lines().map(str::to_owned).collect())
}
