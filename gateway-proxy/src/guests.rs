//! The client connections of one worker, and which of them make room when others wait: those that
//! have been silent longest since their last answer.
//!
//! A request touches nothing of this: who is idle is looked up when room is wanted, from what each
//! connection's [`Watch`] knows anyway.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;

use crate::client_io::{Interim, Watch};

/// A connection that has just had an answer is likely to ask again, and its request may be on its way.
const LEAST_SILENCE: Duration = Duration::from_millis(100);

/// Of those that are idle one in so many goes, and of those at most so many at once, even for a single
/// client: who comes next finds room, and not each of them costs a look at all connections.
const PART: usize = 64;
const MOST: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Guests(RefCell<Slab<Guest>>);

#[derive(Debug)]
struct Guest {
    watch: Rc<Watch>,
    interim: Arc<Interim>,
}

/// A connection's entry, which goes with it.
#[derive(Debug)]
pub(crate) struct Entry {
    guests: Rc<Guests>,
    key: usize,
}

impl Guests {
    /// Enters a connection.
    pub(crate) fn enter(self: &Rc<Self>, watch: Rc<Watch>, interim: Arc<Interim>) -> Entry {
        let key = self.0.borrow_mut().insert(Guest { watch, interim });
        Entry {
            guests: Rc::clone(self),
            key,
        }
    }

    /// Has `wanted` connections leave, or some more; fewer where fewer are idle. Says how many.
    pub(crate) fn make_room(&self, wanted: usize, now: Instant) -> usize {
        let guests = self.0.borrow();
        let mut idle: Vec<(Instant, usize)> = guests
            .iter()
            .filter_map(|(key, guest)| Some((guest.watch.idle_since()?, key)))
            .filter(|(since, _)| now.saturating_duration_since(*since) >= LEAST_SILENCE)
            .collect();
        let leaving = wanted.max((idle.len() / PART).min(MOST)).min(idle.len());
        if leaving == 0 {
            return 0;
        }
        let (longest, last, _) = idle.select_nth_unstable(leaving - 1);
        for (_, key) in longest.iter().chain([&*last]) {
            let guest = &guests[*key];
            guest.watch.make_room();
            guest.interim.wake();
        }
        leaving
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.guests.0.borrow_mut().remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many connections that have had their answers, one a second apart.
    fn silent(count: u32, start: Instant) -> Vec<Rc<Watch>> {
        let since = |number| start + Duration::from_secs(1) * number;
        (0..count).map(|number| idle(since(number))).collect()
    }

    fn idle(since: Instant) -> Rc<Watch> {
        let watch = Watch::new(since);
        watch.request_begins();
        watch.answer_begins();
        watch.request_ends_at(since);
        Rc::new(watch)
    }

    fn leaving(watches: &[Rc<Watch>]) -> Vec<usize> {
        let all = watches.iter().enumerate();
        all.filter(|(_, watch)| watch.makes_room())
            .map(|(number, _)| number)
            .collect()
    }

    #[test]
    fn the_longest_idle_leave_first() {
        let start = Instant::now();
        let guests = Rc::new(Guests::default());
        let mut watches = silent(5, start);
        watches.reverse();
        let entries: Vec<Entry> = watches
            .iter()
            .map(|watch| guests.enter(Rc::clone(watch), Arc::default()))
            .collect();
        let now = start + Duration::from_secs(60);
        assert_eq!(guests.make_room(1, now), 1);
        assert_eq!(leaving(&watches), [4]);
        assert_eq!(
            guests.make_room(2, now),
            2,
            "those on their way count no more"
        );
        assert_eq!(leaving(&watches), [2, 3, 4]);
        assert_eq!(guests.make_room(9, now), 2);
        assert_eq!(guests.make_room(1, now), 0);
        drop(entries);
        assert!(guests.0.borrow().is_empty());
    }

    #[test]
    fn who_asks_or_is_about_to_stays() {
        let now = Instant::now();
        let guests = Rc::new(Guests::default());
        let long_ago = now.checked_sub(Duration::from_secs(9)).unwrap();
        let fresh = Rc::new(Watch::new(long_ago));
        let asks = idle(long_ago);
        asks.request_begins();
        let answered = idle(long_ago);
        answered.request_begins();
        answered.answer_begins();
        let just_answered = idle(now);
        let _entries = [&fresh, &asks, &answered, &just_answered]
            .map(|watch| guests.enter(Rc::clone(watch), Arc::default()));
        assert_eq!(guests.make_room(4, now), 0);
        assert_eq!(guests.make_room(4, now + LEAST_SILENCE), 1);
        assert!(just_answered.makes_room());
    }

    #[test]
    fn of_many_a_part_leaves_at_once() {
        let start = Instant::now();
        let guests = Rc::new(Guests::default());
        let watches = silent(640, start);
        let _entries: Vec<Entry> = watches
            .iter()
            .map(|watch| guests.enter(Rc::clone(watch), Arc::default()))
            .collect();
        let now = start + Duration::from_secs(1000);
        assert_eq!(guests.make_room(1, now), 10);
        assert_eq!(leaving(&watches), (0..10).collect::<Vec<_>>());
    }
}
