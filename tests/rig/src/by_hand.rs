//! The commands with which a person handles rigs.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, anyhow};
use pullfuse_rig::{Options, Rig};

pub(crate) fn build() -> anyhow::Result<()> {
    let parts = runtime()?.block_on(pullfuse_rig::build())?;
    println!("{}", parts.display());
    Ok(())
}

pub(crate) fn start(options: Options) -> anyhow::Result<()> {
    let begun = Instant::now();
    let folder = runtime()?.block_on(Rig::start_detached(options))?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    println!(
        "# rig {name} is up after {:.1} s; its logs: {}/log",
        begun.elapsed().as_secs_f32(),
        folder.display()
    );
    println!(
        "# end it: rig stop --name {name}; run something in it: rig exec --name {name} -- COMMAND"
    );
    println!("export KUBECONFIG={}/config/admin.kubeconfig", folder.display());
    Ok(())
}

pub(crate) fn stop(name: Option<&str>, all: bool) -> anyhow::Result<()> {
    let rigs = if all { pullfuse_rig::list()? } else { vec![pullfuse_rig::find(name)?] };
    for rig in rigs {
        let id = rig.id();
        rig.stop().with_context(|| format!("cannot stop {id}"))?;
        println!("stopped {id}");
    }
    Ok(())
}

pub(crate) fn list() -> anyhow::Result<()> {
    for rig in pullfuse_rig::list()? {
        println!("{}\tpid {}\t{}", rig.id(), rig.init(), rig.kubeconfig().display());
    }
    Ok(())
}

pub(crate) fn exec(name: Option<&str>, command: &[String]) -> anyhow::Result<()> {
    let rig = pullfuse_rig::find(name)?;
    let error = Command::new("nsenter")
        .arg(format!("--target={}", rig.init()))
        .args(["--mount", "--net", "--uts", "--cgroup", "--pid", "--"])
        .args(command)
        .env("KUBECONFIG", rig.folder().join("config/inner.kubeconfig"))
        .exec();
    Err(anyhow!(error)).context("cannot run `nsenter`: install util-linux")
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Runtime::new().context("cannot start the runtime")
}
