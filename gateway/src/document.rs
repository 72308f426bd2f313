//! A document in a file: read within bounds, and judged with everything that it names.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use gateway_core::config::{self, ConfigProblem, ConfigProblems, Parsed, Severity};
use gateway_core::resource::JsonTree;
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
    /// Longer than any document needs to be.
    #[error("{} is longer than {MAX_BYTES} bytes, the most that is read", path.display())]
    TooLong {
        /// Which file.
        path: PathBuf,
    },
    /// Not text.
    #[error("{} is not UTF-8: byte {at} is the first that is not", path.display())]
    NotUtf8 {
        /// Which file.
        path: PathBuf,
        /// Counted from 0.
        at: usize,
    },
}

/// Reads the text of a document; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<String, ReadError> {
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
    String::from_utf8(bytes).map_err(|error| ReadError::NotUtf8 {
        path: path.to_owned(),
        at: error.utf8_error().valid_up_to(),
    })
}

/// Checks `text`, and that the certificates and roots it names can be used.
pub(crate) fn judge(text: &str) -> Result<(Parsed, Material), ConfigProblems> {
    let tree = JsonTree::parse(text)?;
    let parsed = config::parse(&tree)?;
    match Material::load(&parsed.config, None) {
        Ok(material) => Ok((parsed, material)),
        Err(errors) => {
            let mut problems = material_problems(&errors, Some(&tree));
            problems.extend(parsed.warnings);
            problems.sort_by_key(|problem| problem.span.as_ref().map(|span| span.start));
            Err(ConfigProblems(problems))
        }
    }
}

/// What cannot be loaded, as problems of the document.
pub(crate) fn material_problems(
    errors: &[MaterialError],
    tree: Option<&JsonTree>,
) -> Vec<ConfigProblem> {
    let problem = |error: &MaterialError| ConfigProblem {
        severity: Severity::Error,
        code: "CertificateNotUsable",
        pointer: format!("/properties/{}/{}", error.collection, error.name),
        span: None,
        position: None,
        message: chain(error),
        remedy: None,
    };
    let _ = tree;
    errors.iter().map(problem).collect()
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
