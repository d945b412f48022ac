//! Ledgers of older and newer versions. Those in `tests/data/ledger` were written once, by the frozen
//! writer below, and must stay readable for ever.

use std::io::Read as _;

use flate2::read::GzDecoder;
use redb::{ReadableTable, WriteTransaction};

use super::*;
use crate::{
    act::VerdictStage,
    classify::Class,
    ledger::{
        open,
        upgrade::{self, STEPS, copy_of},
    },
};

/// A tally as the very first agent wrote it: every field that came later is missing.
const FIRST_TALLY: &str = r#"{"namespace":"batch","pod":"p","attempts":3,
    "first_attempt":"2026-01-01T00:00:00Z","last_attempt":"2026-01-01T00:01:00Z",
    "trouble":{"reason":"ErrImagePull","message":"not found"},"stage":"Failed",
    "image_was_present":false}"#;
const FIRST_VERDICT: &str = r#"{"key":{"pod_uid":"uid-2","image":"r/app:1"},"tally":TALLY,
    "decided_at":"2026-01-01T00:02:00Z","stage":"Written","method":"status","writes":1}"#;

/// What is written with frozen names and texts.
fn frozen(path: &Path, version: u64) {
    let database = Database::create(path).unwrap();
    let write = database.begin_write().unwrap();
    let meta = TableDefinition::<&str, u64>::new("meta");
    write.open_table(meta).unwrap().insert("version", version).unwrap();
    let tallies = TableDefinition::<(&str, &str), &[u8]>::new("tallies");
    let tally = FIRST_TALLY.as_bytes();
    write.open_table(tallies).unwrap().insert(("uid-1", "r/app:1"), tally).unwrap();
    let verdicts = TableDefinition::<&str, &[u8]>::new("verdicts");
    let verdict = FIRST_VERDICT.replace("TALLY", FIRST_TALLY);
    write.open_table(verdicts).unwrap().insert("uid-2", verdict.as_bytes()).unwrap();
    write.commit().unwrap();
}

/// A ledger of `tests/data/ledger`, where an agent looks for it.
fn fixture(name: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    let file = format!("{}/tests/data/ledger/{name}.gz", env!("CARGO_MANIFEST_DIR"));
    let mut bytes = Vec::new();
    GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_end(&mut bytes).unwrap();
    std::fs::write(dir.path().join(FILE), bytes).unwrap();
    dir
}

fn is_whole(kept: &Kept) {
    assert_eq!((kept.unreadable, &kept.set_aside), (0, &None));
    let tally = &kept.tallies[&key(1)];
    assert_eq!((tally.attempts, tally.trouble.message.as_str()), (3, "not found"));
    let verdict = &kept.verdicts["uid-2"];
    assert_eq!((verdict.stage, verdict.writes), (VerdictStage::Written, 1));
}

#[test]
fn the_ledger_of_the_first_agent_is_read_with_nothing_lost() {
    let dir = fixture("v1-first.redb");
    let (ledger, kept) = open(&dir);
    is_whole(&kept);
    assert_eq!(kept.verdicts["uid-2"].cause, None, "it did not look for causes");
    ledger.commit(&batch(2, Some(tally(9)))).unwrap();
    drop(ledger);
    assert_eq!(open(&dir).1.tallies.len(), 2);
}

#[test]
fn the_ledger_of_0_1_is_read_with_nothing_lost() {
    let (_, kept) = open(&fixture("v1-0.1.redb"));
    assert_eq!(kept.unreadable, 0);
    assert_eq!(kept.tallies, [(key(1), tally(3))].into());
    let verdict = VerdictRecord::new(key(2), tally(5), cause(), now(), Method::Status);
    assert_eq!(kept.verdicts, [("uid-2".to_owned(), verdict)].into());
}

