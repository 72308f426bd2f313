//! What a scenario is: a name, the clause that it proves, and either steps on the wire or a story
//! about backends that come and go.

use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;

use crate::harness::Programs;
use crate::harness::certificates::Certificates;
use crate::harness::recorder::Reply;

/// One scenario.
pub(crate) struct Scenario {
    pub(crate) group: &'static str,
    pub(crate) name: String,
    /// What it proves: the section of an RFC, or of the reference.
    pub(crate) clause: &'static str,
    pub(crate) plot: Plot,
}

impl Scenario {
    /// `group/name`, by which it is chosen and excused.
    pub(crate) fn id(&self) -> String {
        format!("{}/{}", self.group, self.name)
    }
}

/// How a scenario is told.
#[derive(Clone)]
pub(crate) enum Plot {
    /// One connection to a gateway that it shares with others, and a recording backend.
    Wire(WireCase),
    /// Its own gateway and its own backends.
    Story(Story),
}

/// A story, with all that it needs to begin.
pub(crate) type Story =
    Rc<dyn Fn(Stage) -> futures_util::future::LocalBoxFuture<'static, Result<Told>>>;

/// What every story is given.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) programs: Programs,
    pub(crate) certificates: Rc<Certificates>,
}

/// How a story ended, when it did not fail.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Whole,
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
