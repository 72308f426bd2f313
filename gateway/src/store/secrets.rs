//! Secrets as files: `DIR/secrets/<sha256>`, each on disk before a revision names it.
//!
//! Only the owner may read them. A file appears under its name when it is whole, so that a crash
//! leaves at most a temporary file, which the next sweep removes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use gateway_core::config::Secret;

use super::{SecretId, StoreError, sync_directory};

/// The directory of secrets.
#[derive(Debug)]
pub(super) struct SecretDirectory(PathBuf);

impl SecretDirectory {
    /// Creates the directory, or takes it into use; closes it to everybody else.
    pub(super) fn open(path: PathBuf) -> Result<Self, StoreError> {
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(StoreError::io("create", &path)(error)),
        }
        fs::set_permissions(&path, Permissions::from_mode(0o700))
            .map_err(StoreError::io("restrict access to", &path))?;
        Ok(Self(path))
    }

    /// Writes what is not there yet; all of it has reached the disk when this returns.
    pub(super) fn put(&self, secrets: &BTreeMap<SecretId, Secret>) -> Result<(), StoreError> {
        let mut written = false;
        for (id, secret) in secrets {
            if self.read(id).is_ok() {
                continue;
            }
            self.write(id, secret.expose())?;
            written = true;
        }
        if written {
            sync_directory(&self.0)?;
        }
        Ok(())
    }

    fn write(&self, id: &SecretId, bytes: &[u8]) -> Result<(), StoreError> {
        let temporary = self.0.join(format!("{id}.new"));
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(StoreError::io("remove", &temporary)(error));
            }
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(StoreError::io("create", &temporary))?;
        file.write_all(bytes)
            .and_then(|()| file.sync_all())
            .map_err(StoreError::io("write", &temporary))?;
        fs::rename(&temporary, self.path(id)).map_err(StoreError::io("rename", &temporary))
    }

    /// Reads one secret; content that does not bear out its name is not one.
    pub(super) fn read(&self, id: &SecretId) -> Result<Secret, StoreError> {
        let path = self.path(id);
        let bytes = fs::read(&path).map_err(|error| {
            if error.kind() == ErrorKind::NotFound {
                corrupt(&path, "it is missing, and a revision names it")
            } else {
                StoreError::io("read", &path)(error)
            }
        })?;
        if SecretId::of(&bytes) != *id {
            return Err(corrupt(&path, "its content is not what its name says"));
        }
        Ok(Secret::new(bytes))
    }

    /// Removes what no revision names, and what a crash left half written.
    pub(super) fn sweep(&self, named: &BTreeSet<SecretId>) -> Result<(), StoreError> {
        let entries = fs::read_dir(&self.0).map_err(StoreError::io("list", &self.0))?;
        for entry in entries {
            let path = entry.map_err(StoreError::io("list", &self.0))?.path();
            let id = path.file_name().and_then(|name| name.to_str());
            let id = id.and_then(SecretId::parse);
            if id.is_none_or(|id| !named.contains(&id)) {
                fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    fn path(&self, id: &SecretId) -> PathBuf {
        self.0.join(id.as_str())
    }
}

fn corrupt(path: &Path, reason: &str) -> StoreError {
    StoreError::Corrupt {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}
