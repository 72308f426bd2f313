//! Places that are taken and given back, counted exactly by all workers together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many tunnels, and handshakes under way, there are of something.
///
/// They are counted where nothing limits them, too: a limit that is set later counts those before it.
#[derive(Debug, Default)]
pub(crate) struct Seats(AtomicU32);

/// One of them; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Seats>);

impl Seats {
    /// Takes one, unless there are `most` already.
    pub(crate) fn take(self: &Arc<Self>, most: Option<u32>) -> Option<Seat> {
        self.try_take(most).then(|| Seat(Arc::clone(self)))
    }

    /// Takes one, which the caller gives back. Says whether there was one.
    pub(super) fn try_take(&self, most: Option<u32>) -> bool {
        let most = most.unwrap_or(u32::MAX);
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                (taken < most).then_some(taken + 1)
            });
        taken.is_ok()
    }

    pub(super) fn give_back(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether there are `most` now.
    pub(crate) fn are_taken(&self, most: Option<u32>) -> bool {
        most.is_some_and(|most| self.0.load(Ordering::Relaxed) >= most)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_than_there_may_be() {
        let seats = Arc::new(Seats::default());
        let unlimited = seats.take(None);
        let second = seats.take(Some(2));
        assert!(unlimited.is_some() && second.is_some());
        assert!(seats.take(Some(2)).is_none());
        assert!(seats.are_taken(Some(2)) && !seats.are_taken(Some(3)) && !seats.are_taken(None));
        drop(unlimited);
        assert!(seats.take(Some(2)).is_some());
    }

    #[test]
    fn threads_that_take_at_once_do_not_take_too_many() {
        let seats = Arc::new(Seats::default());
        let taken = || {
            let mine: Vec<Seat> = (0..1000).filter_map(|_| seats.take(Some(1500))).collect();
            mine.len()
        };
        let held = || {
            let mine: Vec<Seat> = (0..1000).filter_map(|_| seats.take(Some(1500))).collect();
            mine
        };
        let all: Vec<Vec<Seat>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(held)).collect();
            threads.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(all.iter().map(Vec::len).sum::<usize>(), 1500);
        drop(all);
        assert_eq!(taken(), 1000);
        assert_eq!(seats.0.load(Ordering::Relaxed), 0);
    }
}
