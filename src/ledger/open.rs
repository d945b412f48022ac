//! Opens the file, sees whether it is sound, and reads it.

use std::{
    io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
};

use super::{
    CHANGES, EPISODES, FILE, Kept, LedgerError, STATE, TALLIES, VERDICTS, broken, decode, storage,
    upgrade::{self, STEPS, Step},
};
use crate::{attempts::PullKey, guarded};

/// Opens the file in the folder. A damaged one is set aside, and there is a new one.
pub(super) fn open_or_set_aside(dir: &Path) -> Result<(Database, Kept), LedgerError> {
    let path = dir.join(FILE);
    let why = match open(&path, STEPS) {
        Ok(opened) => return Ok(opened),
        Err(OpenError::Damaged(why)) => why,
        Err(error) => return Err(error.fatal(&path, dir)),
    };
    let aside = free_name(dir);
    tracing::error!(file = %path.display(), set_aside = %aside.display(), error = %why,
        "the ledger is damaged: it is set aside and counting starts anew");
    std::fs::rename(&path, &aside)
        .map_err(|source| LedgerError::Folder { dir: dir.into(), source })?;
    let (database, mut kept) = open(&path, STEPS).map_err(|error| error.fatal(&path, dir))?;
    kept.set_aside = Some(aside);
    Ok((database, kept))
}

/// Two may be set aside within a second, and the clock may go back.
fn free_name(dir: &Path) -> PathBuf {
    let now = Timestamp::now().as_second();
    let mut names = (0..).map(|number| match number {
        0 => dir.join(format!("{FILE}.bad-{now}")),
        more => dir.join(format!("{FILE}.bad-{now}-{more}")),
    });
    names.find(|name| !name.exists()).unwrap_or_else(|| dir.join(format!("{FILE}.bad")))
}

pub(super) fn open(path: &Path, steps: &[Step]) -> Result<(Database, Kept), OpenError> {
    let opened = guarded::catch(|| {
        let mut database = Database::create(path)?;
        // A file that was closed well is not checked otherwise.
        let sound = database.check_integrity()?;
        let database = upgrade::keep_copy(database, path, steps)?;
        prepare(&database, steps)?;
        let kept = Kept { mended: !sound, ..read(&database)? };
        Ok((database, kept))
    });
    opened.unwrap_or_else(|panicked| Err(OpenError::Damaged(broken(panicked))))
}

fn prepare(database: &Database, steps: &[Step]) -> Result<(), OpenError> {
    let write = database.begin_write().map_err(OpenError::damaged)?;
    {
        upgrade::run(&write, steps)?;
        write.open_table(TALLIES).map_err(OpenError::damaged)?;
        write.open_table(VERDICTS).map_err(OpenError::damaged)?;
        write.open_table(EPISODES).map_err(OpenError::damaged)?;
        write.open_table(CHANGES).map_err(OpenError::damaged)?;
        write.open_table(STATE).map_err(OpenError::damaged)?;
    }
    write.commit().map_err(OpenError::damaged)
}

fn read(database: &Database) -> Result<Kept, OpenError> {
    let mut kept = Kept::default();
    let read = database.begin_read().map_err(OpenError::damaged)?;
    let mut unreadable = 0;
    rows(&read, TALLIES, |(pod_uid, image), value| match decode(value, pod_uid) {
        Some(tally) => {
            let key = PullKey { pod_uid: pod_uid.into(), image: image.into() };
            kept.tallies.insert(key, tally);
        }
        None => unreadable += 1,
    })?;
    rows(&read, VERDICTS, |uid, value| match decode(value, uid) {
        Some(record) => drop(kept.verdicts.insert(uid.into(), record)),
        None => unreadable += 1,
    })?;
    rows(&read, EPISODES, |number, value| match decode(value, "an episode") {
        Some(episode) => drop(kept.episodes.insert(number, episode)),
        None => unreadable += 1,
    })?;
    rows(&read, CHANGES, |number, value| match decode(value, "a change") {
        Some(change) => drop(kept.changes.insert(number, change)),
        None => unreadable += 1,
    })?;
    rows(&read, STATE, |name, value| drop(kept.state.insert(name.into(), value.into())))?;
    kept.unreadable = unreadable;
    Ok(kept)
}

/// Reads every row of a table.
fn rows<K: redb::Key + 'static>(
    read: &ReadTransaction,
    table: TableDefinition<'_, K, &'static [u8]>,
    mut each: impl FnMut(K::SelfType<'_>, &[u8]),
) -> Result<(), OpenError> {
    let table = read.open_table(table).map_err(OpenError::damaged)?;
    for entry in table.iter().map_err(OpenError::damaged)? {
        let (key, value) = entry.map_err(OpenError::damaged)?;
        each(key.value(), value.value());
    }
    Ok(())
}

/// Why opening stopped, before it is known what that means for the caller.
pub(super) enum OpenError {
    InUse,
    Newer {
        found: u64,
        writer: Option<String>,
    },
    Io(io::Error),
    Damaged(LedgerError),
    /// The file is sound, so it is kept where it is.
    Upgrade(redb::Error),
}

impl OpenError {
    pub(super) fn damaged(error: impl Into<redb::Error>) -> Self {
        match error.into() {
            redb::Error::Io(error) if !of_damage(&error) => Self::Io(error),
            error => Self::Damaged(storage(error)),
        }
    }

    fn fatal(self, path: &Path, dir: &Path) -> LedgerError {
        match self {
            Self::InUse => LedgerError::InUse { path: path.into() },
            Self::Newer { found, writer } => {
                LedgerError::Newer { path: path.into(), found, writer }
            }
            Self::Io(source) => LedgerError::Folder { dir: dir.into(), source },
            Self::Damaged(error) => error,
            Self::Upgrade(error) => storage(error),
        }
    }
}

/// Whether this is said of what was read, and not by the disk.
fn of_damage(error: &io::Error) -> bool {
    use io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof
    )
}

impl From<DatabaseError> for OpenError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen => Self::InUse,
            DatabaseError::Storage(redb::StorageError::Io(error)) if !of_damage(&error) => {
                Self::Io(error)
            }
            error => Self::Damaged(storage(error)),
        }
    }
}