/// `cargo test -- --ignored writes_the_fixtures`, before a change of the layout.
#[test]
#[ignore = "writes files into the tree"]
fn writes_the_fixtures() {
    let pack = |from: &Path, name: &str| {
        let to = format!("{}/tests/data/ledger/{name}.gz", env!("CARGO_MANIFEST_DIR"));
        let to = std::fs::File::create(to).unwrap();
        let mut to = flate2::write::GzEncoder::new(to, flate2::Compression::best());
        to.write_all(&std::fs::read(from).unwrap()).unwrap();
        to.finish().unwrap();
    };
    let dir = TempDir::new().unwrap();
    let file = dir.path().join(FILE);
    frozen(&file, 1);
    pack(&file, "v1-first.redb");
    std::fs::remove_file(&file).unwrap();
    let (ledger, _) = open(&dir);
    let verdict = VerdictRecord::new(key(2), tally(5), cause(), now(), Method::Status);
    let mut all = batch(1, Some(tally(3)));
    all.verdicts.insert("uid-2".into(), Some(verdict));
    ledger.commit(&all).unwrap();
    drop(ledger);
    pack(&file, "v1-0.1.redb");
}

/// Every tally has one attempt more.
fn one_more(write: &WriteTransaction) -> Result<(), redb::Error> {
    let mut tallies = write.open_table(TALLIES)?;
    let all: Vec<_> = tallies
        .iter()?
        .map(|row| row.map(|(key, _)| (key.value().0.to_owned(), key.value().1.to_owned())))
        .collect::<Result<_, _>>()?;
    for (uid, image) in all {
        let key = (uid.as_str(), image.as_str());
        let mut tally: Tally = serde_json::from_slice(tallies.get(key)?.unwrap().value()).unwrap();
        tally.attempts += 1;
        tally.causes.set_last(tally.attempts, Class::NotFound.into());
        tallies.insert(key, &*serde_json::to_vec(&tally).unwrap())?;
    }
    Ok(())
}

fn refuses(_: &WriteTransaction) -> Result<(), redb::Error> {
    Err(redb::Error::Corrupted("a step that cannot be done".into()))
}

#[test]
fn an_older_layout_is_brought_up_step_by_step_once_and_a_copy_is_left() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(FILE);
    frozen(&path, 1);
    let steps: &[upgrade::Step] = &[one_more, one_more];
    for _ in 0..2 {
        let Ok((_, kept)) = open::open(&path, steps) else { panic!("not read") };
        assert_eq!(kept.tallies[&key(1)].attempts, 5, "each step once");
    }
    let Ok((_, kept)) = open::open(&copy_of(&path, 1), STEPS) else { panic!("no copy") };
    is_whole(&kept);
}

#[test]
fn a_step_that_fails_leaves_the_ledger_as_it_was() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(FILE);
    frozen(&path, 1);
    assert!(open::open(&path, &[one_more, refuses]).is_err());
    is_whole(&open(&dir).1);
}

#[test]
fn a_newer_layout_is_refused_with_what_to_do_and_left_as_it_is() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(FILE);
    frozen(&path, 1);
    assert!(open::open(&path, &[one_more]).is_ok());
    let error = Ledger::open(dir.path()).unwrap_err();
    assert!(matches!(error, LedgerError::Newer { found: 2, .. }), "{error}");
    let copy = copy_of(&path, 1);
    let own = env!("CARGO_PKG_VERSION");
    for words in [path.to_str().unwrap(), own, "newer one again", copy.to_str().unwrap()] {
        assert!(error.to_string().contains(words), "lacks {words}: {error}");
    }
    let Ok((_, kept)) = open::open(&path, &[one_more]) else { panic!("not read") };
    assert_eq!(kept.tallies[&key(1)].attempts, 4, "it was touched");

    // What it advises works.
    std::fs::rename(&copy, &path).unwrap();
    is_whole(&open(&dir).1);
    let gone = LedgerError::Newer { path, found: 2, writer: None }.to_string();
    assert!(gone.contains("move it away, and all counts begin anew"), "{gone}");
}
