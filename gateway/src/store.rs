//! Where revisions live: what the supervisor needs of a store, and nothing of how one keeps it.
//!
//! A revision is a whole document as JSON text, and the secrets that it names. The store reads
//! neither. The trait is shaped so that a store over the network (etcd) can stand in: every call is
//! asynchronous, and a commit names the revision that it expects to follow.

mod embedded;
mod secrets;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use gateway_core::config::Secret;
use gateway_core::snapshot::Revision;
use sha2::{Digest, Sha256};

pub(crate) use embedded::EmbeddedStore;

/// Keeps revisions. One writer at a time is the caller's promise; `expected` finds a broken one.
pub(crate) trait Store: Send + Sync + 'static {
    /// Makes `draft` the revision after `expected` (0: the first). When it returns, the revision
    /// survives a crash; when it fails, either the old or the new one is the latest, whole.
    fn commit(
        &self,
        expected: Revision,
        draft: Draft,
    ) -> impl Future<Output = Result<Revision, StoreError>> + Send;

    /// One revision, or the latest; `None` where there is none.
    fn read(
        &self,
        revision: Option<Revision>,
    ) -> impl Future<Output = Result<Option<StoredRevision>, StoreError>> + Send;

    /// What is kept, the oldest first, without the documents.
    fn history(&self) -> impl Future<Output = Result<Vec<HistoryEntry>, StoreError>> + Send;
}

/// A revision to be.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// The document as JSON, with references in the place of its secrets.
    pub(crate) document: String,
    /// The secrets that those references name.
    pub(crate) secrets: BTreeMap<SecretId, Secret>,
}

/// A revision as it was committed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredRevision {
    /// Its number.
    pub(crate) revision: Revision,
    /// The document as JSON, with references in the place of its secrets.
    pub(crate) document: String,
    /// The secrets that those references name.
    pub(crate) secrets: BTreeMap<SecretId, Secret>,
}

/// What the history tells of a revision without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HistoryEntry {
    /// Its number.
    pub(crate) revision: Revision,
    /// When it was committed.
    pub(crate) committed_at: SystemTime,
}

/// Names a secret by its content: SHA-256 in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SecretId(String);

impl SecretId {
    /// The id of `bytes`.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut text = String::with_capacity(64);
        for byte in Sha256::digest(bytes) {
            for nibble in [byte >> 4, byte & 0xf] {
                text.push(char::from_digit(nibble.into(), 16).expect("a nibble is below 16"));
            }
        }
        Self(text)
    }

    /// Takes 64 lower-case hexadecimal digits and nothing else, so that an id is a safe file name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 64 && text.bytes().all(is_hex)).then(|| Self(text.to_owned()))
    }

    /// The digits.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why the store cannot do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Somebody else committed in between.
    #[error("revision {actual} is the latest, not {expected}", actual = actual.0, expected = expected.0)]
    Conflict {
        /// What the writer took for the latest.
        expected: Revision,
        /// What is.
        actual: Revision,
    },
    /// Another process has the directory.
    #[error(
        "{} is in use by another gateway process; stop that one, or give this one another --state directory",
        directory.display()
    )]
    Locked {
        /// The state directory.
        directory: PathBuf,
    },
    /// The content is not what a store of ours writes.
    #[error(
        "{} is damaged ({reason}); restore it from a backup, or start with an empty --state directory \
         and PUT the document again",
        path.display()
    )]
    Corrupt {
        /// The database, or a secret's file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// Written by a version whose format this one does not know.
    #[error("{} has format {found}, and this version reads format {known}", path.display())]
    Format {
        /// The database.
        path: PathBuf,
        /// The number in the file.
        found: u64,
        /// The number that we write.
        known: u64,
    },
    /// The file system's word.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried: create, read, write ...
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The database refused for another reason.
    #[error("the database refused")]
    Database(#[source] Box<redb::Error>),
    /// The thread that worked on the store died.
    #[error("the store's thread died")]
    Panicked,
}

impl StoreError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}

/// Makes what was created, renamed or removed in `directory` survive a crash.
fn sync_directory(directory: &Path) -> Result<(), StoreError> {
    std::fs::File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(StoreError::io("sync", directory))
}

#[cfg(test)]
mod tests;
