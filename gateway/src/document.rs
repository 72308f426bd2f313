//! A document in a file: read within bounds, and judged with everything that it names.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use gateway_core::config::{ConfigProblem, ConfigProblems, Parsed, Severity, parse_in};
use gateway_core::resource::{ApplicationGateway, Collection, Edit, JsonTree};
use gateway_net::material::{Material, MaterialError};

/// The longest document that is read, in bytes; a hundred inline certificates need about two million.
const MAX_BYTES: u64 = 16 << 20;

/// Why a file's text cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The system's word.
    #[error("cannot read {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A pipe or a device, which could be waited for in vain.
    #[error("{} is not a file that can be read again", path.display())]
    NotAFile {
        /// Which.
        path: PathBuf,
    },
    /// Longer than any document needs to be.
    #[error("{} is longer than {MAX_BYTES} bytes, the most that is read", path.display())]
    TooLong {
        /// Which file.
        path: PathBuf,
    },
    /// Not text.
    #[error("{} is not UTF-8: byte {at} is the first that is not; save it as UTF-8", path.display())]
    NotUtf8 {
        /// Which file.
        path: PathBuf,
        /// Counted from 0.
        at: usize,
    },
}

/// Reads the text of a document, and tells the folder that its relative `file:` URIs are relative
/// to; `-` is standard input, and relative to the current folder.
pub(crate) fn read(path: &Path) -> Result<(String, PathBuf), ReadError> {
    let failed = |source| ReadError::Io {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let reader: &mut dyn Read = if path == Path::new("-") {
        &mut io::stdin().lock()
    } else {
        &mut File::open(path).map_err(failed)?
    };
    reader
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ReadError::TooLong {
            path: path.to_owned(),
        });
    }
    let text = String::from_utf8(bytes).map_err(|error| ReadError::NotUtf8 {
        path: path.to_owned(),
        at: error.utf8_error().valid_up_to(),
    })?;
    // Of `-` too: it makes a path in the current folder.
    let absolute = std::path::absolute(path).map_err(failed)?;
    Ok((text, absolute.parent().unwrap_or(Path::new("/")).to_owned()))
}

/// Checks `text`, and that the certificates and roots it names can be used.
pub(crate) fn judge(text: &str, folder: &Path) -> Result<Parsed, ConfigProblems> {
    let tree = JsonTree::parse(text)?;
    let parsed = parse_in(&tree, folder)?;
    let Err(errors) = Material::load(&parsed.config, None) else {
        return Ok(parsed);
    };
    let mut problems = material_problems(&errors, &parsed.document, Sent::Document(&tree));
    problems.extend(parsed.warnings);
    problems.sort_by_key(|problem| problem.span.as_ref().map(|span| span.start));
    Err(ConfigProblems(problems))
}

/// What a writer sent, which pointers are relative to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sent<'a> {
    /// A whole document.
    Document(&'a JsonTree),
    /// One resource of a collection, and its name.
    Resource(Collection, &'a str, &'a JsonTree),
    /// Nothing that has a text.
    Nothing,
}

impl<'a> From<&'a Edit> for Sent<'a> {
    fn from(edit: &'a Edit) -> Self {
        match edit {
            Edit::Replace(tree) => Self::Document(tree),
            Edit::Put {
                collection,
                name,
                body,
            } => Self::Resource(*collection, name, body),
            Edit::Delete { .. } => Self::Nothing,
        }
    }
}

/// What cannot be loaded, as problems of `document`.
pub(crate) fn material_problems(
    errors: &[MaterialError],
    document: &ApplicationGateway,
    sent: Sent<'_>,
) -> Vec<ConfigProblem> {
    let problem = |error: &MaterialError| {
        let (resource, property) = place(document, error).unwrap_or_default();
        let within = |pointer: &str| ConfigProblem {
            severity: Severity::Error,
            code: "CertificateNotUsable",
            pointer: format!("{pointer}{property}"),
            span: None,
            position: None,
            message: chain(error),
            remedy: Some(remedy(error.collection).to_owned()),
        };
        match sent {
            Sent::Document(tree) => within(&resource).located(tree),
            Sent::Resource(collection, name, body)
                if collection.wire_name() == error.collection
                    && name.eq_ignore_ascii_case(&error.name) =>
            {
                within("").located(body)
            }
            Sent::Resource(..) | Sent::Nothing => within(&resource),
        }
    };
    errors.iter().map(problem).collect()
}

/// Pointers to the resource at fault, and inside it to what could not be loaded.
fn place(document: &ApplicationGateway, error: &MaterialError) -> Option<(String, &'static str)> {
    let collection: Collection = error.collection.parse().ok()?;
    let names = document.names(collection);
    let index = names
        .iter()
        .position(|name| name.eq_ignore_ascii_case(&error.name))?;
    let resource = document.resource(collection, &error.name)?;
    let property = if collection == Collection::BackendHttpSettingsCollection {
        ""
    } else if resource["properties"]["keyVaultSecretId"].is_string() {
        "/properties/keyVaultSecretId"
    } else {
        "/properties/data"
    };
    Some((format!("/properties/{collection}/{index}"), property))
}

fn remedy(collection: &str) -> &'static str {
    match collection {
        "sslCertificates" => "name a PEM file with chain and key, or a PFX with its password",
        "trustedRootCertificates" => "name a PEM or DER file of the root that backends chain to",
        _ => "correct its trusted roots",
    }
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
