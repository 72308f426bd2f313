//! What a tunnel waits for under a time limit, and what happens when that has passed.

use std::time::{Duration, Instant};

use super::flow::Flow;
use super::{Inlet, Machine, Outlet, Phase};

/// How long a closing handshake may take once both sides have said Close, or once we have refused
/// a peer's frames, before TCP is ended without the peers.
const CLOSE_TIME: Duration = Duration::from_secs(10);
/// How long a peer that sends good frames may take to answer the Close that the other peer's bad ones
/// called for. Until then what it says still passes.
const ANSWER_TIME: Duration = Duration::from_secs(1);
/// How long peers may take to answer the FIN of a tunnel that is cut.
const CUT_TIME: Duration = Duration::from_secs(1);
/// How long the bytes before a reset may wait for their reader.
const RESET_TIME: Duration = Duration::from_secs(30);

/// What a tunnel waits for under a time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// The answer to the Close that the other peer's bad frames called for.
    Answer,
    /// The closing handshake's last steps.
    Close,
    /// The reader of the bytes before a reset.
    Reset,
    /// The FINs of a tunnel that is cut.
    Cut,
}

impl Wait {
    /// How long it may take.
    pub(super) fn limit(self) -> Duration {
        match self {
            Self::Answer => ANSWER_TIME,
            Self::Close => CLOSE_TIME,
            Self::Reset => RESET_TIME,
            Self::Cut => CUT_TIME,
        }
    }
}

impl Machine {
    /// When the next thing is due, as far as is known `now`; [`Self::tick`] does it. A limit starts when
    /// this first sees that it is waited for.
    pub(in crate::tunnel) fn deadline(&mut self, now: Instant) -> Option<Instant> {
        let wait = self.wait();
        if self.waiting.map(|(wait, _)| wait) != wait {
            self.waiting = wait.map(|wait| (wait, now + wait.limit()));
        }
        let waits_until = self.waiting.map(|(_, until)| until);
        waits_until.into_iter().chain(self.looks_at()).min()
    }

    /// Does what is due `now`; `random` fills bytes that nobody can foretell. Says whether anything has
    /// changed.
    pub(in crate::tunnel) fn tick(
        &mut self,
        now: Instant,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> bool {
        self.deadline(now);
        match self.waiting {
            Some((wait, until)) if until <= now => {
                self.expired(wait);
                true
            }
            Some(_) | None => self.look_after(now, random),
        }
    }

    /// What the tunnel waits for under a limit, if it does. The limit starts when this changes.
    pub(super) fn wait(&self) -> Option<Wait> {
        let lost = |flow: &Flow| flow.inlet == Inlet::Lost;
        match self.phase {
            Phase::Over => None,
            Phase::Cut => Some(Wait::Cut),
            Phase::Failing(_) if self.awaits_answer() => Some(Wait::Answer),
            Phase::Failing(_) | Phase::Closing => Some(Wait::Close),
            _ if lost(&self.from_client) || lost(&self.from_backend) => Some(Wait::Reset),
            _ if self.from_client.has_closed() && self.from_backend.has_closed() => {
                Some(Wait::Close)
            }
            Phase::Open | Phase::Draining => None,
        }
    }

    /// Whether an offender is still to hear what the other peer answers.
    fn awaits_answer(&self) -> bool {
        let open = |flow: &Flow| flow.outlet == Outlet::Open;
        open(&self.from_client) || open(&self.from_backend)
    }

    /// The limit of [`Self::wait`] has passed.
    pub(super) fn expired(&mut self, wait: Wait) {
        match wait {
            Wait::Answer => self.say_refusal(),
            Wait::Close => self.cut(),
            Wait::Reset => {
                self.abrupt = [true; 2];
                self.phase = Phase::Over;
            }
            Wait::Cut => self.phase = Phase::Over,
        }
    }
}
