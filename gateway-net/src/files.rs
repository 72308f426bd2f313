//! Tells when one of a set of files has changed. Does not read them.
//!
//! Directories are watched, not files: editors and certificate tools put a new file in the old
//! one's place, and a Kubernetes ConfigMap changes a link beside it. What counts is whether the file
//! that a path leads to is another one than before, so that noise in the directory is not told, and
//! costs little (`docs/decisions/0036-a-log-beside-the-configuration.md`).

mod signs;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use signs::{Signs, Watch};

/// A change is told when the directory has been quiet for so long: whoever writes several files, or
/// one in pieces, has finished. Signs are taken no more often.
const QUIET: Duration = Duration::from_millis(100);

/// But no later than this after its first sign.
const LATEST: Duration = Duration::from_secs(2);

/// So often files are looked at without any sign: network file systems give none, and a directory
/// may be missing or be replaced.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Watches a set of files, in a task of its own, which ends with the watcher.
#[derive(Debug)]
pub struct FileWatcher {
    watched: Arc<Mutex<Watched>>,
    changes: watch::Receiver<u64>,
    /// Owns the task: dropping it ends the task.
    _task: JoinSet<()>,
}

#[derive(Debug)]
struct Watched {
    /// What each path led to when it was last looked at.
    stamps: BTreeMap<PathBuf, Option<Stamp>>,
    directories: HashSet<Watch>,
    signs: Arc<Signs>,
}

/// Tells one file, or version of a file, from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileWatcher {
    /// Starts on the current runtime with no files.
    ///
    /// # Errors
    /// When there is no runtime to start on, or the system has no more watches to give.
    pub fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let signs = Arc::new(Signs::start()?);
        let watched = Arc::new(Mutex::new(Watched {
            stamps: BTreeMap::new(),
            directories: HashSet::new(),
            signs: Arc::clone(&signs),
        }));
        let (tell, changes) = watch::channel(0);
        let mut task = JoinSet::new();
        task.spawn_on(look(Arc::clone(&watched), signs, tell), &runtime);
        Ok(Self {
            watched,
            changes,
            _task: task,
        })
    }

    /// Watches exactly `paths` from now on; one that does not exist may come later. To miss
    /// nothing, call this before the files are read.
    pub fn watch(&self, paths: &BTreeSet<PathBuf>) {
        let mut watched = lock(&self.watched);
        watched.stamps.retain(|path, _| paths.contains(path));
        for path in paths {
            if !watched.stamps.contains_key(path) {
                watched.stamps.insert(path.clone(), stamp(path));
            }
        }
        watched.follow_directories();
    }

    /// Counts changes. One count may stand for several files.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }
}

impl Watched {
    /// Watches the directory of each path, and that of the file it leads to.
    fn follow_directories(&mut self) {
        let paths: BTreeSet<PathBuf> = self
            .stamps
            .keys()
            .flat_map(|path| directories(path))
            .collect();
        let mut wanted = HashSet::new();
        for directory in paths {
            // Also where there is a watch: another directory may have come in its place.
            match self.signs.watch(&directory) {
                Ok(watch) => {
                    wanted.insert(watch);
                }
                // Tried again, and the files looked at, every LOOK_EVERY.
                Err(error) => {
                    tracing::debug!(directory = %directory.display(), %error, "cannot be watched");
                }
            }
        }
        for gone in self.directories.difference(&wanted) {
            self.signs.forget(*gone);
        }
        self.directories = wanted;
    }

    /// Looks at all files; whether any is another one than before.
    fn any_changed(&mut self) -> bool {
        let mut changed = false;
        for (path, before) in &mut self.stamps {
            let now = stamp(path);
            changed |= now != *before;
            *before = now;
        }
        changed
    }
}

async fn look(watched: Arc<Mutex<Watched>>, signs: Arc<Signs>, tell: watch::Sender<u64>) {
    loop {
        let sign = tokio::time::timeout(LOOK_EVERY, signs.next()).await;
        if sign.is_ok() {
            let latest = Instant::now() + LATEST;
            loop {
                tokio::time::sleep(QUIET).await;
                if !signs.take() || Instant::now() >= latest {
                    break;
                }
            }
        }
        let mut watched = lock(&watched);
        if watched.any_changed() {
            tell.send_modify(|count| *count += 1);
        }
        // Links may lead elsewhere now, and directories may have come or gone.
        watched.follow_directories();
    }
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let leads_to = path.canonicalize().ok();
    [Some(path.to_owned()), leads_to]
        .into_iter()
        .flatten()
        .filter_map(|file| match file.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Some(PathBuf::from(".")),
            parent => parent.map(Path::to_owned),
        })
        .collect()
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = path.metadata().ok()?;
    Some(Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        length: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

/// A panic while the lock was held leaves nothing half done that the next look would not mend.
fn lock(watched: &Mutex<Watched>) -> MutexGuard<'_, Watched> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
