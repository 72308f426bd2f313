//! The configuration file: read again when it changes, and its refusals reported in its own text.

use std::path::{Path, PathBuf};

use gateway_core::config::{ConfigProblems, Parsed};
use sha2::{Digest, Sha256};

use crate::diagnostics::{self, Style};
use crate::document::{self, ReadError};

/// The file, and which version of it was judged last.
pub(crate) struct ConfigFile {
    path: PathBuf,
    judged: [u8; 32],
    first: Option<Parsed>,
}

/// Why a version of the file cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// There is no text.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The text is no good document.
    #[error("{} has {}", file.display(), diagnostics::count(&problems.0))]
    Invalid {
        /// Which file.
        file: PathBuf,
        /// Its text.
        text: String,
        /// What is wrong with it.
        problems: ConfigProblems,
    },
}

impl FileError {
    /// For people, with the problems drawn into the text.
    pub(crate) fn report(&self, style: Style) -> String {
        match self {
            Self::Read(error) => document::chain(error),
            Self::Invalid {
                file,
                text,
                problems,
            } => {
                let name = file.to_string_lossy();
                let drawn = diagnostics::render(&name, text, &problems.0, style);
                format!("{self}\n\n{}", drawn.trim_end())
            }
        }
    }
}

impl ConfigFile {
    /// Reads and judges the file for the first time. Blocks.
    pub(crate) fn open(path: PathBuf) -> Result<Self, FileError> {
        let (text, folder) = document::read(&path)?;
        let judged = digest(&text);
        let parsed = judge(&path, text, &folder)?;
        Ok(Self {
            path,
            judged,
            first: Some(parsed),
        })
    }

    /// Which file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What [`ConfigFile::open`] read; once.
    pub(crate) fn take_first(&mut self) -> Option<Parsed> {
        self.first.take()
    }

    /// What the file holds now; `None` where that was judged already, unless `forced`.
    pub(crate) async fn read_again(&mut self, forced: bool) -> Result<Option<Parsed>, FileError> {
        let (path, before) = (self.path.clone(), self.judged);
        let read = move || {
            if std::fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
                return Err(ReadError::NotAFile { path }.into());
            }
            let (text, folder) = document::read(&path)?;
            let judged = digest(&text);
            if judged == before && !forced {
                return Ok(None);
            }
            Ok(Some((judged, judge(&path, text, &folder))))
        };
        let outcome: Result<_, FileError> = match tokio::task::spawn_blocking(read).await {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let Some((judged, outcome)) = outcome? else {
            return Ok(None);
        };
        self.judged = judged;
        outcome.map(Some)
    }
}

fn judge(path: &Path, text: String, folder: &Path) -> Result<Parsed, FileError> {
    document::judge(&text, folder).map_err(|problems| FileError::Invalid {
        file: path.to_owned(),
        text,
        problems,
    })
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}
