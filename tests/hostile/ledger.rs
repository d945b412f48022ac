//! The file of an older ledger with changes, each of four bytes and what they announce: it is opened or
//! set aside, and takes what is stored next.

use std::sync::LazyLock;

use pullfuse::{
    act::VerdictRecord,
    ledger::{Batch, Ledger, LedgerError},
};
use tempfile::TempDir;

use super::seeds;

/// The file's name in its folder.
const FILE: &str = "ledger.redb";
/// Instead of a number of bytes: the file ends here.
pub const CUT: u8 = u8::MAX;

static FILES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(seeds::ledger_files);

pub fn look(bytes: &[u8]) {
    let Some((&which, changes)) = bytes.split_first() else { return };
    let folder = TempDir::new().unwrap();
    let file = changed(FILES[usize::from(which & 1)].clone(), changes);
    std::fs::write(folder.path().join(FILE), file).unwrap();
    let (ledger, kept) = match Ledger::open(folder.path()) {
        // It would end the agent until somebody looks, and so does a newer one that is sound.
        Err(LedgerError::Newer { .. }) => return,
        opened => opened.unwrap(),
    };
    if let Some(aside) = kept.set_aside {
        assert!(aside.exists() && kept.tallies.is_empty() && kept.verdicts.is_empty());
    }
    let record: VerdictRecord = serde_json::from_slice(&seeds::verdict()[0]).unwrap();
    let (key, tally) = (record.key, record.tally);
    let mut batch = Batch::default();
    batch.tallies.insert(key.clone(), Some(tally.clone()));
    // The first write may find damage where nobody had to look before.
    if ledger.commit(&batch).is_err() {
        ledger.commit(&batch).unwrap();
    }
    drop(ledger);
    let (_, kept) = Ledger::open(folder.path()).unwrap();
    assert_eq!(kept.tallies.get(&key), Some(&tally));
}

fn changed(mut file: Vec<u8>, mut changes: &[u8]) -> Vec<u8> {
    while let Some((&[a, b, c, length], rest)) = changes.split_first_chunk() {
        let at = u32::from_le_bytes([a, b, c, 0]) as usize % file.len().max(1);
        if length == CUT {
            file.truncate(at);
            changes = rest;
            continue;
        }
        let (new, rest) = rest.split_at(usize::from(length).min(rest.len()));
        let end = file.len().min(at + new.len());
        file[at..end].copy_from_slice(&new[..end - at]);
        changes = rest;
    }
    file
}
