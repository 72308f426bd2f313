//! Every MUST of RFC 6455 sections 4, 5, 7 and 10: whom it binds, and which scenarios show that it is
//! kept, or why a gateway can neither keep nor break it. Tests see to it that none is left out.
//!
//! The table in `docs/conformance.md` is made of this.

mod answering;
mod closing;
mod framing;
mod opening;
mod security;
pub(crate) mod table;

/// One demand of the RFC.
pub(crate) struct Clause {
    /// As the RFC numbers it. Items of the lists that have no number of their own stand in brackets.
    pub(crate) section: &'static str,
    /// How often MUST or MUST NOT stands there for it. None: what the RFC says in other words.
    musts: u8,
    binds: Binds,
    /// The demand, in short.
    says: &'static str,
    shown: Shown,
}

/// Who has to keep a demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Binds {
    /// What opens the connection: the gateway towards backends.
    Client,
    /// What accepts it: the gateway and its backend, towards clients.
    Server,
    /// Both.
    Endpoints,
    /// What stands between them.
    Intermediary,
}

use Binds::{Client, Endpoints, Intermediary, Server};

/// What shows that it is kept.
enum Shown {
    /// These scenarios, as `group/name`, on the plain listener and over TLS. One that ends with `*`
    /// stands for all that begin so.
    By(&'static [&'static str]),
    /// None, since it is not the gateway's to keep or to break.
    NotOurs(&'static str),
}

/// A demand that scenarios show.
const fn shown(
    section: &'static str,
    musts: u8,
    binds: Binds,
    says: &'static str,
    by: &'static [&'static str],
) -> Clause {
    Clause {
        section,
        musts,
        binds,
        says,
        shown: Shown::By(by),
    }
}

/// A demand that is not a gateway's, and why.
const fn not_ours(
    section: &'static str,
    musts: u8,
    binds: Binds,
    says: &'static str,
    why: &'static str,
) -> Clause {
    Clause {
        section,
        musts,
        binds,
        says,
        shown: Shown::NotOurs(why),
    }
}

/// All of them, in the RFC's order.
pub(crate) fn all() -> impl Iterator<Item = &'static Clause> {
    let parts = [
        opening::CLAUSES,
        answering::CLAUSES,
        framing::CLAUSES,
        closing::CLAUSES,
        security::CLAUSES,
    ];
    parts.into_iter().flatten()
}

/// Whether any demand names the scenario.
pub(crate) fn names(id: &str) -> bool {
    all().any(|clause| clause.names(id))
}

impl Clause {
    fn names(&self, id: &str) -> bool {
        match self.shown {
            Shown::By(patterns) => patterns.iter().any(|pattern| stands_for(pattern, id)),
            Shown::NotOurs(_) => false,
        }
    }
}

/// Whether a pattern of [`Shown::By`] stands for the scenario.
fn stands_for(pattern: &str, id: &str) -> bool {
    let plain = id.replacen("/tls: ", "/", 1);
    match pattern.strip_suffix('*') {
        Some(start) => plain.starts_with(start),
        None => pattern == id || pattern == plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;
    use crate::scenarios;

    /// How often MUST and MUST NOT stand in the text of each section; SHALL and REQUIRED never do.
    const MUSTS: &[(&str, u8)] = &[
        ("4.1", 39),
        ("4.2.1", 1),
        ("4.2.2", 10),
        ("4.3", 1),
        ("4.4", 1),
        ("5.1", 4),
        ("5.2", 10),
        ("5.3", 4),
        ("5.4", 10),
        ("5.5", 2),
        ("5.5.1", 6),
        ("5.5.2", 1),
        ("5.6", 1),
        ("5.8", 1),
        ("7.1.2", 1),
        ("7.1.7", 3),
        ("7.2.1", 2),
        ("7.2.2", 1),
        ("7.4.1", 3),
        ("10.3", 1),
        ("10.4", 1),
        ("10.6", 1),
        ("10.7", 1),
    ];

    /// `4.1 (3)` is in section 4.1.
    fn section(clause: &str) -> &str {
        clause.split(' ').next().unwrap_or_default()
    }

    #[test]
    fn no_must_is_left_out() {
        for (name, expected) in MUSTS {
            let here = all().filter(|clause| section(clause.section) == *name);
            let found: u8 = here.map(|clause| clause.musts).sum();
            assert_eq!(found, *expected, "section {name}");
        }
        for clause in all().filter(|clause| clause.musts > 0) {
            let known = MUSTS
                .iter()
                .any(|(name, _)| *name == section(clause.section));
            assert!(known, "there is no MUST in {}", clause.section);
        }
    }

    #[test]
    fn every_demand_names_scenarios_that_there_are_or_says_why_not() {
        let ids: Vec<String> = scenarios::all().iter().map(Scenario::id).collect();
        for clause in all() {
            match clause.shown {
                Shown::By(patterns) => {
                    assert!(!patterns.is_empty(), "{}: {}", clause.section, clause.says);
                    for pattern in patterns {
                        let found = ids.iter().any(|id| stands_for(pattern, id));
                        assert!(found, "{}: there is no {pattern}", clause.section);
                    }
                }
                Shown::NotOurs(why) => assert!(why.ends_with('.'), "{}: {why}", clause.section),
            }
        }
    }

    /// Where these sections are what a scenario is about. Others cite them in passing.
    const GROUPS: &[&str] = &[
        "handshake",
        "frames",
        "closing",
        "lifetime",
        "volume",
        "bounds",
    ];

    #[test]
    fn every_scenario_of_these_sections_is_named() {
        let all = scenarios::all().into_iter();
        for scenario in all.filter(|scenario| GROUPS.contains(&scenario.group)) {
            let Some(clause) = scenario.clause.strip_prefix("RFC 6455 ") else {
                continue;
            };
            if ["4", "5", "7", "10"].contains(&clause.split(['.', ' ']).next().unwrap_or_default())
            {
                assert!(names(&scenario.id()), "no demand names {}", scenario.id());
            }
        }
    }
}
