use std::sync::Mutex;

use comfy_table::{Table, presets::NOTHING};

/// Times a fault is tried: a few in `make test`, many in `make chaos`.
pub fn rounds(few: usize) -> usize {
    let asked = std::env::var("PULLFUSE_ROUNDS").ok();
    asked.map_or(few, |rounds| rounds.parse().expect("PULLFUSE_ROUNDS is a number of rounds"))
}

/// A fault that was tried, as the table after the last scenario shows it.
#[derive(Debug, Clone, Default)]
pub struct Tried {
    pub fault: String,
    pub rounds: usize,
    /// Attempts that really happened and were not counted.
    pub lost: usize,
    /// Pods that were ended and should not have been, or the other way round.
    pub wrong: usize,
    /// Requests of the agent to the API server in each minute of the fault, where that was measured.
    pub requests_per_minute: Option<f64>,
}

static TRIED: Mutex<Vec<Tried>> = Mutex::new(Vec::new());

impl Tried {
    /// Puts it into the table. A lost count or a wrong verdict then fails the scenario.
    pub fn note(self) -> anyhow::Result<()> {
        TRIED.lock().expect("nobody panics while they hold it").push(self.clone());
        anyhow::ensure!(self.lost == 0 && self.wrong == 0, "{self:?}");
        Ok(())
    }
}

/// Shows every fault that was tried.
pub fn print_tried() {
    let mut tried = TRIED.lock().expect("nobody panics while they hold it");
    if tried.is_empty() {
        return;
    }
    tried.sort_by(|a, b| a.fault.cmp(&b.fault));
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["FAULT", "ROUNDS", "LOST COUNTS", "WRONG VERDICTS", "REQUESTS/MIN"]);
    for Tried { fault, rounds, lost, wrong, requests_per_minute } in tried.iter() {
        let requests = requests_per_minute.map_or("-".into(), |rate| format!("{rate:.1}"));
        table.add_row([
            fault.clone(),
            rounds.to_string(),
            lost.to_string(),
            wrong.to_string(),
            requests,
        ]);
    }
    println!("\n{table}\n");
}
