//! What is done to the gateway: operations drawn from a seed. The same seed draws the same operations,
//! since every outcome is known before; how many there is time for depends on the machine.

mod bad;
mod supplies;

use std::collections::VecDeque;

use fastrand::Rng;

pub(super) use bad::Bad;
pub(super) use supplies::{HOST, SITE, Supplies};

use super::resources::{Kind, Member, Name, Resource};
use super::world::{Change, Verdict, World};
use supplies::{ANCHORED, PROBES, SERVICES};

/// One thing to do.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    /// One write.
    Change(Change, Guard),
    /// The same with `?dryRun=true`.
    DryRun(Change),
    /// With an `If-Match` that is out of date.
    Stale(Change),
    /// What no gateway may accept.
    Bad(Bad),
    /// Two writes of different resources at once.
    Pair(Change, Change),
    /// Two writes of one resource at once, both with its current tag; then one that is certain.
    Race(Change, Change, Change),
}

/// The precondition of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    None,
    /// `If-Match` with the current tag.
    Current,
    /// `If-Match: *`.
    Exists,
    /// `If-None-Match: *`.
    Absent,
}

/// Draws operations.
#[derive(Debug)]
pub(super) struct Plan {
    random: Rng,
    supplies: Supplies,
    /// What is left of a change that takes several steps.
    script: VecDeque<Change>,
}

impl Plan {
    pub(super) fn new(seed: u64, supplies: Supplies) -> Self {
        Self {
            random: Rng::with_seed(seed),
            supplies,
            script: VecDeque::new(),
        }
    }

    /// The next operation on `world`.
    pub(super) fn next(&mut self, world: &World) -> Operation {
        match self.random.u8(..100) {
            0..10 => Operation::Bad(bad::draw(&mut self.random, &self.supplies)),
            10..15 => Operation::Stale(self.edit(world)),
            15..21 => Operation::DryRun(self.careful(world)),
            21..26 => Operation::Change(self.careless(world), Guard::None),
            26..31 => self.pair(world),
            31..35 => self.race(world),
            35..39 => Operation::Change(self.replacement(world), Guard::None),
            _ => {
                let next = self.script.pop_front();
                let change = next.unwrap_or_else(|| self.careful(world));
                let guard = self.guard(world, &change);
                Operation::Change(change, guard)
            }
        }
    }

    /// Everything that must be refused, once.
    pub(super) fn all_bad(&self) -> Vec<Operation> {
        let all = bad::all(&self.supplies).into_iter();
        all.map(Operation::Bad).collect()
    }

    /// A change that must go live; for the moment of the kill.
    pub(super) fn careful(&mut self, world: &World) -> Change {
        loop {
            let change = self.propose(world);
            if matches!(world.verdict(&change), Verdict::Live { .. }) {
                return change;
            }
        }
    }

    /// A precondition that holds.
    fn guard(&mut self, world: &World, change: &Change) -> Guard {
        let exists = match change {
            Change::Put(name, resource) => world.get(resource.kind(), name).is_some(),
            Change::Delete(kind, name) => world.get(*kind, name).is_some(),
            Change::Replace(_) => return Guard::None,
        };
        match (self.random.u8(..4), exists) {
            (0, true) => Guard::Current,
            (1, true) => Guard::Exists,
            (0 | 1, false) if matches!(change, Change::Put(..)) => Guard::Absent,
            _ => Guard::None,
        }
    }

    /// One that may be refused: what is in use is deleted, names lead nowhere, ports collide.
    fn careless(&mut self, world: &World) -> Change {
        // The first one stays where it is: a bad request wants its port to be in use.
        let service = self.choice(&SERVICES[1..]);
        match self.random.u8(..4) {
            0 => {
                let kinds = [
                    Kind::Certificate,
                    Kind::Port,
                    Kind::Probe,
                    Kind::Pool,
                    Kind::Settings,
                ];
                let kind = self.choice(&kinds);
                let mut names = world.names(kind);
                names.retain(|name| !ANCHORED.contains(name));
                Change::Delete(kind, self.choice(&names))
            }
            1 => Change::Delete(Kind::Pool, "never"),
            2 => {
                let mut rule = service.rule();
                rule.pool = "never";
                Change::Put(service.name, Resource::Rule(rule))
            }
            _ => {
                let mut listener = service.listener();
                listener.port = self.choice(&world.names(Kind::Port));
                Change::Put(service.name, Resource::Listener(listener))
            }
        }
    }

