//! What survives a restart, in one embedded database file.
//!
//! In: a [`Batch`] of tallies, verdicts, episodes, changes and what parts of the agent remember. Out: what was
//! [`Kept`]. Touches one file in `ledger.dir`: one process has it, a second one is refused. A record
//! that cannot be read is skipped and counted, a damaged file is set aside. An older layout is brought
//! up to date, a newer one refused.
//!
//! The database checks its checksums only when asked, and may panic on what it then meets. So every
//! byte is checked when the file is opened, a panic is taken for damage, and after a failed write the
//! file is opened anew.

mod open;
mod upgrade;

use std::{
    borrow::Borrow,
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use redb::{Database, Table, TableDefinition};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

use self::open::open_or_set_aside;
use crate::{
    act::VerdictRecord,
    attempts::{PullKey, Tally},
    faultpoint::{Point, reached},
    guarded,
    history::Episode,
    journal::Change,
    pods::PodUid,
};

const FILE: &str = "ledger.redb";
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// Pod UID and image → tally.
const TALLIES: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("tallies");
/// Pod UID → verdict.
const VERDICTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("verdicts");
/// Number → episode that ended.
const EPISODES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("episodes");
/// Number → change.
const CHANGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("changes");
/// What else a part of the agent keeps, under a name of its own.
const STATE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("state");

/// Why the ledger cannot be used.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The folder or file cannot be used at all.
    #[error(
        "cannot use the ledger folder {dir}: {source}; check that it exists on the node, is \
             writable and has space, or set `ledger.dir`"
    )]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("the ledger {path} is in use: another pullfuse runs on this node; stop one of them")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Written by a newer pullfuse.
    #[error("{}", upgrade::newer(path, *found, writer.as_deref()))]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: u64,
        /// The version of the pullfuse that wrote it.
        writer: Option<String>,
    },
    /// A read or write failed.
    #[error("the ledger could not be read or written: {0}; check the node's disk")]
    Storage(Box<redb::Error>),
}

/// Every way the database can fail is told apart only when the file is opened.
fn storage(error: impl Into<redb::Error>) -> LedgerError {
    LedgerError::Storage(Box::new(error.into()))
}

/// The database panicked.
fn broken(panicked: guarded::Panicked) -> LedgerError {
    storage(redb::Error::Io(io::Error::other(panicked)))
}

/// What was kept from before.
#[derive(Debug, Default)]
pub struct Kept {
    /// Tallies by key.
    pub tallies: BTreeMap<PullKey, Tally>,
    /// Verdicts by pod.
    pub verdicts: BTreeMap<PodUid, VerdictRecord>,
    /// Episodes that ended, by number.
    pub episodes: BTreeMap<u64, Episode>,
    /// What changed lately, by number.
    pub changes: BTreeMap<u64, Change>,
    /// What else was kept, by name.
    pub state: BTreeMap<String, Vec<u8>>,
    /// Records that could not be read and were skipped.
    pub unreadable: usize,
    /// Where a damaged file went.
    pub set_aside: Option<PathBuf>,
    /// Whether a part of the file was damaged, so that what was stored last may be missing.
    pub mended: bool,
}

/// Records to store (`Some`) or to delete (`None`), all or none of them.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Tallies by key.
    pub tallies: BTreeMap<PullKey, Option<Tally>>,
    /// Verdicts by pod.
    pub verdicts: BTreeMap<PodUid, Option<VerdictRecord>>,
    /// Episodes by number.
    pub episodes: BTreeMap<u64, Option<Episode>>,
    /// What changed, by number.
    pub changes: BTreeMap<u64, Option<Change>>,
    /// See [`Batch::set_state`].
    state: BTreeMap<&'static str, Vec<u8>>,
}

impl Kept {
    /// What a part of the agent kept under this name; its default if there is nothing, or nothing
    /// that can be read.
    pub fn state<T: Default + DeserializeOwned>(&mut self, name: &'static str) -> T {
        let Some(bytes) = self.state.remove(name) else { return T::default() };
        let kept = decode(&bytes, name);
        self.unreadable += usize::from(kept.is_none());
        kept.unwrap_or_default()
    }
}

impl Batch {
    /// Keeps something under a name of its own.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn set_state(
        &mut self,
        name: &'static str,
        state: &impl Serialize,
    ) -> Result<(), LedgerError> {
        self.state.insert(name, encode(state)?);
        Ok(())
    }

    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        let Self { tallies, verdicts, episodes, changes, state } = self;
        tallies.is_empty()
            && verdicts.is_empty()
            && episodes.is_empty()
            && changes.is_empty()
            && state.is_empty()
    }
}

