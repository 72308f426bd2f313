//! The store in a directory of its own: a redb database beside the files of the secrets.
//!
//! `DIR/lock` keeps a second process out, `DIR/gateway.redb` holds the revisions, `DIR/secrets/` what
//! they name. The database is made under another name and renamed when it is whole, since redb takes
//! a half-initialised file for a foreign one.

mod database;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gateway_core::snapshot::Revision;
use redb::Database;
use serde::{Deserialize, Serialize};

#[cfg(test)]
pub(super) use database::MAX_REVISIONS;
use database::{FORMAT, Failure, explain};

use super::secrets::SecretDirectory;
use super::{Draft, HistoryEntry, SecretId, Store, StoreError, StoredRevision, sync_directory};

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
            None => database::open(path)?,
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
            Ok(_) => database::open(&path)?,
            Err(error) if error.kind() == ErrorKind::NotFound => database::create(&path)?,
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
            database::insert(database, expected, revision, record, in_doubt)
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
        let found = self.with_database(|database| database::record(database, revision))?;
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
        let rows = self.with_database(database::records)?;
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
        match self.with_database(database::format)? {
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
