//! The store in a directory of its own: a redb database beside the files of the secrets.
//!
//! `DIR/lock` keeps a second process out, `DIR/gateway.redb` holds the revisions, `DIR/secrets/` what
//! they name. The database is made under another name and renamed when it is whole, since redb takes
//! a half-initialised file for a foreign one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gateway_core::snapshot::Revision;
use redb::{
    Builder, Database, Durability, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    StorageError, TableDefinition,
};
use serde::{Deserialize, Serialize};

use super::secrets::SecretDirectory;
use super::{Draft, HistoryEntry, SecretId, Store, StoreError, StoredRevision, sync_directory};

/// So many revisions are kept; the oldest goes first.
pub(crate) const MAX_REVISIONS: u64 = 1000;

/// The history's documents take no more than this together, in bytes; the latest is always kept.
const MAX_HISTORY_BYTES: u64 = 64 << 20;

/// What this version writes.
const FORMAT: u64 = 1;

/// redb's own default is 1 GiB, which a configuration never needs.
const CACHE_BYTES: usize = 8 << 20;

const REVISIONS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("revisions");
const FACTS: TableDefinition<'_, &str, u64> = TableDefinition::new("facts");
const FACT_FORMAT: &str = "format";
const FACT_HISTORY_BYTES: &str = "history-bytes";

/// One revision as the database holds it, in JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    committed_at_ms: u64,
    secrets: Vec<String>,
    document: String,
}

/// Revisions in a directory. Cloning shares the open database; each call blocks a thread of the
/// runtime's blocking pool, never a worker.
#[derive(Clone)]
pub(crate) struct EmbeddedStore(Arc<Open>);

struct Open {
    database: Mutex<Slot>,
    path: PathBuf,
    secrets: SecretDirectory,
    /// Unlocked when it is closed, by us or by the kernel.
    _lock: File,
}

/// The database, as far as it can be used.
struct Slot {
    /// `None` after it failed: redb refuses everything after a full disk until it is opened anew.
    database: Option<Database>,
    /// The last commit failed, and may have reached the disk all the same. Nobody was told so.
    in_doubt: bool,
}

impl Slot {
    /// Lets `work` use the database of `path`; one that fails is closed, and opened by the next.
    fn with<T>(
        &mut self,
        path: &Path,
        work: impl FnOnce(&Database) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => open_database(path)?,
        };
        let outcome = work(&database);
        if !matches!(outcome, Err(Failure::Database(_))) {
            self.database = Some(database);
        }
        outcome.map_err(|failure| explain(path, failure))
    }
}

impl EmbeddedStore {
    /// Opens the store in `directory`, and makes one where there is none. Blocks.
    pub(crate) fn open(directory: &Path) -> Result<Self, StoreError> {
        create_directory(directory)?;
        let lock = lock(directory)?;
        let secrets = SecretDirectory::open(directory.join("secrets"))?;
        let path = directory.join("gateway.redb");
        let database = match fs::metadata(&path) {
            Ok(_) => open_database(&path)?,
            Err(error) if error.kind() == ErrorKind::NotFound => create_database(&path)?,
            Err(error) => return Err(StoreError::io("open", &path)(error)),
        };
        sync_directory(directory)?;
        let open = Open {
            database: Mutex::new(Slot {
                database: Some(database),
                in_doubt: false,
            }),
            path,
            secrets,
            _lock: lock,
        };
        open.check_format()?;
        open.sweep_secrets()?;
        Ok(Self(Arc::new(open)))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Open) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let open = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&open))
            .await
            .map_err(|_| StoreError::Panicked)?
    }
}

impl Store for EmbeddedStore {
    async fn commit(&self, expected: Revision, draft: Draft) -> Result<Revision, StoreError> {
        self.blocking(move |open| open.commit(expected, &draft, SystemTime::now()))
            .await
    }

    async fn read(&self, revision: Option<Revision>) -> Result<Option<StoredRevision>, StoreError> {
        self.blocking(move |open| open.read(revision)).await
    }

    async fn history(&self) -> Result<Vec<HistoryEntry>, StoreError> {
        self.blocking(Open::history).await
    }
}

