//! The form in which a store keeps a document: secrets apart, by their content.
//!
//! [`ApplicationGateway::to_stored`] gives the document without secrets, and each secret as a blob
//! under its SHA-256. In the document, a certificate's `properties` then hold `"secret": "<hash>"`.
//! The store writes the blobs, readable by their owner alone, before it commits the document, and
//! keeps them for as long as a revision names them. [`from_stored`] puts them back and gives a tree
//! for [`parse`](crate::config::parse). A blob is opaque to the store.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{ApplicationGateway, JsonTree, SecretText, SslCertificate};
use crate::config::ConfigProblems;

/// A blob of secrets, and the name that it is kept under.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBlob {
    /// SHA-256 of the bytes, in lower-case hexadecimal.
    pub hash: String,
    /// What must be kept from all eyes.
    pub bytes: Vec<u8>,
}

/// Shows the hash alone.
impl std::fmt::Debug for SecretBlob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretBlob")
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}

/// Why a stored document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// The store lost a blob.
    #[error("the secret {hash} of certificate {certificate:?} is not in the store")]
    MissingSecret {
        /// Whose.
        certificate: String,
        /// Which.
        hash: String,
    },
    /// The store gave other bytes than it was given.
    #[error("the secret {hash} of certificate {certificate:?} is damaged")]
    DamagedSecret {
        /// Whose.
        certificate: String,
        /// Which.
        hash: String,
    },
    /// The document is no tree.
    #[error(transparent)]
    Document(#[from] ConfigProblems),
}

impl ApplicationGateway {
    /// The document for a store, and the blobs that it names, each once.
    pub fn to_stored(&self) -> (Value, Vec<SecretBlob>) {
        let mut document = written(self);
        let mut blobs: Vec<SecretBlob> = Vec::new();
        let certificates = self.properties.ssl_certificates.iter().flatten();
        for (index, certificate) in certificates.enumerate() {
            let Some(blob) = blob_of(certificate) else {
                continue;
            };
            let properties = certificate_properties(&mut document, index);
            properties["secret"] = blob.hash.clone().into();
            if !blobs.contains(&blob) {
                blobs.push(blob);
            }
        }
        (document, blobs)
    }
}

/// Puts the secrets back into what [`ApplicationGateway::to_stored`] gave. `lookup` gives the
/// bytes of a blob by its hash.
///
/// # Errors
/// A blob is missing or damaged.
pub fn from_stored(
    mut document: Value,
    mut lookup: impl FnMut(&str) -> Option<Vec<u8>>,
) -> Result<JsonTree, StoredError> {
    let certificates = document
        .pointer_mut("/properties/sslCertificates")
        .and_then(Value::as_array_mut);
    for certificate in certificates.into_iter().flatten() {
        let name = certificate["name"].as_str().unwrap_or_default().to_owned();
        let Some(properties) = certificate
            .get_mut("properties")
            .and_then(Value::as_object_mut)
        else {
            continue;
        };
        let Some(Value::String(hash)) = properties.remove("secret") else {
            continue;
        };
        let Some(bytes) = lookup(&hash) else {
            return Err(StoredError::MissingSecret {
                certificate: name,
                hash,
            });
        };
        let secrets = (hash_of(&bytes) == hash)
            .then(|| serde_json::from_slice::<serde_json::Map<_, _>>(&bytes).ok())
            .flatten();
        let Some(secrets) = secrets else {
            return Err(StoredError::DamagedSecret {
                certificate: name,
                hash,
            });
        };
        properties.extend(secrets);
    }
    Ok(JsonTree::from_value(&document)?)
}

/// Both secrets in one blob: the hash of a password alone could be guessed at.
fn blob_of(certificate: &SslCertificate) -> Option<SecretBlob> {
    let mut secrets = json!({});
    for (name, secret) in secrets_of(certificate) {
        secrets[name] = secret.expose().into();
    }
    if secrets == json!({}) {
        return None;
    }
    let bytes = secrets.to_string().into_bytes();
    Some(SecretBlob {
        hash: hash_of(&bytes),
        bytes,
    })
}

fn secrets_of(certificate: &SslCertificate) -> impl Iterator<Item = (&'static str, &SecretText)> {
    let properties = &certificate.properties;
    let data = properties.data.as_ref().map(|data| ("data", data));
    let password = properties.password.as_ref();
    data.into_iter()
        .chain(password.map(|password| ("password", password)))
}

fn certificate_properties(document: &mut Value, index: usize) -> &mut Value {
    &mut document["properties"]["sslCertificates"][index]["properties"]
}

/// The document without its secrets.
pub(super) fn written(gateway: &ApplicationGateway) -> Value {
    serde_json::to_value(gateway).expect("documents have string keys and finite numbers only")
}

fn hash_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
