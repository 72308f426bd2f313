//! What goes on in one scenario: the bytes on its wires, the logs of its processes, and what it has
//! set up. Whatever a scenario starts finds its scene by itself, so no scenario hands it around.
//!
//! A scene ends with its scenario. With `--keep` a failed one is left standing instead: its
//! processes, folders and containers go on, and the report says where they are.

use std::any::Any;
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use super::process::Log;

tokio::task_local! {
    static CURRENT: Scene;
}

/// So many notes of a scene are kept, and so many lines of each log.
const MAX_NOTES: usize = 120;
const MAX_LOG_LINES: usize = 30;

/// What people need to understand how a scenario ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// What clients sent and received, and what recording backends saw, in order of time.
    pub(crate) transcript: Vec<String>,
    /// The last lines of each process, by its name.
    pub(crate) logs: Vec<(String, Vec<String>)>,
    /// What was left standing: where it is, and how to end it.
    pub(crate) standing: Vec<String>,
}

/// One scenario's scene.
#[derive(Debug, Clone)]
pub(crate) struct Scene(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    keep: bool,
    began: Instant,
    notes: VecDeque<String>,
    wires: usize,
    /// With how many lines each log had before it concerned this scene.
    logs: Vec<(String, Log, usize)>,
    standing: Vec<Standing>,
    folder: Option<PathBuf>,
    waits: Waits,
}

/// How long the scene has waited for others: the container daemon.
#[derive(Debug, Default)]
struct Waits {
    /// So many wait now; since when somebody does.
    now: usize,
    since: Option<Instant>,
    before: Duration,
}

/// Something that outlived its owner; dropped, it ends.
#[derive(Debug)]
struct Standing {
    what: String,
    guard: Box<dyn Any + Send>,
}

impl Scene {
    pub(crate) fn new(keep: bool) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            keep,
            began: Instant::now(),
            notes: VecDeque::new(),
            wires: 0,
            logs: Vec::new(),
            standing: Vec::new(),
            folder: None,
            waits: Waits::default(),
        })))
    }

    /// The scene of the scenario that runs in this task.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Runs `story` in this scene.
    pub(crate) async fn play<T>(&self, story: impl Future<Output = T>) -> T {
        CURRENT.scope(self.clone(), story).await
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a line for the report.
    pub(crate) fn note(&self, line: &str) {
        let mut inner = self.lock();
        let at = inner.began.elapsed().as_secs_f64();
        if inner.notes.len() == MAX_NOTES {
            inner.notes.pop_front();
        }
        inner.notes.push_back(format!("{at:7.3} {line}"));
    }

    /// As long as the guard is there, time does not count against the scenario's limit.
    pub(crate) fn waits(&self) -> Waiting {
        let waits = &mut self.lock().waits;
        waits.now += 1;
        waits.since.get_or_insert_with(Instant::now);
        Waiting(self.clone())
    }

    /// How long it has taken so far, but for the time that it has waited for others.
    pub(crate) fn own_time(&self) -> Duration {
        let inner = self.lock();
        let Waits { since, before, .. } = inner.waits;
        let waited = before + since.map_or(Duration::ZERO, |since| since.elapsed());
        inner.began.elapsed().saturating_sub(waited)
    }

    /// A name for one more connection.
    pub(crate) fn name_wire(&self, whose: &str) -> String {
        let mut inner = self.lock();
        inner.wires += 1;
        format!("{whose} {}", inner.wires)
    }

    /// What `log` says from now on belongs to this scene.
    pub(crate) fn watch(&self, name: &str, log: &Log) {
        let watched = (name.to_owned(), log.clone(), log.count());
        self.lock().logs.push(watched);
    }

    /// Where processes write their logs when they may be left standing.
    pub(crate) fn log_folder(&self) -> Result<Option<PathBuf>> {
        let mut inner = self.lock();
        if !inner.keep {
            return Ok(None);
        }
        if let Some(folder) = &inner.folder {
            return Ok(Some(folder.clone()));
        }
        let folder = tempfile::Builder::new()
            .prefix("conformance-logs-")
            .tempdir()?;
        let path = folder.path().to_owned();
        inner.folder = Some(path.clone());
        inner.standing.push(Standing {
            what: format!("logs in {0}  (rm -r {0})", path.display()),
            guard: Box::new(folder),
        });
        Ok(Some(path))
    }

    /// The end. What the scene has set up ends with it, unless it failed and is to be kept.
    pub(crate) async fn end(&self, failed: bool) -> Evidence {
        if failed {
            // What processes have written a moment ago is still in their pipes, and nobody says when all
            // of it has come. It is evidence; nothing is judged by it.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let mut inner = self.lock();
        let mut logs = Vec::new();
        for (name, log, before) in &inner.logs {
            let lines = log.since(*before, MAX_LOG_LINES);
            if !lines.is_empty() {
                logs.push((name.clone(), lines));
            }
        }
        let mut standing = Vec::new();
        for Standing { what, guard } in inner.standing.drain(..) {
            if failed {
                standing.push(what);
                // Nobody drops it any more, so it goes on.
                std::mem::forget(guard);
            }
        }
        // What is dropped from now on has nobody to be kept by.
        inner.keep = false;
        Evidence {
            transcript: inner.notes.iter().cloned().collect(),
            logs,
            standing,
        }
    }
}

/// See [`Scene::waits`].
#[derive(Debug)]
pub(crate) struct Waiting(Scene);

impl Drop for Waiting {
    fn drop(&mut self) {
        let waits = &mut self.0.lock().waits;
        waits.now -= 1;
        if waits.now == 0
            && let Some(since) = waits.since.take()
        {
            waits.before += since.elapsed();
        }
    }
}

/// Something that a scene has set up and that ends when it is dropped; where scenes are kept, its
/// end is the scene's to decide.
#[derive(Debug)]
pub(crate) struct Prop<T: Send + 'static> {
    inner: Option<T>,
    /// Where it is and how to end it.
    what: String,
    scene: Option<Scene>,
}

