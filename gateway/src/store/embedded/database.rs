//! The database file: its tables, and what is done in one transaction.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use gateway_core::snapshot::Revision;
use redb::{
    Builder, Database, Durability, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    StorageError, TableDefinition,
};

use super::StoreError;

/// So many revisions are kept; the oldest goes first.
pub(in crate::store) const MAX_REVISIONS: u64 = 1000;

/// The history's documents take no more than this together, in bytes; the latest is always kept.
const MAX_HISTORY_BYTES: u64 = 64 << 20;

/// What this version writes.
pub(super) const FORMAT: u64 = 1;

/// redb's own default is 1 GiB, which a configuration never needs.
const CACHE_BYTES: usize = 8 << 20;

const REVISIONS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("revisions");
const FACTS: TableDefinition<'_, &str, u64> = TableDefinition::new("facts");
const FACT_FORMAT: &str = "format";
const FACT_HISTORY_BYTES: &str = "history-bytes";

pub(super) fn open(path: &Path) -> Result<Database, StoreError> {
    Builder::new()
        .set_cache_size(CACHE_BYTES)
        .set_check_integrity_on_open(true)
        .open(path)
        .map_err(|error| explain(path, error.into()))
}

/// Makes a database that holds nothing but its format.
pub(super) fn create(path: &Path) -> Result<Database, StoreError> {
    let unfinished = path.with_extension("redb.new");
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(StoreError::io("create", &unfinished))?;
    let initialise = || -> Result<Database, Failure> {
        let database = Builder::new()
            .set_cache_size(CACHE_BYTES)
            .create(&unfinished)?;
        let mut write = database.begin_write()?;
        write.set_durability(Durability::Immediate)?;
        write.open_table(REVISIONS)?;
        write.open_table(FACTS)?.insert(FACT_FORMAT, FORMAT)?;
        write.commit()?;
        Ok(database)
    };
    let database = initialise().map_err(|failure| explain(&unfinished, failure))?;
    fs::rename(&unfinished, path).map_err(StoreError::io("rename", &unfinished))?;
    Ok(database)
}

/// What the database says that it was written in.
pub(super) fn format(database: &Database) -> Result<Option<u64>, Failure> {
    let facts = database.begin_read()?.open_table(FACTS)?;
    Ok(facts.get(FACT_FORMAT)?.map(|found| found.value()))
}

/// Puts `record` after revision `expected`; returns whether older revisions had to go. Where the
/// last commit is `in_doubt`, what it left behind goes first.
pub(super) fn insert(
    database: &Database,
    expected: Revision,
    revision: Revision,
    record: &[u8],
    in_doubt: bool,
) -> Result<bool, Failure> {
    let mut write = database.begin_write()?;
    write.set_durability(Durability::Immediate)?;
    let trimmed;
    {
        let mut revisions = write.open_table(REVISIONS)?;
        let mut facts = write.open_table(FACTS)?;
        let mut before = facts.get(FACT_HISTORY_BYTES)?.map_or(0, |v| v.value());
        if in_doubt && let Some(left) = revisions.remove(revision.0)? {
            before = before.saturating_sub(left.value().len() as u64);
        }
        let actual = Revision(revisions.last()?.map_or(0, |(key, _)| key.value()));
        if actual != expected {
            return Err(Failure::Conflict { expected, actual });
        }
        revisions.insert(revision.0, record)?;
        let after = trim(&mut revisions, before + record.len() as u64)?;
        trimmed = after < before + record.len() as u64;
        facts.insert(FACT_HISTORY_BYTES, after)?;
    }
    write.commit()?;
    Ok(trimmed)
}

/// Removes the oldest revisions until the history is within its bounds; returns its bytes.
fn trim(revisions: &mut redb::Table<'_, u64, &[u8]>, mut bytes: u64) -> Result<u64, StorageError> {
    let mut count = revisions.len()?;
    while count > 1 && (count > MAX_REVISIONS || bytes > MAX_HISTORY_BYTES) {
        if let Some((_, oldest)) = revisions.pop_first()? {
            bytes = bytes.saturating_sub(oldest.value().len() as u64);
        }
        count -= 1;
    }
    Ok(bytes)
}

/// One revision, or the latest.
pub(super) fn record(
    database: &Database,
    revision: Option<Revision>,
) -> Result<Option<(Revision, Vec<u8>)>, Failure> {
    let revisions = database.begin_read()?.open_table(REVISIONS)?;
    Ok(match revision {
        Some(revision) => revisions
            .get(revision.0)?
            .map(|value| (revision, value.value().to_vec())),
        None => revisions
            .last()?
            .map(|(key, value)| (Revision(key.value()), value.value().to_vec())),
    })
}

/// All revisions, the oldest first.
pub(super) fn records(database: &Database) -> Result<Vec<(Revision, Vec<u8>)>, Failure> {
    let revisions = database.begin_read()?.open_table(REVISIONS)?;
    let mut all = Vec::new();
    for entry in revisions.iter()? {
        let (key, value) = entry?;
        all.push((Revision(key.value()), value.value().to_vec()));
    }
    Ok(all)
}

/// What a transaction may end with; redb has an error type for each step.
pub(super) enum Failure {
    Conflict {
        expected: Revision,
        actual: Revision,
    },
    Database(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Database(error.into())
    }
}

pub(super) fn explain(path: &Path, failure: Failure) -> StoreError {
    let corrupt = |reason: String| StoreError::Corrupt {
        path: path.to_owned(),
        reason,
    };
    match failure {
        Failure::Conflict { expected, actual } => StoreError::Conflict { expected, actual },
        Failure::Database(redb::Error::Corrupted(reason)) => corrupt(reason),
        Failure::Database(redb::Error::Io(error))
            if matches!(
                error.kind(),
                ErrorKind::InvalidData | ErrorKind::UnexpectedEof
            ) =>
        {
            corrupt(error.to_string())
        }
        Failure::Database(redb::Error::Io(error)) => StoreError::io("use", path)(error),
        Failure::Database(
            error @ (redb::Error::TableDoesNotExist(_) | redb::Error::TableTypeMismatch { .. }),
        ) => corrupt(error.to_string()),
        Failure::Database(error) => StoreError::Database(Box::new(error)),
    }
}
