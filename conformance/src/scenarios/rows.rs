//! How wire cases are written down: one row, read from left to right.

use std::time::Duration;

use crate::harness::frames::{End, Frame, written_by};
use crate::harness::recorder::{Reply, Then};
use crate::scenario::{Plot, Saw, Scenario, Step, Transport, WireCase};
use crate::tunnel_play::Move;

/// The connection ends at once, or nearly.
pub(crate) const SOON: Duration = Duration::from_secs(3);

/// A wire case under construction.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    clause: &'static str,
    name: String,
    case: WireCase,
}

/// Starts a row: what it proves, and its name.
pub(crate) fn row(clause: &'static str, name: impl Into<String>) -> Row {
    let name = name.into();
    let case = WireCase {
        transport: Transport::Plain,
        reply: None,
        steps: Vec::new(),
        saw: Vec::new(),
        slow: false,
        ours: false,
    };
    Row { clause, name, case }
}

impl Row {
    pub(crate) fn step(mut self, step: Step) -> Self {
        self.case.steps.push(step);
        self
    }

    pub(crate) fn send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Send(bytes.as_ref().to_vec()))
    }

    pub(crate) fn answer(self, statuses: &'static [u16]) -> Self {
        self.step(Step::Answer(statuses))
    }

    pub(crate) fn field(self, name: &'static str, value: &'static str) -> Self {
        self.step(Step::Field(name, value))
    }

    pub(crate) fn no_field(self, name: &'static str) -> Self {
        self.step(Step::NoField(name))
    }

    pub(crate) fn receive(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Receive(bytes.as_ref().to_vec()))
    }

    pub(crate) fn ends(self) -> Self {
        self.step(Step::Ends(SOON))
    }

    pub(crate) fn saw(mut self, saw: Saw) -> Self {
        self.case.saw.push(saw);
        self
    }

    /// The backend is never asked.
    pub(crate) fn unseen(self) -> Self {
        self.saw(Saw::Requests(0))
    }

    /// The backend answers with these bytes.
    pub(crate) fn reply(mut self, text: impl Into<String>, then: Then) -> Self {
        self.case.reply = Some(Reply {
            text: text.into(),
            tail: Vec::new(),
            then,
            quiet_first: false,
        });
        self
    }

    /// These bytes come in the segment of the backend's answer.
    pub(crate) fn tail(mut self, bytes: impl AsRef<[u8]>) -> Self {
        if let Some(reply) = &mut self.case.reply {
            reply.tail = bytes.as_ref().to_vec();
        }
        self
    }

    /// The backend looks out for bytes that should not come before its answer.
    pub(crate) fn quiet_first(mut self) -> Self {
        if let Some(reply) = &mut self.case.reply {
            reply.quiet_first = true;
        }
        self
    }

    /// One end of the tunnel makes a move.
    pub(crate) fn play(self, end: End, what: Move) -> Self {
        self.step(Step::Tunnel(end, what))
    }

    /// One end of the tunnel sends these frames.
    pub(crate) fn sends(self, end: End, frames: &[Frame]) -> Self {
        self.play(end, Move::Sends(written_by(end, frames)))
    }

    /// One end of the tunnel gets these frames, as the other end has written them.
    pub(crate) fn gets(self, end: End, frames: &[Frame]) -> Self {
        self.play(end, Move::Gets(written_by(end.other(), frames)))
    }

    /// One end of the tunnel sends these frames, and the other gets the same bytes.
    pub(crate) fn passes(self, from: End, frames: &[Frame]) -> Self {
        self.sends(from, frames).gets(from.other(), frames)
    }

    /// Goes beyond the RFC: it leaves a choice, which is ours, or it binds clients and servers, and
    /// the gateway keeps each from the other's offence. Peers may choose otherwise.
    pub(crate) fn ours(mut self) -> Self {
        self.case.ours = true;
        self
    }

    /// Waits for a time-out.
    pub(crate) fn slow(mut self) -> Self {
        self.case.slow = true;
        self
    }

    pub(crate) fn over(mut self, transport: Transport) -> Self {
        self.case.transport = transport;
        self
    }

    pub(crate) fn into_scenario(self, group: &'static str) -> Scenario {
        let prefix = match self.case.transport {
            Transport::Plain => "",
            Transport::Tls => "tls: ",
            Transport::PlainToTls => "",
        };
        Scenario {
            group,
            name: format!("{prefix}{}", self.name),
            clause: self.clause,
            plot: Plot::Wire(self.case),
        }
    }
}
