//! From the layout that an older pullfuse wrote to today's: all of it in one transaction, or nothing.

use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, ReadableTable, TableError, WriteTransaction};

use super::{META, STATE, open::OpenError};

/// Changes the records of one version into those of the next.
pub(super) type Step = fn(&WriteTransaction) -> Result<(), redb::Error>;

/// The first leads from version 1 to 2. A new layout is a new step at the end, and a fixture of the
/// version before in `tests/data/ledger`.
pub(super) const STEPS: &[Step] = &[];

/// Where the last pullfuse that opened the ledger left its version, for who finds a newer layout.
const WRITER: &str = "pullfuse";

/// The version that these steps lead to.
pub(super) const fn newest(steps: &[Step]) -> u64 {
    steps.len() as u64 + 1
}

/// If the database's layout is older, leaves a copy beside it, for who goes back.
pub(super) fn keep_copy(
    database: Database,
    path: &Path,
    steps: &[Step],
) -> Result<Database, OpenError> {
    match version(&database)? {
        Some(found) if found < newest(steps) => {
            drop(database);
            std::fs::copy(path, copy_of(path, found)).map_err(OpenError::Io)?;
            Ok(Database::create(path)?)
        }
        _ => Ok(database),
    }
}

/// The file as it was when its layout had this version.
pub(super) fn copy_of(path: &Path, version: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".v{version}"));
    name.into()
}

/// Brings the layout up to date and notes who did.
pub(super) fn run(write: &WriteTransaction, steps: &[Step]) -> Result<(), OpenError> {
    let newest = newest(steps);
    let mut meta = write.open_table(META).map_err(OpenError::damaged)?;
    let found = meta.get("version").map_err(OpenError::damaged)?.map_or(newest, |v| v.value());
    if found > newest {
        return Err(OpenError::Newer { found, writer: writer(write) });
    }
    meta.insert("version", newest).map_err(OpenError::damaged)?;
    drop(meta);
    let done = usize::try_from(found.saturating_sub(1)).unwrap_or(usize::MAX);
    for step in steps.iter().skip(done) {
        step(write).map_err(OpenError::Upgrade)?;
    }
    let mut state = write.open_table(STATE).map_err(OpenError::damaged)?;
    let own = format!("\"{}\"", env!("CARGO_PKG_VERSION"));
    state.insert(WRITER, own.as_bytes()).map_err(OpenError::damaged)?;
    if found < newest {
        tracing::info!(from = found, to = newest, "the ledger has a new layout");
    }
    Ok(())
}

/// Who wrote the ledger, as far as a layout that is not known tells.
fn writer(write: &WriteTransaction) -> Option<String> {
    let state = write.open_table(STATE).ok()?;
    let bytes = state.get(WRITER).ok()??;
    serde_json::from_slice(bytes.value()).ok()
}

/// `None`: a file that was just made.
fn version(database: &Database) -> Result<Option<u64>, OpenError> {
    let read = database.begin_read().map_err(OpenError::damaged)?;
    let meta = match read.open_table(META) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        opened => opened.map_err(OpenError::damaged)?,
    };
    let found = meta.get("version").map_err(OpenError::damaged)?;
    Ok(found.map(|version| version.value()))
}

/// What an operator who went back to an older pullfuse reads.
pub(super) fn newer(path: &Path, found: u64, writer: Option<&str>) -> String {
    let known = newest(STEPS);
    let writer = writer.map_or_else(String::new, |version| format!(" of pullfuse {version}"));
    let copy = copy_of(path, known);
    let back = if matches!(copy.try_exists(), Ok(true)) {
        format!("move {} over it, which is the ledger from before the update", copy.display())
    } else {
        "move it away, and all counts begin anew".into()
    };
    format!(
        "the ledger {} has the layout {found}{writer}; this is pullfuse {}, which knows layouts up to \
         {known}: run the newer one again, or {back}",
        path.display(),
        env!("CARGO_PKG_VERSION"),
    )
}
