//! What the kernel says of directories (inotify): that something has happened there, not what.
//!
//! A file is told when whoever wrote it closes it, not at every write: a log that grows beside a
//! watched file costs nothing.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// One watched directory. The same directory has the same watch, by whatever path.
pub(super) type Watch = i32;

/// What may make another file of what a path leads to.
const KINDS: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Signs from a set of directories.
#[derive(Debug)]
pub(super) struct Signs(AsyncFd<OwnedFd>);

impl Signs {
    /// From no directory yet. Must be called on a runtime.
    #[expect(
        deprecated,
        reason = "what replaces it is unsafe, and asks for what an OwnedFd promises"
    )]
    pub(super) fn start() -> io::Result<Self> {
        let descriptor = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self(AsyncFd::with_interest(
            descriptor,
            Interest::READABLE,
        )?))
    }

    /// Watches `directory`, if it is not watched yet.
    pub(super) fn watch(&self, directory: &Path) -> io::Result<Watch> {
        Ok(inotify::add_watch(self.0.get_ref(), directory, KINDS)?)
    }

    /// Watches a directory no more.
    pub(super) fn forget(&self, watch: Watch) {
        // It may have vanished, and its watch with it.
        let _ = inotify::remove_watch(self.0.get_ref(), watch);
    }

    /// Waits for a sign and takes what there is.
    pub(super) async fn next(&self) {
        loop {
            // Fails only when the runtime ends.
            let Ok(mut ready) = self.0.readable().await else {
                return std::future::pending().await;
            };
            if self.take() {
                return;
            }
            ready.clear_ready();
        }
    }

    /// Takes what there is; whether there was any.
    pub(super) fn take(&self) -> bool {
        // What happened does not matter, nor does a lost event: the files are looked at.
        let mut events = [0; 4096];
        let mut any = false;
        while let Ok(1..) =
            rustix::io::retry_on_intr(|| rustix::io::read(self.0.get_ref(), &mut events))
        {
            any = true;
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::Signs;

    #[tokio::test]
    async fn a_file_that_grows_gives_a_sign_when_it_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        let signs = Signs::start().unwrap();
        signs.watch(directory.path()).unwrap();
        let mut log = File::create(directory.path().join("log")).unwrap();
        assert!(signs.take(), "a new file");
        for _ in 0..100 {
            log.write_all(b"a line\n").unwrap();
        }
        assert!(!signs.take(), "only written to");
        drop(log);
        signs.next().await;
        assert!(!signs.take());
    }

    #[tokio::test]
    async fn a_directory_is_watched_once_and_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let signs = Signs::start().unwrap();
        let watch = signs.watch(directory.path()).unwrap();
        assert_eq!(signs.watch(&directory.path().join(".")).unwrap(), watch);
        signs.forget(watch);
        // The kernel says that it watches no more.
        assert!(signs.take());
        File::create(directory.path().join("file")).unwrap();
        assert!(!signs.take());
    }
}
