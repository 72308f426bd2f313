//! What a scenario is: a name, the clause that it proves, and either steps on the wire or a story
//! about backends that come and go.

use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use futures_util::FutureExt;

use crate::attacks::Attack;
use crate::harness::Programs;
use crate::harness::backends::Backends;
use crate::harness::certificates::Certificates;
use crate::harness::frames::End;
use crate::harness::front::System;
use crate::harness::recorder::Reply;
use crate::tunnel_play::Move;

/// One scenario.
#[derive(Clone)]
pub(crate) struct Scenario {
    pub(crate) group: &'static str,
    pub(crate) name: String,
    /// What it proves: the section of an RFC, or of the reference.
    pub(crate) clause: &'static str,
    pub(crate) plot: Plot,
}

impl Scenario {
    /// A story with its own gateway and its own backends.
    pub(crate) fn story<F>(
        group: &'static str,
        name: &str,
        clause: &'static str,
        tell: impl Fn(Stage) -> F + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Told>> + 'static,
    {
        Self {
            group,
            name: name.to_owned(),
            clause,
            plot: Plot::Story(story(tell)),
        }
    }

    /// `group/name`, by which it is chosen and excused.
    pub(crate) fn id(&self) -> String {
        format!("{}/{}", self.group, self.name)
    }

    /// Whether any proxy can be asked: it needs nothing that only our gateway has, neither its API
    /// nor its header rules (`reference`, `design`).
    pub(crate) fn is_for_peers(&self) -> bool {
        let portable = match self.plot {
            Plot::Wire(_) | Plot::Front(_) => true,
            Plot::Story(_) | Plot::LongStory(_) | Plot::Alone(_) => false,
        };
        portable && self.clause.starts_with("RFC ")
    }

    /// Whether only we promise it: no RFC asks it of a proxy.
    pub(crate) fn is_ours(&self) -> bool {
        let beyond = matches!(&self.plot, Plot::Wire(case) if case.ours);
        beyond || !self.clause.starts_with("RFC ")
    }
}

/// How a scenario is told.
#[derive(Clone)]
pub(crate) enum Plot {
    /// One connection to a gateway that it shares with others, and a recording backend.
    Wire(WireCase),
    /// Its own system under test before one backend, by a `Front`: peers can tell it, too.
    Front(Story),
    /// Its own gateway and its own backends, by the admin API, probes, or documents.
    Story(Story),
    /// The same, but it begins before the others, and bounds its time itself.
    LongStory(Story),
    /// The same, but when all others have ended: it takes the whole machine.
    Alone(Story),
}

/// A story, with all that it needs to begin.
pub(crate) type Story =
    Rc<dyn Fn(Stage) -> futures_util::future::LocalBoxFuture<'static, Result<Told>>>;

/// What is told, as a [`Plot`] keeps it.
pub(crate) fn story<F>(tell: impl Fn(Stage) -> F + 'static) -> Story
where
    F: Future<Output = Result<Told>> + 'static,
{
    Rc::new(move |stage| tell(stage).boxed_local())
}

/// What every story is given.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) programs: Programs,
    pub(crate) certificates: Rc<Certificates>,
    /// Where the backends of stories live that do not insist on processes.
    pub(crate) backends: Backends,
    /// What every random choice of the run follows from: `--seed`.
    pub(crate) seed: u64,
    /// How long the configuration changes at random: `--churn-seconds`.
    pub(crate) churn: Duration,
    /// What is under test. Only a [`Front`](crate::harness::front::Front) can be other than the gateway.
    pub(crate) system: System,
}

impl Stage {
    /// The choices of one scenario. They depend on the seed and its name, not on what runs beside it.
    pub(crate) fn random(&self, scenario: &str) -> fastrand::Rng {
        let mixed = scenario.bytes().fold(self.seed, |mixed, byte| {
            // FNV-1a: the same in every run and on every machine.
            (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        fastrand::Rng::with_seed(mixed)
    }
}

/// How a story ended, when it did not fail.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Whole,
    /// All of it, and it measured this.
    Measured(String),
    /// The machine cannot tell it; the reason.
    NotHere(String),
}

/// Which listener a wire case uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Plain,
    Tls,
    /// No TLS where TLS is asked for.
    PlainToTls,
}

/// A connection, step by step, and what the backend must have seen in the end.
#[derive(Debug, Clone)]
pub(crate) struct WireCase {
    pub(crate) transport: Transport,
    pub(crate) reply: Option<Reply>,
    pub(crate) steps: Vec<Step>,
    pub(crate) saw: Vec<Saw>,
    /// Waits for a time-out, so it is not run in line with the others.
    pub(crate) slow: bool,
    /// Goes beyond the RFC.
    pub(crate) ours: bool,
}

/// One step of a connection.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// These bytes go out.
    Send(Vec<u8>),
    /// These bytes go out one by one, for as long as the gateway takes them.
    Trickle { bytes: Vec<u8>, every: Duration },
    /// Our side ends (FIN).
    Finish,
    /// An answer with one of these statuses comes.
    Answer(&'static [u16]),
    /// The same, to a HEAD request.
    AnswerToHead(&'static [u16]),
    /// The same, but the answer is seen not to be whole; or a 502 instead of it.
    BrokenAnswer(&'static [u16]),
    /// An answer with one of these statuses, or the end of the connection.
    AnswerOrEnd(&'static [u16]),
    /// The last answer has this field, once, with this value.
    Field(&'static str, &'static str),
    /// The last answer has all these values of a field, in this order.
    Values(&'static str, &'static [&'static str]),
    /// The last answer has no such field.
    NoField(&'static str),
    /// The last answer's body has this text.
    Body(&'static str),
    /// Exactly these bytes come.
    Receive(Vec<u8>),
    /// The connection ends, without another byte, within so long.
    Ends(Duration),
    /// One end of the tunnel does something, or sees something; the backend's end was handed over.
    Tunnel(End, Move),
    /// All of an attack's bytes go out, and what comes back is among its outcomes.
    Attack(Rc<Attack>),
}

/// What the backend must have seen.
#[derive(Debug, Clone)]
pub(crate) enum Saw {
    /// So many requests.
    Requests(usize),
    /// So many at most.
    AtMost(usize),
    /// The first request's line.
    Line(&'static str),
    /// The first request has this field, once, with this value.
    Field(&'static str, &'static str),
    /// The first request's lists of this field have this token, in any case.
    Token(&'static str, &'static str),
    /// The first request's lines of this field, as one list.
    List(&'static str, &'static str),
    /// The first request has this field once, and the last entry of its list begins so.
    LastEntry(&'static str, &'static str),
    /// The first request has no such field.
    NoField(&'static str),
    /// The first request's body.
    Body(&'static [u8]),
    /// Nothing came between the first request's head and its answer.
    NothingEarly,
    /// After the answer of an upgrade came exactly these bytes.
    After(Vec<u8>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn choices_follow_from_the_seed_and_the_name() {
        let stage = |seed| Stage {
            programs: Programs {
                gateway: PathBuf::new(),
                backend: PathBuf::new(),
            },
            certificates: Rc::new(Certificates::new().unwrap()),
            backends: Backends::processes("a test"),
            seed,
            churn: Duration::ZERO,
            system: System::Gateway,
        };
        let first = |seed, name| stage(seed).random(name).u64(..);
        assert_eq!(first(1, "churn"), first(1, "churn"));
        assert_ne!(first(1, "churn"), first(2, "churn"));
        assert_ne!(first(1, "churn"), first(1, "flapping"));
    }
}
