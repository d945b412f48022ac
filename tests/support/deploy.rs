//! Puts pullfuse on a rig the way an operator would: image, kustomize base, a smaller limit.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use pullfuse_rig::{Rig, port};

/// A file of `daemonset/`.
pub fn shipped(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("daemonset").join(file)
}

/// Builds the image and pushes it to the rig's registry, with the tags test and next.
pub async fn push_image(rig: &Rig) -> anyhow::Result<()> {
    let registry = rig.host_address(port::REGISTRY).await?;
    let mut script = Command::new(shipped("image.sh"));
    script.args(["test", "next"].map(|tag| format!("docker://{registry}/pullfuse:{tag}")));
    let status = tokio::task::spawn_blocking(move || script.status()).await??;
    ensure!(status.success(), "daemonset/image.sh failed, see above");
    Ok(())
}

/// `kubectl kustomize` of the shipped base with the rig's image and other limits.
pub fn manifests(rig: &Rig, max_attempts: u32, min_elapsed: &str) -> anyhow::Result<String> {
    manifests_with(rig, max_attempts, min_elapsed, None)
}

/// The same with one of the shipped components.
pub fn manifests_with(
    rig: &Rig,
    max_attempts: u32,
    min_elapsed: &str,
    component: Option<&str>,
) -> anyhow::Result<String> {
    let overlay = tempfile::tempdir()?;
    let base = copy_base(overlay.path())?;
    let component = component.map(|name| format!("daemonset/components/{name}"));
    let own = component.iter().map(|component| overlay.path().join(component));
    for config in own.chain([base.clone()]).map(|folder| folder.join("config.toml")) {
        if config.exists() {
            let text = std::fs::read_to_string(&config)?;
            let text =
                replace(&text, "max_attempts = 5", &format!("max_attempts = {max_attempts}"))?;
            let text = replace(&text, "\"1m\"", &format!("\"{min_elapsed}\""))?;
            std::fs::write(config, text)?;
        }
    }
    let kustomization = format!(
        "resources: [daemonset]\ncomponents: [{}]\nimages:\n  - name: pullfuse\n    \
         newName: 127.0.0.1:5000/pullfuse\n    newTag: test\n",
        component.unwrap_or_default()
    );
    std::fs::write(overlay.path().join("kustomization.yaml"), kustomization)?;
    kustomize(rig, overlay.path())
}

/// A copy of `daemonset/` in a folder.
pub fn copy_base(folder: &Path) -> anyhow::Result<PathBuf> {
    let base = folder.join("daemonset");
    run(Command::new("cp").arg("-r").arg(shipped("")).arg(&base))?;
    Ok(base)
}

/// `kubectl kustomize` of a folder.
pub fn kustomize(rig: &Rig, folder: &Path) -> anyhow::Result<String> {
    run(Command::new(rig.parts().join("bin/kubectl")).arg("kustomize").arg(folder))
}

fn replace(text: &str, from: &str, to: &str) -> anyhow::Result<String> {
    ensure!(text.contains(from), "a config.toml below daemonset/ no longer says {from}");
    Ok(text.replace(from, to))
}

pub fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}