    fn pair(&mut self, world: &World) -> Operation {
        loop {
            let (one, two) = (self.edit(world), self.edit(world));
            // Neither order may make one of them invalid or idle.
            let commute = matches!(world.after(&one).verdict(&two), Verdict::Live { .. })
                && matches!(world.after(&two).verdict(&one), Verdict::Live { .. });
            if commute && resource_of(&one) != resource_of(&two) {
                return Operation::Pair(one, two);
            }
        }
    }

    fn race(&mut self, world: &World) -> Operation {
        loop {
            let changes = [self.edit(world), self.edit(world), self.edit(world)];
            let [one, two, last] = &changes;
            let differ = one != two && last != one && last != two;
            let on_one =
                resource_of(one) == resource_of(two) && resource_of(one) == resource_of(last);
            if differ && on_one {
                let [one, two, last] = changes;
                return Operation::Race(one, two, last);
            }
        }
    }

    /// The whole document with some changes at once.
    fn replacement(&mut self, world: &World) -> Change {
        let mut next = world.clone();
        for _ in 0..self.random.u8(1..4) {
            let change = self.careful(&next);
            next = next.after(&change);
        }
        Change::Replace(next.resources)
    }

    /// A change that adds nothing and removes nothing but members of a pool, and goes live.
    fn edit(&mut self, world: &World) -> Change {
        loop {
            let change = match self.random.u8(..4) {
                0 => self.settings(world),
                1 => self.probe(world),
                _ => self.pool(world),
            };
            if matches!(world.verdict(&change), Verdict::Live { created: false }) {
                return change;
            }
        }
    }

    fn propose(&mut self, world: &World) -> Change {
        match self.random.u8(..100) {
            0..34 => self.pool(world),
            34..46 => self.settings(world),
            46..58 => self.rule(world),
            58..64 => self.probe(world),
            64..72 => self.certificate(world),
            72..80 => self.move_listener(world),
            80..84 => self.other_protocol(world),
            84..88 => self.rename_pool(world),
            _ => self.come_or_go(world),
        }
    }

