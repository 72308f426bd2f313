//! Which worlds may be live at what time, and what an observer may therefore see.
//!
//! From the moment a change is sent until it is answered both worlds are possible; after the answer
//! only the new one is. Whoever looks takes a mark before, and is judged by all worlds since.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;
use std::rc::Rc;

use super::world::{Identity, Landing, World};

/// All worlds that were possible, in order.
#[derive(Debug)]
pub(super) struct Timeline {
    worlds: Vec<Rc<World>>,
    /// The last that is known to be live.
    settled: usize,
    /// The gateway was killed, and is not back yet.
    is_down: bool,
    outages: usize,
}

/// A moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    settled: usize,
    /// Worlds so far.
    reach: usize,
    outages: usize,
    is_down: bool,
}

impl Timeline {
    pub(super) fn new(world: World) -> Self {
        Self {
            worlds: vec![Rc::new(world)],
            settled: 0,
            is_down: false,
            outages: 0,
        }
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            settled: self.settled,
            reach: self.worlds.len(),
            outages: self.outages,
            is_down: self.is_down,
        }
    }

    /// What was last known to be live.
    pub(super) fn settled(&self) -> Rc<World> {
        Rc::clone(&self.worlds[self.settled])
    }

    /// From now on `worlds` are possible, too.
    pub(super) fn may_become(&mut self, worlds: impl IntoIterator<Item = World>) {
        self.worlds.extend(worlds.into_iter().map(Rc::new));
    }

    /// From now on only `world` is.
    pub(super) fn settle(&mut self, world: World) {
        self.settled = self.worlds.len();
        self.worlds.push(Rc::new(world));
    }

    pub(super) fn goes_down(&mut self) {
        self.is_down = true;
        self.outages += 1;
    }

    pub(super) fn is_back(&mut self) {
        self.is_down = false;
    }

    pub(super) fn is_down(&self) -> bool {
        self.is_down
    }

    /// All that was possible since `mark`.
    pub(super) fn since(&self, mark: Mark) -> &[Rc<World>] {
        &self.worlds[mark.settled..]
    }

    /// All that was possible from `mark` until `end`.
    pub(super) fn between(&self, mark: Mark, end: Mark) -> &[Rc<World>] {
        &self.worlds[mark.settled..end.reach]
    }

    /// Whether the gateway was down at any time since `mark`.
    pub(super) fn was_down_since(&self, mark: Mark) -> bool {
        mark.is_down || self.outages > mark.outages
    }
}

/// What came of a request or a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// This status; the backend, where one answered.
    Answer(u16, Option<SocketAddrV4>),
    /// The connection was refused, or ended before the first byte of an answer.
    Nothing(String),
    /// Anything else.
    Broken(String),
}

/// Who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asker {
    pub(super) tls: bool,
    /// On a connection that had served before: it goes on as it was begun.
    pub(super) reused: bool,
}

/// Whether one of `landings` explains what was seen.
pub(super) fn explains(landing: &Landing, asker: Asker, seen: &Seen) -> bool {
    match (landing, seen) {
        (Landing::Closed, seen) => matches!(seen, Seen::Nothing(_)),
        // What a server makes of the other protocol's bytes, anything but success.
        (Landing::Open { certificate, .. }, _)
            if !asker.reused && certificate.is_some() != asker.tls =>
        {
            !matches!(seen, Seen::Answer(101 | 200, _))
        }
        (_, Seen::Nothing(_) | Seen::Broken(_)) => false,
        (Landing::Open { route: None, .. }, Seen::Answer(status, backend)) => {
            *status == 404 && backend.is_none()
        }
        (
            Landing::Open {
                route: Some(route), ..
            },
            Seen::Answer(status, backend),
        ) => match backend {
            None => *status == 502 && route.targets.is_empty(),
            Some(backend) => matches!(status, 101 | 200) && route.targets.contains_key(backend),
        },
    }
}

/// The listener and the target that a tunnel may hang on.
pub(super) type Ties = BTreeSet<(Identity, Identity)>;

/// What a tunnel to the backend at `target`, opened under one of `landings`, may hang on.
pub(super) fn ties<'l>(
    landings: impl IntoIterator<Item = &'l Landing>,
    target: SocketAddrV4,
) -> Ties {
    let mut ties = Ties::new();
    for landing in landings {
        if let Landing::Open {
            route: Some(route), ..
        } = landing
            && let Some(identity) = route.targets.get(&target)
        {
            ties.insert((route.listener, *identity));
        }
    }
    ties
}

