use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use comfy_table::{Table, presets::NOTHING};

use crate::support::{AgentOptions, Node};

const MIB: u64 = 1 << 20;

/// How large the agent is, and what it has done so far.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub at: Duration,
    pub pods: usize,
    /// Bytes in memory.
    pub memory: u64,
    pub descriptors: u64,
    /// Bytes of the ledger's file.
    pub ledger: u64,
    /// Series of its metrics.
    pub series: u64,
    pub attempts: f64,
    pub verdicts: f64,
    /// What the capture and the decoder missed.
    pub lost: f64,
}

impl Size {
    pub async fn take(
        node: &Node,
        agent: &AgentOptions,
        at: Duration,
        pods: usize,
    ) -> anyhow::Result<Self> {
        let process = process(&node.rig.folder().join("config"), &agent.name)?;
        let status = fs::read_to_string(process.join("status"))?;
        let memory = status.lines().find_map(|line| {
            line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        });
        let metrics = node.rig.metrics(agent.port).await?;
        let series = || metrics.lines().filter(|line| !line.starts_with('#'));
        let sum = |name: &str| {
            let values = series().filter_map(|line| line.strip_prefix(name)?.split_once(' '));
            values
                .filter_map(|(_, value)| value.parse::<f64>().ok())
                .fold(0.0, |all, one| all + one)
        };
        let ledger = node.rig.host_path(&agent.ledger).join("ledger.redb");
        Ok(Self {
            at,
            pods,
            memory: memory.context("a process without a memory")? * 1024,
            descriptors: fs::read_dir(process.join("fd"))?.count() as u64,
            ledger: fs::metadata(ledger)?.len(),
            series: series().count() as u64,
            attempts: sum("pullfuse_attempts_total{"),
            verdicts: sum("pullfuse_verdicts_total{action=\"fail\",outcome=\"held\""),
            lost: sum("pullfuse_capture_lost_total{")
                + sum("pullfuse_decoder_unknown_total{what=\"gaps\"}"),
        })
    }
}

/// Where the kernel tells of the agent that has this configuration; only this rig has it.
fn process(configs: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let config = configs.join(format!("{name}.toml"));
    let config = config.to_str().context("an odd path")?;
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let words = fs::read(path.join("cmdline")).unwrap_or_default();
        if words.split(|byte| *byte == 0).any(|word| word == config.as_bytes()) {
            return Ok(path);
        }
    }
    anyhow::bail!("the agent does not run")
}

pub fn print(sizes: &[Size]) {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header([
        "TIME",
        "PODS",
        "RSS MIB",
        "FDS",
        "LEDGER KIB",
        "SERIES",
        "ATTEMPTS",
        "VERDICTS",
        "LOST",
    ]);
    for size in sizes.iter() {
        table.add_row([
            format!("{} s", size.at.as_secs()),
            size.pods.to_string(),
            format!("{:.1}", size.memory as f64 / MIB as f64),
            size.descriptors.to_string(),
            (size.ledger / 1024).to_string(),
            size.series.to_string(),
            size.attempts.to_string(),
            size.verdicts.to_string(),
            size.lost.to_string(),
        ]);
    }
    println!("\n{table}\n");
}

/// After the first third nothing grows any more, but for what an allocator and a file's blocks need.
pub fn is_flat(sizes: &[Size]) -> anyhow::Result<()> {
    let third = sizes.len() / 3;
    ensure!(third > 0, "too short to see anything: {} samples", sizes.len());
    let most = |of: fn(&Size) -> u64| {
        let most = |sizes: &[Size]| sizes.iter().map(of).max().unwrap_or_default();
        (most(&sizes[third..2 * third]), most(&sizes[2 * third..]))
    };
    for (what, (before, then), room) in [
        ("bytes of memory", most(|size| size.memory), 4 * MIB),
        ("file descriptors", most(|size| size.descriptors), 4),
        ("bytes of the ledger", most(|size| size.ledger), MIB),
        // A class of errors that was not met before.
        ("series of metrics", most(|size| size.series), 6),
    ] {
        println!("{what}: at most {before} in the second third, {then} in the last");
        ensure!(then <= before + before / 10 + room, "{what} grow: from {before} to {then}");
    }
    let last = sizes.last().context("no samples")?;
    ensure!(last.attempts > 0.0 && last.verdicts > 0.0, "nothing happened: {last:?}");
    ensure!(last.lost == 0.0, "the capture missed something: {last:?}");
    Ok(())
}
