//! Finds the programs a rig is made of, building them when they are missing.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::process::Command;
use tokio::sync::OnceCell;

/// Runs `build.sh`, which builds only what is missing; its progress goes to standard error.
///
/// Returns the folder with `bin/`, `cni/` and `containerd-1.6/`. Only the first call of a process
/// does anything.
pub async fn build() -> anyhow::Result<&'static Path> {
    static PARTS: OnceCell<PathBuf> = OnceCell::const_new();
    PARTS.get_or_try_init(run_script).await.map(PathBuf::as_path)
}

async fn run_script() -> anyhow::Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("parts/build.sh");
    let output = Command::new("bash")
        .arg(&script)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .await
        .with_context(|| format!("cannot run {}: install bash", script.display()))?;
    if !output.status.success() {
        bail!("the rig's parts could not be built: run `rig build` to see why");
    }
    let text = String::from_utf8(output.stdout).context("build.sh printed no path")?;
    let last = text.lines().last().context("build.sh printed no path")?;
    Ok(PathBuf::from(last))
}