/// Whether `world` leaves one of them no place: the tunnel may close.
pub(super) fn may_close(ties: &Ties, world: &World) -> bool {
    ties.iter().any(|tie| is_cut(*tie, world))
}

/// Whether `world` leaves none of them a place: the tunnel must close.
pub(super) fn must_close(ties: &Ties, world: &World) -> bool {
    ties.iter().all(|tie| is_cut(*tie, world))
}

fn is_cut((listener, target): (Identity, Identity), world: &World) -> bool {
    !world.lives(listener) || !world.lives(target)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::scenarios::churn::resources::Resources;
    use crate::scenarios::churn::world::{Route, Thing};

    fn at(port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
    }

    fn open(ports: &[u16], certificate: bool) -> Landing {
        let target = |port: &u16| (at(*port), (Thing::Target("pool", at(*port)), 1));
        Landing::Open {
            certificate: certificate.then(|| "file:///a".into()),
            route: Some(Route {
                listener: (Thing::Listener("web"), 1),
                rule: "web",
                settings: "settings",
                targets: ports.iter().map(target).collect::<BTreeMap<_, _>>(),
                drain: Duration::from_secs(3),
            }),
        }
    }

    #[test]
    fn what_a_world_explains() {
        let nothing = || Seen::Nothing("reset".to_owned());
        let fresh = Asker {
            tls: false,
            reused: false,
        };
        let reused = Asker {
            reused: true,
            ..fresh
        };
        let rows = [
            (Landing::Closed, fresh, nothing(), true),
            (
                Landing::Closed,
                fresh,
                Seen::Answer(200, Some(at(1))),
                false,
            ),
            (
                open(&[1, 2], false),
                fresh,
                Seen::Answer(200, Some(at(2))),
                true,
            ),
            (
                open(&[1, 2], false),
                fresh,
                Seen::Answer(101, Some(at(2))),
                true,
            ),
            (
                open(&[1, 2], false),
                fresh,
                Seen::Answer(200, Some(at(3))),
                false,
            ),
            (
                open(&[1, 2], false),
                fresh,
                Seen::Answer(500, Some(at(1))),
                false,
            ),
            (open(&[1, 2], false), fresh, Seen::Answer(502, None), false),
            (open(&[1, 2], false), fresh, Seen::Answer(404, None), false),
            (open(&[], false), fresh, Seen::Answer(502, None), true),
            (open(&[1], false), fresh, nothing(), false),
            (open(&[1], false), reused, nothing(), false),
            (open(&[1], true), fresh, nothing(), true),
            (open(&[1], true), reused, nothing(), false),
            (
                open(&[1], true),
                reused,
                Seen::Answer(200, Some(at(1))),
                true,
            ),
            (
                Landing::Closed,
                fresh,
                Seen::Broken("half".to_owned()),
                false,
            ),
        ];
        for (landing, asker, seen, expected) in rows {
            assert_eq!(
                explains(&landing, asker, &seen),
                expected,
                "{landing:?} {asker:?} {seen:?}"
            );
        }
    }

    #[test]
    fn both_worlds_are_possible_while_a_change_is_under_way() {
        let world = || World::new(Resources::new());
        let mut timeline = Timeline::new(world());
        let before = timeline.mark();
        assert_eq!(timeline.since(before).len(), 1);
        timeline.may_become([world()]);
        let meanwhile = timeline.mark();
        assert_eq!(timeline.since(meanwhile).len(), 2);
        timeline.settle(world());
        assert_eq!(timeline.since(timeline.mark()).len(), 1);
        assert_eq!(timeline.since(before).len(), 3);
        assert_eq!(timeline.between(before, meanwhile).len(), 2);
    }

    #[test]
    fn an_outage_is_remembered() {
        let mut timeline = Timeline::new(World::new(Resources::new()));
        let before = timeline.mark();
        assert!(!timeline.was_down_since(before));
        timeline.goes_down();
        let meanwhile = timeline.mark();
        timeline.is_back();
        assert!(timeline.was_down_since(before) && timeline.was_down_since(meanwhile));
        assert!(!timeline.was_down_since(timeline.mark()));
    }
}
