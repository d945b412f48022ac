use std::io::Write as _;

use tempfile::TempDir;

use super::*;
use crate::{
    config::Method,
    fixtures::{cause, start as now, tally},
};

fn key(n: u32) -> PullKey {
    PullKey { pod_uid: format!("uid-{n}"), image: "r/app:1".into() }
}

fn open(dir: &TempDir) -> (Ledger, Kept) {
    Ledger::open(dir.path()).unwrap()
}

fn batch(n: u32, tally: Option<Tally>) -> Batch {
    Batch { tallies: [(key(n), tally)].into(), ..Batch::default() }
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let verdict = VerdictRecord::new(key(1), tally(5), cause(), now(), Method::Status);
    {
        let (ledger, kept) = open(&dir);
        assert!(kept.tallies.is_empty() && kept.verdicts.is_empty());
        ledger.commit(&batch(1, Some(tally(3)))).unwrap();
        ledger.commit(&batch(2, Some(tally(9)))).unwrap();
        ledger.commit(&batch(2, None)).unwrap();
        let mut with_verdict = Batch::default();
        with_verdict.verdicts.insert("uid-1".into(), Some(verdict.clone()));
        ledger.commit(&with_verdict).unwrap();
    }
    let (_, kept) = open(&dir);
    assert_eq!(kept.tallies, [(key(1), tally(3))].into());
    assert_eq!(kept.verdicts, [("uid-1".to_owned(), verdict)].into());
    assert_eq!((kept.unreadable, kept.set_aside), (0, None));
}

#[test]
fn parts_keep_what_they_like_under_their_names() {
    let dir = TempDir::new().unwrap();
    {
        let (ledger, _) = open(&dir);
        let mut batch = Batch::default();
        batch.set_state("numbers", &vec![1, 2]).unwrap();
        batch.set_state("words", &"one").unwrap();
        ledger.commit(&batch).unwrap();
    }
    let (_, mut kept) = open(&dir);
    assert_eq!(kept.state::<Vec<u8>>("numbers"), [1, 2]);
    assert_eq!(kept.state::<u8>("words"), 0, "not what is expected under that name");
    assert_eq!(kept.state::<u8>("nothing"), 0);
    assert_eq!(kept.unreadable, 1);
}

#[test]
fn a_second_agent_is_refused_with_a_sentence() {
    let dir = TempDir::new().unwrap();
    let _first = open(&dir);
    let error = Ledger::open(dir.path()).unwrap_err();
    assert!(matches!(error, LedgerError::InUse { .. }));
    assert!(error.to_string().contains("another pullfuse"), "{error}");
}

#[test]
fn a_file_that_is_no_ledger_is_set_aside_and_kept() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join(FILE), b"not a database at all".repeat(500)).unwrap();
    let (ledger, kept) = open(&dir);
    let aside = kept.set_aside.expect("the damaged file is kept");
    assert!(std::fs::read(aside).unwrap().starts_with(b"not a database"));
    ledger.commit(&batch(1, Some(tally(1)))).unwrap();
}

#[test]
fn after_a_failed_write_the_file_is_opened_again() {
    let dir = TempDir::new().unwrap();
    let (ledger, _) = open(&dir);
    ledger.commit(&batch(1, Some(tally(1)))).unwrap();
    let fail = || *ledger.database.lock() = None;
    fail();
    ledger.commit(&batch(2, Some(tally(2)))).unwrap();
    assert!(!ledger.began_anew(), "nothing is missing");
    fail();
    std::fs::write(dir.path().join(FILE), b"not a database at all".repeat(500)).unwrap();
    ledger.commit(&batch(3, Some(tally(3)))).unwrap();
    assert!(ledger.began_anew() && !ledger.began_anew(), "told once");
    fail();
    std::fs::remove_file(dir.path().join(FILE)).unwrap();
    ledger.commit(&batch(4, Some(tally(4)))).unwrap();
    assert!(ledger.began_anew());
    drop(ledger);
    let (_, kept) = open(&dir);
    assert_eq!(kept.tallies, [(key(4), tally(4))].into());
}

#[test]
fn an_unreadable_record_costs_only_itself() {
    let dir = TempDir::new().unwrap();
    {
        let (ledger, _) = open(&dir);
        ledger.commit(&batch(1, Some(tally(3)))).unwrap();
        let database = ledger.database.into_inner().unwrap();
        let write = database.begin_write().unwrap();
        write.open_table(TALLIES).unwrap().insert(("uid-2", "x"), &b"{]"[..]).unwrap();
        write.commit().unwrap();
    }
    let (_, kept) = open(&dir);
    assert_eq!((kept.tallies.len(), kept.unreadable), (1, 1));
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"a file, not a folder").unwrap();
    let dir = file.path().join("state");
    let error = Ledger::open(&dir).unwrap_err().to_string();
    assert!(error.contains(dir.to_str().unwrap()) && error.contains("ledger.dir"), "{error}");
}

#[path = "upgrade_tests.rs"]
mod upgrade;
