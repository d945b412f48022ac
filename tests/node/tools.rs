//! What an operator runs.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use pullfuse_rig::Rig;

use crate::deploy::run;

/// What `kubectl` prints, and what it warns of; it must end well.
pub fn kubectl(rig: &Rig, words: &[&str], input: &str) -> anyhow::Result<(String, String)> {
    let mut kubectl = Command::new(rig.parts().join("bin/kubectl"))
        .args(words)
        .env("KUBECONFIG", rig.kubeconfig())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    kubectl.stdin.take().context("a pipe was asked for")?.write_all(input.as_bytes())?;
    let output = kubectl.wait_with_output()?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "kubectl {words:?}: {errors}");
    Ok((String::from_utf8(output.stdout)?, errors))
}

/// What `helm` prints.
pub fn helm(rig: &Rig, words: &[&str]) -> anyhow::Result<String> {
    let own = rig.folder().join("helm");
    let mut helm = Command::new(rig.parts().join("bin/helm"));
    helm.args(words).env("KUBECONFIG", rig.kubeconfig());
    for kind in ["CACHE", "CONFIG", "DATA"] {
        helm.env(format!("HELM_{kind}_HOME"), own.join(kind));
    }
    run(&mut helm)
}