/// The open ledger.
#[derive(Debug)]
pub struct Ledger {
    dir: PathBuf,
    /// `None` after a failed write: the database then takes no other before it is opened again.
    database: Mutex<Option<Database>>,
    /// Whether nobody was told yet that a new file took the place of the one that was opened.
    anew: AtomicBool,
}

impl Ledger {
    /// Opens or creates the ledger in `dir` and reads what it holds.
    ///
    /// # Errors
    /// When the folder is unusable, another process has it open, or its version is newer.
    pub fn open(dir: &Path) -> Result<(Self, Kept), LedgerError> {
        let folder = |source| LedgerError::Folder { dir: dir.into(), source };
        std::fs::create_dir_all(dir).map_err(folder)?;
        let (database, kept) = open_or_set_aside(dir)?;
        let (dir, database) = (dir.to_owned(), Mutex::new(Some(database)));
        Ok((Self { dir, database, anew: AtomicBool::new(false) }, kept))
    }

    /// Whether the file went, or was found damaged, while the agent ran: there is a new one, which
    /// holds nothing from before. Told once.
    pub fn began_anew(&self) -> bool {
        self.anew.swap(false, Ordering::Relaxed)
    }

    /// Stores a batch durably.
    ///
    /// # Errors
    /// When the disk refuses, or the file turns out to be damaged; nothing of the batch is stored
    /// then.
    pub fn commit(&self, batch: &Batch) -> Result<(), LedgerError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut open = self.database.lock();
        let database = match open.take() {
            Some(database) => database,
            None => {
                let there = self.dir.join(FILE).exists();
                let (database, kept) = open_or_set_aside(&self.dir)?;
                if !there || kept.set_aside.is_some() {
                    self.anew.store(true, Ordering::Relaxed);
                }
                database
            }
        };
        reached(Point::BeforeCommit);
        let written = guarded::catch(move || write(&database, batch).map(|()| database));
        // After a failure it is not used again.
        *open = Some(written.map_err(broken)??);
        reached(Point::AfterCommit);
        Ok(())
    }

    /// [`Ledger::commit`] on a thread of its own: a slow disk must not hold up the agent.
    ///
    /// # Errors
    /// As [`Ledger::commit`].
    pub async fn commit_off_thread(self: Arc<Self>, batch: Batch) -> Result<(), LedgerError> {
        let commit = tokio::task::spawn_blocking(move || self.commit(&batch));
        commit.await.unwrap_or_else(|error| Err(storage(redb::Error::Io(error.into()))))
    }
}

fn write(database: &Database, batch: &Batch) -> Result<(), LedgerError> {
    let write = database.begin_write().map_err(storage)?;
    {
        let mut table = write.open_table(TALLIES).map_err(storage)?;
        for (key, tally) in &batch.tallies {
            put(&mut table, (key.pod_uid.as_str(), key.image.as_str()), tally.as_ref())?;
        }
        let mut table = write.open_table(VERDICTS).map_err(storage)?;
        for (uid, verdict) in &batch.verdicts {
            put(&mut table, uid.as_str(), verdict.as_ref())?;
        }
        let mut table = write.open_table(EPISODES).map_err(storage)?;
        for (number, episode) in &batch.episodes {
            put(&mut table, number, episode.as_ref())?;
        }
        let mut table = write.open_table(CHANGES).map_err(storage)?;
        for (number, change) in &batch.changes {
            put(&mut table, number, change.as_ref())?;
        }
        let mut table = write.open_table(STATE).map_err(storage)?;
        for (name, state) in &batch.state {
            table.insert(*name, state.as_slice()).map_err(storage)?;
        }
    }
    write.commit().map_err(storage)
}

/// Stores a record, or deletes it.
fn put<'k, K: redb::Key + 'static>(
    table: &mut Table<'_, K, &'static [u8]>,
    key: impl Borrow<K::SelfType<'k>>,
    record: Option<&impl Serialize>,
) -> Result<(), LedgerError> {
    match record {
        Some(record) => drop(table.insert(key, &*encode(record)?).map_err(storage)?),
        None => drop(table.remove(key).map_err(storage)?),
    }
    Ok(())
}

fn encode(record: &impl Serialize) -> Result<Vec<u8>, LedgerError> {
    serde_json::to_vec(record).map_err(|error| storage(redb::Error::Io(error.into())))
}

fn decode<T: DeserializeOwned>(bytes: &[u8], of: &str) -> Option<T> {
    serde_json::from_slice(bytes)
        .inspect_err(|error| tracing::warn!(of, %error, "a ledger record is unreadable: skipped"))
        .ok()
}

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod tests;
