//! Any damage to the file: what is read is what was stored once, or the file is set aside. Few
//! rounds by default; `PULLFUSE_FUZZ_ROUNDS=5000 cargo test --lib ledger::damage` runs long.

use std::sync::LazyLock;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::fixtures::tally;

const COMMITS: u32 = 60;
/// What disks write at once.
const BLOCK: usize = 4096;

/// Something that happened to the bytes, at so many thousandths of the file.
#[derive(Debug, Clone)]
enum Damage {
    Cut(usize),
    Bytes(Vec<(usize, u8)>),
    /// In the first block, where the database keeps what the rest depends on.
    Header(usize, u8),
    Block(usize, u8),
    /// Many at once, the header spared.
    Blocks(Vec<usize>, u8),
    /// One block stands where another belongs.
    Moved(usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = || 0..1000usize;
    prop_oneof![
        at().prop_map(Damage::Cut),
        prop::collection::vec((at(), any::<u8>()), 1..8).prop_map(Damage::Bytes),
        (0..BLOCK, 1..=u8::MAX).prop_map(|(at, mask)| Damage::Header(at, mask)),
        (at(), any::<u8>()).prop_map(|(at, seed)| Damage::Block(at, seed)),
        (prop::collection::vec(at(), 1..20), any::<u8>())
            .prop_map(|(at, seed)| Damage::Blocks(at, seed)),
        (at(), at()).prop_map(|(from, to)| Damage::Moved(from, to)),
    ]
}

impl Damage {
    fn done_to(&self, bytes: &mut Vec<u8>) {
        let place = |at: &usize| bytes.len() * at / 1000;
        let noise = |seed: u8| (0..BLOCK).map(move |n| ((n * 7919) >> 3) as u8 ^ seed);
        let block = |at: &usize| place(at) / BLOCK * BLOCK;
        match self {
            Self::Cut(at) => bytes.truncate(place(at)),
            Self::Bytes(changes) => {
                let changes = changes.iter().map(|(at, byte)| (place(at), *byte));
                for (at, byte) in changes.collect::<Vec<_>>() {
                    bytes[at] = byte;
                }
            }
            Self::Header(at, mask) => bytes[*at] ^= mask,
            Self::Block(at, seed) => {
                let at = block(at);
                bytes.splice(at..at + BLOCK, noise(*seed));
            }
            Self::Blocks(all, seed) => {
                for at in all.iter().map(block).filter(|at| *at > 0).collect::<Vec<_>>() {
                    bytes.splice(at..at + BLOCK, noise(*seed));
                }
            }
            Self::Moved(from, to) => {
                let (from, to) = (block(from), block(to));
                let moved = bytes[from..from + BLOCK].to_vec();
                bytes.splice(to..to + BLOCK, moved);
            }
        }
    }
}

fn key(n: u32) -> PullKey {
    PullKey { pod_uid: format!("uid-{n}"), image: "r/app:1".into() }
}

fn batch(n: u32, tally: Option<Tally>) -> Batch {
    Batch { tallies: [(key(n), tally)].into(), ..Batch::default() }
}

/// Every third record is deleted again by the commit after.
fn commit(ledger: &Ledger, n: u32) {
    let mut batch = batch(n, Some(tally(n)));
    if n % 3 == 1 {
        batch.tallies.insert(key(n - 1), None);
    }
    ledger.commit(&batch).unwrap();
}

/// What is in the ledger after so many commits.
fn after(commits: u32) -> BTreeMap<PullKey, Tally> {
    let kept = (0..commits).filter(|n| n % 3 != 0 || n + 1 == commits);
    kept.map(|n| (key(n), tally(n))).collect()
}

/// A file that was closed, and one whose agent was killed.
static FILES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let dir = folder();
    let path = dir.path().join(FILE);
    let (ledger, _) = Ledger::open(dir.path()).unwrap();
    (0..COMMITS).for_each(|n| commit(&ledger, n));
    let killed = std::fs::read(&path).unwrap();
    drop(ledger);
    [std::fs::read(&path).unwrap(), killed]
});

/// In memory: each write is synced.
fn folder() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

fn rounds() -> ProptestConfig {
    let rounds =
        std::env::var("PULLFUSE_FUZZ_ROUNDS").map_or(100, |rounds| rounds.parse().unwrap());
    ProptestConfig::with_cases(rounds)
}

#[test]
fn what_is_not_damaged_is_read_as_it_was_stored() {
    for bytes in &*FILES {
        let dir = folder();
        std::fs::write(dir.path().join(FILE), bytes).unwrap();
        let (_, kept) = Ledger::open(dir.path()).unwrap();
        assert_eq!(kept.tallies, after(COMMITS));
        assert!(kept.set_aside.is_none() && !kept.mended && kept.unreadable == 0, "{kept:?}");
    }
}

proptest! {
    #![proptest_config(rounds())]

    #[test]
    fn a_damaged_file_gives_what_was_stored_once_or_is_set_aside(
        killed in any::<bool>(), damage in damage(),
    ) {
        let mut bytes = FILES[usize::from(killed)].clone();
        damage.done_to(&mut bytes);
        let dir = folder();
        std::fs::write(dir.path().join(FILE), &bytes).unwrap();
        let (ledger, kept) = Ledger::open(dir.path()).unwrap();
        prop_assert_eq!(kept.unreadable, 0);
        if let Some(aside) = &kept.set_aside {
            prop_assert!(kept.tallies.is_empty());
            prop_assert!(aside.exists());
        } else if !bytes.is_empty() {
            let stored = (0..=COMMITS).rev().find(|commits| kept.tallies == after(*commits));
            prop_assert!(stored.is_some(), "never stored: {:?}", kept.tallies);
            prop_assert!(kept.mended || killed || stored == Some(COMMITS), "missing, and not said");
        }
        // It can be used, now or after it was found to be damaged.
        let new = batch(COMMITS, Some(tally(7)));
        if ledger.commit(&new).is_err() {
            ledger.commit(&new).unwrap();
        }
        let none = (0..COMMITS).map(|n| (key(n), None)).collect();
        ledger.commit(&Batch { tallies: none, ..Batch::default() }).unwrap();
        drop(ledger);
        let (_, kept) = Ledger::open(dir.path()).unwrap();
        prop_assert_eq!(kept.tallies, BTreeMap::from([(key(COMMITS), tally(7))]));
    }
}
