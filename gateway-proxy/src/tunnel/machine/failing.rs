//! What becomes of a tunnel whose peer sends what is no frame, or more than is allowed (RFC 6455
//! section 7.1.7).

use gateway_core::websocket::FrameError;

use super::{CloseOrder, Inlet, Machine, Phase, Side};

/// What was refused, and of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offence {
    pub(super) by: Side,
    pub(super) error: FrameError,
}

impl Offence {
    /// What `to` is told of it. Good frames that were too many or too long are the offender's business
    /// alone; that it goes is the other one's.
    fn close(self, to: Side, mask: [u8; 4]) -> CloseOrder<'static> {
        let (code, reason) = match self.error.is_limit() {
            true if to == self.by => (self.error.close_code(), "more than is allowed here"),
            true => (1001, "the peer sent more than is allowed here"),
            false => (self.error.close_code(), "invalid framing"),
        };
        CloseOrder { code, reason, mask }
    }
}

impl Machine {
    /// Section 7.1.7: fails the connection, for what a peer sent is no frame, or more than is allowed.
    /// Both ends hear of it, at a frame's boundary.
    pub(super) fn fail(&mut self, offence: Offence) {
        if matches!(self.phase, Phase::Failing(_)) {
            return self.say_refusal();
        }
        self.phase = Phase::Failing(offence);
        let told = offence.by.other();
        let answers = self.flow(told);
        if answers.inlet != Inlet::Open || answers.has_closed() {
            return self.say_refusal();
        }
        // The offender's Close comes behind what is on its way to it.
        let frame = offence.close(told, self.mask).frame(told);
        self.flow_mut(offence.by).close_outlet(frame);
    }

    /// Where it fails, tells both ends why, without waiting for an answer any longer.
    pub(super) fn say_refusal(&mut self) {
        if let Phase::Failing(offence) = self.phase {
            for to in Side::BOTH {
                let frame = offence.close(to, self.mask).frame(to);
                self.flow_mut(to.other()).close_outlet(frame);
            }
        }
    }
}