    fn choice<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.random.usize(..of.len())].clone()
    }

    fn pool(&mut self, world: &World) -> Change {
        let name = self.choice(&world.names(Kind::Pool));
        let members = world.get(Kind::Pool, name).and_then(Resource::as_pool);
        let mut members = members.unwrap_or_default().to_vec();
        match self.random.u8(..6) {
            // Mostly what concerns nobody.
            0..=2 => {
                self.random.shuffle(&mut members);
                for member in &mut members {
                    member.weight = self.random.u8(1..=3);
                }
            }
            3 | 4 => {
                let address = self.choice(&self.supplies.hosts.clone());
                let port = Some(self.choice(&self.supplies.ports.clone()));
                let is_it = |member: &Member| (member.address, member.port) == (address, port);
                if !members.iter().any(is_it) {
                    members.push(self.supplies.member(address, port));
                }
            }
            _ => self.drop_member(name, &mut members),
        }
        Change::Put(name, Resource::Pool(members))
    }

    /// Most tunnels are at the first backend of an anchored pool, which stays: what nothing happens to
    /// must be seen for long.
    fn drop_member(&mut self, pool: Name, members: &mut Vec<Member>) {
        let Some(at) = (!members.is_empty()).then(|| self.random.usize(..members.len())) else {
            return;
        };
        let is_anchor = ANCHORED.contains(&pool) && members[at].at(0) == self.supplies.anchor();
        // A pool without members answers 502; once in a while that is seen, too.
        let may_empty = self.random.u8(..4) == 0 && !ANCHORED.contains(&pool);
        if !is_anchor && (members.len() > 1 || may_empty) {
            members.remove(at);
        }
    }

    fn settings(&mut self, world: &World) -> Change {
        let name = self.choice(&world.names(Kind::Settings));
        let default = self.supplies.settings(name);
        let found = world.get(Kind::Settings, name);
        let mut settings = found
            .and_then(Resource::as_settings)
            .cloned()
            .unwrap_or(default);
        match self.random.u8(..5) {
            0 => settings.drain_seconds = self.random.u8(2..=4),
            1 => settings.request_timeout = self.random.u8(20..=30),
            2 => settings.affinity = !settings.affinity,
            3 => settings.probe = self.choice(&world.names(Kind::Probe)),
            _ => settings.port = self.choice(&self.supplies.ports.clone()),
        }
        Change::Put(name, Resource::Settings(settings))
    }

    fn rule(&mut self, world: &World) -> Change {
        let name = self.choice(&world.names(Kind::Rule));
        let found = world.get(Kind::Rule, name).and_then(Resource::as_rule);
        let mut rule = found.cloned().unwrap_or_else(|| SERVICES[0].rule());
        match self.random.u8(..4) {
            0 => rule.settings = self.choice(&world.names(Kind::Settings)),
            1 => {
                rule.pool = SERVICES
                    .iter()
                    .find(|it| it.name == name)
                    .map_or(rule.pool, |it| it.pool)
            }
            _ => rule.pool = self.choice(&world.names(Kind::Pool)),
        }
        Change::Put(name, Resource::Rule(rule))
    }

    fn probe(&mut self, world: &World) -> Change {
        let name = self.choice(&PROBES);
        let mut probe = self.supplies.probe();
        probe.interval = self.random.u8(2..=9);
        probe.threshold = self.random.u8(4..=9);
        if world.get(Kind::Probe, name).is_some() && self.random.u8(..3) == 0 {
            probe.path = "/fast";
        }
        Change::Put(name, Resource::Probe(probe))
    }

    /// Another certificate under a name, or another name at a listener.
    fn certificate(&mut self, world: &World) -> Change {
        let name = self.choice(&world.names(Kind::Certificate));
        let secure = world
            .get(Kind::Listener, "secure")
            .and_then(Resource::as_listener);
        match secure {
            Some(listener) if self.random.bool() => {
                let mut listener = listener.clone();
                listener.certificate = Some(name);
                Change::Put("secure", Resource::Listener(listener))
            }
            _ => {
                let uri = self.choice(&self.supplies.certificates.clone());
                Change::Put(name, Resource::Certificate(uri))
            }
        }
    }

    fn move_listener(&mut self, world: &World) -> Change {
        let name = self.choice(&world.names(Kind::Port));
        let used: Vec<u16> = world
            .resources
            .values()
            .filter_map(Resource::as_port)
            .collect();
        let mut free = self.supplies.numbers.clone();
        free.retain(|number| !used.contains(number));
        Change::Put(name, Resource::Port(self.choice(&free)))
    }

    fn other_protocol(&mut self, world: &World) -> Change {
        let name = self.choice(&world.names(Kind::Listener));
        let found = world
            .get(Kind::Listener, name)
            .and_then(Resource::as_listener);
        let mut listener = found.cloned().unwrap_or_else(|| SERVICES[0].listener());
        // The anchored listeners stay what they are.
        if !matches!(name, "core" | "secure") {
            listener.certificate = match listener.certificate {
                Some(_) => None,
                None => Some(self.choice(&world.names(Kind::Certificate))),
            };
        }
        Change::Put(name, Resource::Listener(listener))
    }

    /// The same members under another name, which is another pool.
    fn rename_pool(&mut self, world: &World) -> Change {
        let mut names = world.names(Kind::Pool);
        names.retain(|name| !ANCHORED.contains(name));
        let old = self.choice(&names);
        let new = supplies::other_name(old);
        let members = world.get(Kind::Pool, old).and_then(Resource::as_pool);
        for name in world.names(Kind::Rule) {
            let rule = world.get(Kind::Rule, name).and_then(Resource::as_rule);
            if let Some(rule) = rule.filter(|rule| rule.pool == old) {
                let mut rule = rule.clone();
                rule.pool = new;
                self.script
                    .push_back(Change::Put(name, Resource::Rule(rule)));
            }
        }
        self.script.push_back(Change::Delete(Kind::Pool, old));
        Change::Put(new, Resource::Pool(members.unwrap_or_default().to_vec()))
    }

    /// A listener with all that belongs to it comes, or goes, in as many steps as that takes.
    fn come_or_go(&mut self, world: &World) -> Change {
        let mut services = SERVICES.to_vec();
        services.retain(|service| !matches!(service.name, "core" | "secure"));
        let service = self.choice(&services);
        if world.get(Kind::Listener, service.name).is_none() {
            let parts = self.supplies.parts(service);
            let missing = parts
                .into_iter()
                .filter(|(name, part)| world.get(part.kind(), name).is_none());
            self.script
                .extend(missing.map(|(name, part)| Change::Put(name, part)));
        } else {
            self.script
                .push_back(Change::Delete(Kind::Rule, service.name));
            self.script
                .push_back(Change::Delete(Kind::Listener, service.name));
        }
        let first = self.script.pop_front();
        first.unwrap_or(Change::Delete(Kind::Rule, service.name))
    }
}

/// Which resource a change is about.
pub(super) fn resource_of(change: &Change) -> Option<(Kind, Name)> {
    match change {
        Change::Put(name, resource) => Some((resource.kind(), name)),
        Change::Delete(kind, name) => Some((*kind, name)),
        Change::Replace(_) => None,
    }
}

#[cfg(test)]
mod tests;
