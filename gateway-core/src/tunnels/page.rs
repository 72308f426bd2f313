//! One page of a long list that is nowhere in one piece: each worker offers its tunnels, the first
//! of them are kept, and the pages of all workers are merged in the same way.

use std::collections::BinaryHeap;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{TunnelFacts, TunnelId};

/// What a list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortBy {
    /// By worker, and there the oldest first.
    #[default]
    Id,
    /// When they were opened.
    OpenedAt,
    /// When bytes last came from either peer.
    LastTrafficAt,
    /// Messages, both ways together.
    Messages,
    /// Bytes, both ways together.
    Bytes,
}

/// In which order a list is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sort {
    /// By what.
    pub by: SortBy,
    /// The largest first.
    pub descending: bool,
}

impl SortBy {
    pub(super) const WANTED: &str =
        "one of id, openedAt, lastTrafficAt, messages, bytes, or one with - before it";

    fn value(self, tunnel: &TunnelFacts<'_>) -> u64 {
        let micros = |at: SystemTime| {
            let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
        };
        match self {
            Self::Id => 0,
            Self::OpenedAt => micros(tunnel.opened_at),
            Self::LastTrafficAt => micros(tunnel.last_traffic_at),
            Self::Messages => tunnel.messages,
            Self::Bytes => tunnel.bytes,
        }
    }
}

impl Sort {
    /// Reads a property's name, with `-` before it for the largest first.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, descending) = match text.strip_prefix('-') {
            Some(name) => (name, true),
            None => (text, false),
        };
        let by = match name {
            "id" => SortBy::Id,
            "openedAt" => SortBy::OpenedAt,
            "lastTrafficAt" => SortBy::LastTrafficAt,
            "messages" => SortBy::Messages,
            "bytes" => SortBy::Bytes,
            _ => return None,
        };
        Some(Self { by, descending })
    }

    /// Where a tunnel stands.
    pub fn place(self, tunnel: &TunnelFacts<'_>) -> Place {
        Place {
            value: self.by.value(tunnel),
            id: tunnel.id,
        }
    }

    /// What places compare by.
    fn rank(self, place: Place) -> Rank {
        let rank = (place.value, place.id.worker as u64, place.id.serial);
        if self.descending {
            (!rank.0, !rank.1, !rank.2)
        } else {
            rank
        }
    }
}

type Rank = (u64, u64, u64);

/// A tunnel's place in a list. It is a place even when that tunnel is gone, so that a list can be
/// gone on with from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// What the list is sorted by.
    pub(super) value: u64,
    /// Among equals, by this.
    pub(super) id: TunnelId,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.value, self.id)
    }
}

/// The first of all that is offered, behind a place; however many are offered, no more is kept.
#[derive(Debug)]
pub struct Page<T> {
    sort: Sort,
    limit: usize,
    after: Option<Rank>,
    /// The last on top.
    kept: BinaryHeap<Ranked<T>>,
    count: usize,
}

#[derive(Debug)]
struct Ranked<T> {
    rank: Rank,
    place: Place,
    item: T,
}

impl<T> PartialEq for Ranked<T> {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl<T> Eq for Ranked<T> {}

impl<T> PartialOrd for Ranked<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Ranked<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl<T> Page<T> {
    /// An empty page for at most `limit` that come behind `after`.
    pub fn new(sort: Sort, limit: usize, after: Option<Place>) -> Self {
        Self {
            sort,
            limit,
            after: after.map(|after| sort.rank(after)),
            kept: BinaryHeap::new(),
            count: 0,
        }
    }

    /// Offers one; `item` is made only if it is kept, at least for now.
    pub fn offer(&mut self, place: Place, item: impl FnOnce() -> T) {
        let rank = self.sort.rank(place);
        if self.after.is_some_and(|after| rank <= after) {
            return;
        }
        self.count += 1;
        let is_full = self.kept.len() >= self.limit;
        if is_full && self.kept.peek().is_none_or(|last| last.rank <= rank) {
            return;
        }
        if is_full {
            self.kept.pop();
        }
        let item = item();
        self.kept.push(Ranked { rank, place, item });
    }

    /// Takes over what another page of the same list has.
    pub fn merge(&mut self, other: Self) {
        let offered = other.kept.len();
        self.count += other.count - offered;
        for Ranked { place, item, .. } in other.kept {
            self.offer(place, || item);
        }
    }

    /// The same page of something else.
    pub fn map<U>(self, mut of: impl FnMut(T) -> U) -> Page<U> {
        let kept = self.kept.into_iter().map(|ranked| Ranked {
            rank: ranked.rank,
            place: ranked.place,
            item: of(ranked.item),
        });
        Page {
            sort: self.sort,
            limit: self.limit,
            after: self.after,
            kept: kept.collect(),
            count: self.count,
        }
    }

    /// How many were offered behind the place, with those that are not kept.
    pub fn count(&self) -> usize {
        self.count
    }

    /// What is kept, in order, and the place to go on from where there is more.
    pub fn finish(self) -> (Vec<T>, Option<Place>) {
        let more = self.count > self.kept.len();
        let kept = self.kept.into_sorted_vec();
        let next = kept.last().filter(|_| more).map(|last| last.place);
        (kept.into_iter().map(|ranked| ranked.item).collect(), next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(value: u64, worker: usize, serial: u64) -> Place {
        let id = TunnelId { worker, serial };
        Place { value, id }
    }

    proptest! {
        /// Pages of any size, each of several workers' pages, together are the list: nothing twice,
        /// nothing left out.
        #[test]
        fn pages_of_several_workers_are_the_list(
            values in proptest::collection::vec(0u64..5, 0..60),
            limit in 1usize..20,
            workers in 1usize..4,
            descending: bool,
        ) {
            let sort = Sort { by: SortBy::Bytes, descending };
            let all: Vec<Place> = values
                .iter()
                .enumerate()
                .map(|(number, value)| place(*value, number % workers, number as u64))
                .collect();
            let mut sorted = all.clone();
            sorted.sort_by_key(|place| sort.rank(*place));
            let (mut told, mut after) = (Vec::new(), None);
            loop {
                let mut merged = Page::new(sort, limit, after);
                for worker in 0..workers {
                    let mut page = Page::new(sort, limit, after);
                    for own in all.iter().filter(|place| place.id.worker == worker) {
                        page.offer(*own, || *own);
                    }
                    merged.merge(page);
                }
                prop_assert_eq!(merged.count(), all.len() - told.len());
                let (page, next) = merged.finish();
                prop_assert!(page.len() <= limit);
                told.extend(page);
                after = next;
                if after.is_none() {
                    break;
                }
            }
            prop_assert_eq!(told, sorted);
        }
    }

    #[test]
    fn a_list_goes_on_behind_one_that_has_gone_and_shows_those_that_came() {
        let list = |present: &[u64], after| {
            let mut page = Page::new(Sort::default(), 2, after);
            for serial in present {
                page.offer(place(0, 0, *serial), || *serial);
            }
            page.finish()
        };
        let (first, next) = list(&[1, 2, 3, 4], None);
        assert_eq!(first, [1, 2]);
        let (second, next) = list(&[1, 4, 5], next);
        assert_eq!((second, next), (vec![4, 5], None));
    }
}
