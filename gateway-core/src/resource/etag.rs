//! Entity tags by content: of the whole document, and of each resource, so that unrelated edits do
//! not collide. A changed secret changes the tag; the tag does not give the secret away.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::stored::hex;
use super::{ApplicationGateway, Collection, SslCertificate};

/// How much of a hash is shown: 128 bits.
const TAG_BYTES: usize = 16;

impl ApplicationGateway {
    /// The whole document's entity tag, without quotes.
    pub fn etag(&self) -> String {
        let mut hash = Sha256::new();
        hash_written(&mut hash, self);
        for certificate in self.properties.ssl_certificates.iter().flatten() {
            hash_secrets(&mut hash, certificate);
        }
        tag(hash)
    }

    /// One resource's entity tag, without quotes; `None` where there is no such resource.
    pub fn resource_etag(&self, collection: Collection, name: &str) -> Option<String> {
        let resource = self.resource(collection, name)?;
        let mut hash = Sha256::new();
        hash_written(&mut hash, &resource);
        if collection == Collection::SslCertificates {
            let index = self.index_of(collection, name)?;
            hash_secrets(
                &mut hash,
                self.properties.ssl_certificates.as_ref()?.get(index)?,
            );
        }
        Some(tag(hash))
    }

    /// One collection's entity tag, without quotes.
    pub fn collection_etag(&self, collection: Collection) -> String {
        let mut hash = Sha256::new();
        hash_written(&mut hash, &self.collection(collection));
        if collection == Collection::SslCertificates {
            for certificate in self.properties.ssl_certificates.iter().flatten() {
                hash_secrets(&mut hash, certificate);
            }
        }
        tag(hash)
    }
}

fn hash_written(hash: &mut Sha256, document: &impl Serialize) {
    let text = serde_json::to_vec(document).expect("documents have string keys and no odd numbers");
    hash.update(text);
}

/// A key cannot be guessed at, so whatever is hashed with one is safe. A password by itself, that of
/// a file, can: 16 bits of its hash show a change, and leave a guesser with nothing to confirm.
fn hash_secrets(hash: &mut Sha256, certificate: &SslCertificate) {
    let secret = |text: Option<&super::SecretText>| {
        let digest = Sha256::digest(text.map(super::SecretText::expose).unwrap_or_default());
        <[u8; 32]>::from(digest)
    };
    let properties = &certificate.properties;
    let password = secret(properties.password.as_ref());
    hash.update([0, u8::from(properties.password.is_some())]);
    if properties.data.is_some() {
        hash.update(secret(properties.data.as_ref()));
        hash.update(password);
    } else {
        hash.update(&password[..2]);
    }
}

fn tag(hash: Sha256) -> String {
    hex(&hash.finalize()[..TAG_BYTES])
}