impl Open {
    fn commit(
        &self,
        expected: Revision,
        draft: &Draft,
        now: SystemTime,
    ) -> Result<Revision, StoreError> {
        self.secrets.put(&draft.secrets)?;
        let record = self.encode(&Record {
            committed_at_ms: milliseconds(now),
            secrets: draft.secrets.keys().map(SecretId::to_string).collect(),
            document: draft.document.clone(),
        })?;
        let revision = Revision(expected.0 + 1);
        let trimmed = self.insert(expected, revision, &record)?;
        // The revision is committed: a sweep that fails now must not say otherwise.
        if trimmed && let Err(error) = self.sweep_secrets() {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "secrets are not swept"
            );
        }
        Ok(revision)
    }

    /// Returns whether older revisions had to go.
    fn insert(
        &self,
        expected: Revision,
        revision: Revision,
        record: &[u8],
    ) -> Result<bool, StoreError> {
        let mut slot = self.slot();
        let in_doubt = slot.in_doubt;
        let inserted = slot.with(&self.path, |database| {
            insert(database, expected, revision, record, in_doubt)
        });
        slot.in_doubt = match &inserted {
            Ok(_) => false,
            Err(StoreError::Conflict { .. }) => in_doubt,
            Err(_) => true,
        };
        inserted
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        // A panic while it was held has taken the database out of it, or has not touched it.
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_database<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.slot().with(&self.path, work)
    }

    fn read(&self, revision: Option<Revision>) -> Result<Option<StoredRevision>, StoreError> {
        let found = self.with_database(|database| record(database, revision))?;
        let Some((revision, bytes)) = found else {
            return Ok(None);
        };
        let record = self.decode(&bytes)?;
        let mut secrets = BTreeMap::new();
        for id in self.secret_ids(&record)? {
            let secret = self.secrets.read(&id)?;
            secrets.insert(id, secret);
        }
        Ok(Some(StoredRevision {
            revision,
            document: record.document,
            secrets,
        }))
    }

    fn history(&self) -> Result<Vec<HistoryEntry>, StoreError> {
        let entry = |revision, record: Record| HistoryEntry {
            revision,
            committed_at: UNIX_EPOCH + Duration::from_millis(record.committed_at_ms),
        };
        let records = self.records()?;
        Ok(records
            .into_iter()
            .map(|(at, record)| entry(at, record))
            .collect())
    }

    fn records(&self) -> Result<Vec<(Revision, Record)>, StoreError> {
        let rows = self.with_database(|database| {
            let revisions = database.begin_read()?.open_table(REVISIONS)?;
            let mut all = Vec::new();
            for entry in revisions.iter()? {
                let (key, value) = entry?;
                all.push((Revision(key.value()), value.value().to_vec()));
            }
            Ok(all)
        })?;
        rows.into_iter()
            .map(|(revision, bytes)| Ok((revision, self.decode(&bytes)?)))
            .collect()
    }

    /// Removes the secrets that no revision of the history names.
    fn sweep_secrets(&self) -> Result<(), StoreError> {
        let mut named = BTreeSet::new();
        for (_, record) in self.records()? {
            named.extend(self.secret_ids(&record)?);
        }
        self.secrets.sweep(&named)
    }

    fn check_format(&self) -> Result<(), StoreError> {
        let found = self.with_database(|database| {
            let facts = database.begin_read()?.open_table(FACTS)?;
            Ok(facts.get(FACT_FORMAT)?.map(|found| found.value()))
        })?;
        match found {
            Some(FORMAT) => Ok(()),
            Some(found) => Err(StoreError::Format {
                path: self.path.clone(),
                found,
                known: FORMAT,
            }),
            None => Err(self.corrupt("it does not say its format")),
        }
    }

    fn encode(&self, record: &Record) -> Result<Vec<u8>, StoreError> {
        serde_json::to_vec(record).map_err(|error| self.corrupt(&error.to_string()))
    }

    fn decode(&self, bytes: &[u8]) -> Result<Record, StoreError> {
        serde_json::from_slice(bytes).map_err(|error| self.corrupt(&error.to_string()))
    }

    fn secret_ids(&self, record: &Record) -> Result<Vec<SecretId>, StoreError> {
        let parse = |text: &String| {
            SecretId::parse(text).ok_or_else(|| self.corrupt("a secret's id is not one"))
        };
        record.secrets.iter().map(parse).collect()
    }

    fn corrupt(&self, reason: &str) -> StoreError {
        StoreError::Corrupt {
            path: self.path.clone(),
            reason: reason.to_owned(),
        }
    }
}

/// Puts `record` after revision `expected`; returns whether older revisions had to go. Where the
/// last commit is `in_doubt`, what it left behind goes first.
fn insert(
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

/// One revision, or the latest.
fn record(
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

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn create_directory(directory: &Path) -> Result<(), StoreError> {
    if directory.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(StoreError::io("create", directory))?;
    match directory.parent() {
        Some(parent) if parent.as_os_str().is_empty() => sync_directory(Path::new(".")),
        Some(parent) => sync_directory(parent),
        None => Ok(()),
    }
}

fn lock(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(StoreError::io("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked {
            directory: directory.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(StoreError::io("lock", &path)(error)),
    }
}

fn open_database(path: &Path) -> Result<Database, StoreError> {
    Builder::new()
        .set_cache_size(CACHE_BYTES)
        .set_check_integrity_on_open(true)
        .open(path)
        .map_err(|error| explain(path, error.into()))
}

/// Makes a database that holds nothing but its format.
fn create_database(path: &Path) -> Result<Database, StoreError> {
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

/// What a transaction may end with; redb has an error type for each step.
enum Failure {
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

fn explain(path: &Path, failure: Failure) -> StoreError {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failed_commit_left_behind_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let EmbeddedStore(open) = EmbeddedStore::open(directory.path()).unwrap();
        let draft = |document: &str| Draft {
            document: document.to_owned(),
            secrets: BTreeMap::new(),
        };
        let commit = |after, document| {
            let committed = open.commit(Revision(after), &draft(document), UNIX_EPOCH);
            committed.map(|revision| revision.0)
        };
        assert_eq!(commit(0, "one").unwrap(), 1);
        assert_eq!(commit(1, "reached the disk, and failed").unwrap(), 2);
        *open.slot() = Slot {
            database: None,
            in_doubt: true,
        };

        assert_eq!(commit(1, "two").unwrap(), 2);
        assert_eq!(open.read(None).unwrap().unwrap().document, "two");
        let conflict = commit(1, "three").unwrap_err();
        assert!(
            matches!(conflict, StoreError::Conflict { .. }),
            "{conflict}"
        );
    }
}
