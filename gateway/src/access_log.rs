//! The access log's destination: standard output, or a file that can be moved away and opened anew.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gateway_proxy::AccessSink;

use crate::cli::AccessLog;

/// So many bytes of whole lines are gathered before they are written.
const GATHER: usize = 64 * 1024;

/// Asks the access log's file to be opened anew (SIGHUP, after it was rotated).
#[derive(Debug, Clone, Default)]
pub(crate) struct Reopen(Arc<AtomicBool>);

impl Reopen {
    /// Takes effect with the next record.
    pub(crate) fn ask(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

/// Starts the writer of access records; `None` where nobody wants them.
pub(crate) fn start(log: &AccessLog) -> io::Result<Option<(AccessSink, Reopen)>> {
    let reopen = Reopen::default();
    let sink = match log {
        AccessLog::Off => return Ok(None),
        AccessLog::Stdout => AccessSink::to_writer(io::BufWriter::new(io::stdout()))?,
        AccessLog::File(path) => AccessSink::to_writer(LogFile::open(path, reopen.clone())?)?,
    };
    Ok(Some((sink, reopen)))
}

/// A file that whole lines are appended to, so that a rotation cuts none.
struct LogFile {
    path: PathBuf,
    file: File,
    gathered: Vec<u8>,
    reopen: Reopen,
}

impl LogFile {
    fn open(path: &Path, reopen: Reopen) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: append_to(path)?,
            gathered: Vec::with_capacity(GATHER),
            reopen,
        })
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= GATHER && bytes.ends_with(b"\n") {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.reopen.take() {
            match append_to(&self.path) {
                Ok(file) => self.file = file,
                Err(error) => {
                    let path = self.path.display();
                    tracing::error!(%path, %error, "the access log goes on in its old file");
                }
            }
        }
        let written = self.file.write_all(&self.gathered);
        // A disk that is full loses records, not memory.
        self.gathered.clear();
        written
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_was_moved_away_is_opened_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let moved = directory.path().join("access.log.1");
        let reopen = Reopen::default();
        let mut log = LogFile::open(&path, reopen.clone()).unwrap();
        log.write_all(b"one\n").unwrap();
        log.flush().unwrap();
        fs::rename(&path, &moved).unwrap();
        log.write_all(b"two\n").unwrap();
        log.flush().unwrap();
        reopen.ask();
        log.write_all(b"three\n").unwrap();
        log.flush().unwrap();
        assert_eq!(fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[test]
    fn many_records_are_written_without_a_flush_and_only_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let mut log = LogFile::open(&path, Reopen::default()).unwrap();
        for _ in 0..GATHER / 4 {
            log.write_all(b"12345").unwrap();
            log.write_all(b"6789\n").unwrap();
        }
        let written = fs::read_to_string(&path).unwrap();
        assert!(written.ends_with("123456789\n"));
        assert!(written.len() >= GATHER);
    }
}
