//! Documents as the store keeps them: JSON, with their secrets apart.

use gateway_core::config::{ConfigProblems, Parsed, Secret, parse};
use gateway_core::resource::{ApplicationGateway, StoredError, from_stored};

use crate::store::{Draft, SecretId, StoredRevision};

/// Why a stored document cannot be read. It could be when it was written: the store was tampered
/// with, or an older version was less strict.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// It is no JSON.
    #[error("it is not JSON")]
    Json(#[from] serde_json::Error),
    /// Its secrets are not what it names.
    #[error(transparent)]
    Stored(#[from] StoredError),
    /// It has problems.
    #[error("{}", messages(.0))]
    Invalid(#[from] ConfigProblems),
}

/// What the store keeps of `document`.
pub(crate) fn draft(document: &ApplicationGateway) -> Draft {
    let (document, blobs) = document.to_stored();
    let secrets = blobs.into_iter().map(|blob| {
        let id = SecretId::of(&blob.bytes);
        debug_assert_eq!(id.as_str(), blob.hash, "both name by SHA-256");
        (id, Secret::new(blob.bytes))
    });
    Draft {
        document: document.to_string(),
        secrets: secrets.collect(),
    }
}

/// The document of a revision, checked as it was when it was written.
pub(crate) fn read(stored: &StoredRevision) -> Result<Parsed, ReadError> {
    let lookup = |hash: &str| {
        let id = SecretId::parse(hash)?;
        Some(stored.secrets.get(&id)?.expose().to_vec())
    };
    let tree = from_stored(serde_json::from_str(&stored.document)?, lookup)?;
    Ok(parse(&tree)?)
}

fn messages(ConfigProblems(problems): &ConfigProblems) -> String {
    let lines: Vec<_> = problems
        .iter()
        .map(|problem| format!("{} ({})", problem.message, problem.pointer))
        .collect();
    lines.join("; ")
}