impl<T: Send> Prop<T> {
    /// `what` says where it is, and how to end it.
    pub(crate) fn new(inner: T, what: String) -> Self {
        Self {
            inner: Some(inner),
            what,
            scene: Scene::current(),
        }
    }

    /// More about where it is.
    pub(crate) fn describe(&mut self, more: &str) {
        self.what += ", ";
        self.what += more;
    }

    /// It has ended: nothing is left to be kept.
    pub(crate) fn has_ended(&mut self) {
        self.scene = None;
    }
}

impl<T: Send> Deref for Prop<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().expect("only drop takes it")
    }
}

impl<T: Send> DerefMut for Prop<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect("only drop takes it")
    }
}

impl<T: Send + 'static> Drop for Prop<T> {
    fn drop(&mut self) {
        let Some(scene) = &self.scene else { return };
        let mut inner = scene.lock();
        if inner.keep
            && let Some(thing) = self.inner.take()
        {
            inner.standing.push(Standing {
                what: std::mem::take(&mut self.what),
                guard: Box::new(thing),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (Prop<tempfile::TempDir>, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        (Prop::new(folder, path.display().to_string()), path)
    }

    /// A scene whose folder is dropped by its story: whether the folder is there at the end.
    async fn left(keep: bool, failed: bool, ended: bool) -> (bool, Evidence) {
        let scene = Scene::new(keep);
        let path = scene
            .play(async {
                let (mut prop, path) = folder();
                if ended {
                    prop.has_ended();
                }
                path
            })
            .await;
        let evidence = scene.end(failed).await;
        let is_there = path.exists();
        let _ = std::fs::remove_dir(path);
        (is_there, evidence)
    }

    #[tokio::test]
    async fn only_a_failed_scene_that_is_kept_stands() {
        for (keep, failed, ended, stands) in [
            (false, false, false, false),
            (false, true, false, false),
            (true, false, false, false),
            (true, true, true, false),
            (true, true, false, true),
        ] {
            let (is_there, evidence) = left(keep, failed, ended).await;
            assert_eq!(
                is_there, stands,
                "keep {keep} failed {failed} ended {ended}"
            );
            assert_eq!(evidence.standing.len(), usize::from(stands));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_others_takes_no_time_of_its_own() {
        let scene = Scene::new(false);
        let pass = |seconds| tokio::time::advance(Duration::from_secs(seconds));
        pass(1).await;
        let one = scene.waits();
        pass(10).await;
        let other = scene.waits();
        pass(10).await;
        drop(one);
        pass(10).await;
        assert_eq!(scene.own_time(), Duration::from_secs(1));
        drop(other);
        pass(1).await;
        assert_eq!(scene.own_time(), Duration::from_secs(2));
    }

    #[tokio::test]
    async fn notes_and_logs_are_those_of_the_scene_and_bounded() {
        let log = Log::default();
        log.push("before".to_owned());
        let scene = Scene::new(false);
        scene.watch("gateway", &log);
        for number in 0..500 {
            log.push(format!("line {number}"));
            scene.note(&format!("note {number}"));
        }
        let evidence = scene.end(false).await;
        assert_eq!(evidence.transcript.len(), MAX_NOTES);
        assert!(evidence.transcript[MAX_NOTES - 1].ends_with(" note 499"));
        let (name, lines) = &evidence.logs[0];
        assert_eq!((name.as_str(), lines.len()), ("gateway", MAX_LOG_LINES));
        assert_eq!(lines[MAX_LOG_LINES - 1], "line 499");
    }
}
