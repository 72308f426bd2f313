//! Counters that each worker writes alone, and anybody may add up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Keeps a value on cache lines of its own, so that its writer disturbs nobody.
/// 128 bytes: x86-64 prefetches lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct CacheAligned<T>(pub T);

/// One `T` per worker. Cloning shares the cells.
#[derive(Debug)]
pub struct PerWorker<T>(Arc<[CacheAligned<T>]>);

impl<T> Clone for PerWorker<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Default> PerWorker<T> {
    /// Fresh cells for `workers` workers.
    pub fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| CacheAligned::default()).collect())
    }
}

impl<T> PerWorker<T> {
    /// The cell of one worker.
    ///
    /// # Panics
    /// When `worker` is not below the number of workers: a worker's number comes from the same
    /// place as that.
    pub fn of(&self, worker: usize) -> &T {
        &self.0[worker].0
    }

    /// Whether these are the very cells that `other` has.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The cells of all workers.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|cell| &cell.0)
    }
}

/// What one worker has open at one target.
///
/// Written by that worker alone: an increment is a plain load and store, no locked instruction.
#[derive(Debug, Default)]
pub struct LoadCell {
    requests: AtomicU32,
    tunnels: AtomicU32,
    closing: AtomicU32,
}

impl LoadCell {
    /// Requests in flight.
    pub fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Open tunnels, those that are being closed among them.
    pub fn tunnels(&self) -> u32 {
        self.tunnels.load(Ordering::Relaxed)
    }

    /// Tunnels whose end has begun, and whose connections are still there.
    pub fn closing(&self) -> u32 {
        self.closing.load(Ordering::Relaxed)
    }

    /// Counts a request that starts.
    pub fn request_started(&self) {
        add(&self.requests, 1);
    }

    /// Counts a request that ended.
    pub fn request_ended(&self) {
        add(&self.requests, u32::MAX);
    }

    /// Counts a tunnel that opens.
    pub fn tunnel_opened(&self) {
        add(&self.tunnels, 1);
    }

    /// Counts an open tunnel whose end begins.
    pub fn tunnel_closing(&self) {
        add(&self.closing, 1);
    }

    /// Counts a tunnel that closed. `was_closing`: it was counted as such.
    pub fn tunnel_closed(&self, was_closing: bool) {
        if was_closing {
            add(&self.closing, u32::MAX);
        }
        add(&self.tunnels, u32::MAX);
    }
}

/// Whether an operator drains a target, so that it gets no new work. Read for every request, written
/// when somebody says so.
#[derive(Debug, Default)]
pub struct DrainCell(AtomicBool);

impl DrainCell {
    /// Whether it gets no new work.
    pub fn is_draining(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes it out, or back in.
    pub fn set(&self, draining: bool) {
        self.0.store(draining, Ordering::Relaxed);
    }
}

/// Adds without a locked instruction, which is right for a cell that one thread writes.
fn add(cell: &AtomicU32, by: u32) {
    cell.store(
        cell.load(Ordering::Relaxed).wrapping_add(by),
        Ordering::Relaxed,
    );
}
