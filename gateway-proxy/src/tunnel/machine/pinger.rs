//! The pings of one leg: when one is due, which pongs answer ours, and what the leg owes to the other peer.

use std::time::{Duration, Instant};

use gateway_core::websocket::encode_ping;

use super::Side;

/// The payload of our pings, in bytes: random, so that no peer can foretell one.
pub(super) const PAYLOAD: usize = 8;

/// So many pings may go unanswered.
const MOST_UNANSWERED: u8 = 2;

/// One leg's pings. A peer that sends anything at all is alive, and needs none.
#[derive(Debug)]
pub(super) struct Pinger {
    /// When the peer was last heard, or asked.
    since: Instant,
    /// How often it was asked since it was last heard.
    asked: u8,
    /// Payload and mask of a Ping that waits for a frame boundary on its way to the peer.
    waiting: Option<([u8; PAYLOAD], [u8; 4])>,
    /// Those that went out and may still have a Pong, the last first. There are never more, since a Pong
    /// that is not known as ours would pass.
    open: [Option<[u8; PAYLOAD]>; 2],
    /// When the last one went out.
    sent_at: Instant,
    round_trip: Option<Duration>,
    /// The payload of the other peer's last Ping to this one while that has no Pong. A peer may answer
    /// the latest Ping alone (RFC 6455 section 5.5.3), so one of ours behind it would displace that
    /// Pong.
    owed: Option<Box<[u8]>>,
}

/// What a leg that has been silent is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing yet, or Pings that are out are its question already.
    Nothing,
    /// A Ping.
    Ping,
    /// The end: it was asked twice, and is silent.
    End,
}

impl Pinger {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            asked: 0,
            waiting: None,
            open: [None; 2],
            sent_at: now,
            round_trip: None,
            owed: None,
        }
    }

    /// Something came from the peer.
    pub(super) fn heard(&mut self, now: Instant) {
        self.since = now;
        self.asked = 0;
    }

    /// When this is to be looked at next, under `interval`.
    pub(super) fn due_at(&self, interval: Duration) -> Instant {
        self.since + interval
    }

    /// What is due `now`. `listens`: what the peer says is read. `reaches`: all that went its way before
    /// has been taken by the kernel. A peer that we do not listen to, or that we do not reach, proves
    /// nothing by its silence.
    pub(super) fn due(
        &mut self,
        now: Instant,
        interval: Duration,
        listens: bool,
        reaches: bool,
    ) -> Due {
        if now < self.due_at(interval) {
            return Due::Nothing;
        }
        self.since = now;
        if !listens || !reaches || self.waiting.is_some() {
            return Due::Nothing;
        }
        if self.asked == MOST_UNANSWERED {
            return Due::End;
        }
        self.asked += 1;
        match self.owed.is_some() || self.open[1].is_some() {
            true => Due::Nothing,
            false => Due::Ping,
        }
    }

    /// A Ping with this payload is to go out at the next frame boundary, with `mask` if it must be.
    pub(super) fn ask(&mut self, payload: [u8; PAYLOAD], mask: [u8; 4]) {
        self.waiting = Some((payload, mask));
    }

    /// Whether a Ping waits for a boundary.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// The Ping that waits, at a boundary, to be sent `to` the peer there. None where the other peer's
    /// Ping has gone before it.
    pub(super) fn send(&mut self, to: Side, now: Instant) -> Option<Vec<u8>> {
        let (payload, mask) = self.waiting.take()?;
        if self.owed.is_some() {
            return None;
        }
        self.open = [Some(payload), self.open[0]];
        self.sent_at = now;
        let mask = (to == Side::Backend).then_some(mask);
        Some(encode_ping(&payload, mask))
    }

    /// Whether a Pong to a Ping of ours may come.
    pub(super) fn awaits(&self) -> bool {
        self.open[0].is_some() || self.open[1].is_some()
    }

    /// The other peer's Ping has passed to this one.
    pub(super) fn pinged(&mut self, payload: Vec<u8>) {
        self.owed = Some(payload.into_boxed_slice());
    }

    /// A Pong has come. Says whether it is ours, and not to pass.
    pub(super) fn ponged(&mut self, payload: &[u8], now: Instant) -> bool {
        let is_ours = |open: &Option<[u8; PAYLOAD]>| open.is_some_and(|ours| ours == payload);
        let Some(at) = self.open.iter().position(is_ours) else {
            if self.owed.as_deref() == Some(payload) {
                self.owed = None;
                // Ours went before, and a peer may answer the latest alone.
                self.open = [None; 2];
            }
            return false;
        };
        if at == 0 {
            self.round_trip = Some(now.saturating_duration_since(self.sent_at));
            // Pongs come in order: an older Ping has none any more.
            self.open[0] = None;
        }
        self.open[1] = None;
        true
    }

    /// The last Ping's time to its Pong.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const FIRST: [u8; PAYLOAD] = [1; PAYLOAD];
    const OTHER: [u8; PAYLOAD] = [2; PAYLOAD];
    const MASK: [u8; 4] = [0; 4];

    fn ask(pinger: &mut Pinger, payload: [u8; PAYLOAD], now: Instant) -> bool {
        pinger.ask(payload, MASK);
        pinger.send(Side::Client, now).is_some()
    }

    #[test]
    fn silence_is_answered_by_two_pings_and_the_end() {
        let start = Instant::now();
        let mut pinger = Pinger::new(start);
        let mut due = |seconds| pinger.due(start + SECOND * seconds, SECOND * 10, true, true);
        assert_eq!(due(9), Due::Nothing);
        assert_eq!(due(10), Due::Ping);
        assert_eq!(due(19), Due::Nothing);
        assert_eq!(due(20), Due::Ping);
        assert_eq!(due(29), Due::Nothing);
        assert_eq!(due(30), Due::End);
    }

    #[test]
    fn whoever_is_heard_is_asked_anew() {
        let start = Instant::now();
        let mut pinger = Pinger::new(start);
        for round in 1..10 {
            let now = start + SECOND * 10 * round;
            assert_eq!(pinger.due(now, SECOND * 5, true, true), Due::Ping);
            pinger.heard(now + SECOND);
        }
    }

    #[test]
    fn silence_proves_nothing_of_a_peer_that_is_not_heard_or_not_reached() {
        for (listens, reaches) in [(false, true), (true, false)] {
            let start = Instant::now();
            let mut pinger = Pinger::new(start);
            for second in 1..10 {
                let now = start + SECOND * second;
                assert_eq!(pinger.due(now, SECOND, listens, reaches), Due::Nothing);
            }
            assert_eq!(
                pinger.due(start + SECOND * 10, SECOND, true, true),
                Due::Ping
            );
        }
    }

    #[test]
    fn a_ping_that_waits_for_its_boundary_is_no_question_yet() {
        let start = Instant::now();
        let mut pinger = Pinger::new(start);
        assert_eq!(pinger.due(start + SECOND, SECOND, true, true), Due::Ping);
        pinger.ask(FIRST, MASK);
        for second in 2..10 {
            let now = start + SECOND * second;
            assert_eq!(pinger.due(now, SECOND, true, true), Due::Nothing);
        }
    }

    #[test]
    fn behind_the_other_peers_ping_none_of_ours_goes_out() {
        let start = Instant::now();
        let mut pinger = Pinger::new(start);
        pinger.pinged(b"theirs".to_vec());
        let due = |pinger: &mut Pinger, seconds| {
            pinger.due(start + SECOND * seconds, SECOND * 10, true, true)
        };
        assert_eq!(due(&mut pinger, 10), Due::Nothing, "5.5.3");
        assert_eq!(due(&mut pinger, 20), Due::Nothing, "5.5.3");
        assert_eq!(due(&mut pinger, 30), Due::End, "theirs is a question, too");

        let mut pinger = Pinger::new(start);
        pinger.ask(FIRST, MASK);
        pinger.pinged(b"theirs".to_vec());
        assert_eq!(pinger.send(Side::Client, start), None, "it came before");
        pinger.pinged(b"again".to_vec());
        assert!(!pinger.ponged(b"theirs", start));
        assert!(
            !ask(&mut pinger, FIRST, start),
            "the last one has no Pong yet"
        );
        assert!(!pinger.ponged(b"again", start));
        assert!(ask(&mut pinger, FIRST, start));
    }

    #[test]
    fn pongs_to_our_pings_are_ours_and_no_others() {
        let start = Instant::now();
        let mut pinger = Pinger::new(start);
        assert!(!pinger.ponged(&FIRST, start), "nothing was asked");
        assert!(ask(&mut pinger, FIRST, start));
        assert!(pinger.awaits());
        assert!(ask(&mut pinger, OTHER, start + SECOND));
        assert!(pinger.ponged(&FIRST, start + SECOND * 2), "late, but ours");
        assert_eq!(pinger.round_trip(), None);
        assert!(pinger.ponged(&OTHER, start + SECOND * 4));
        assert_eq!(pinger.round_trip(), Some(SECOND * 3));
        assert!(!pinger.ponged(&OTHER, start), "once");
        assert!(!pinger.awaits());
    }

    #[test]
    fn an_answer_to_the_last_ping_answers_those_before_it() {
        let start = Instant::now();
        let mut pinger = Pinger::new(start);
        ask(&mut pinger, FIRST, start);
        ask(&mut pinger, OTHER, start);
        assert!(pinger.ponged(&OTHER, start));
        assert!(!pinger.awaits());
        // The other peer's comes while ours is out, and is the only one that is answered.
        ask(&mut pinger, FIRST, start);
        pinger.pinged(b"theirs".to_vec());
        assert!(pinger.awaits());
        assert!(!pinger.ponged(b"theirs", start));
        assert!(!pinger.awaits(), "5.5.3");
    }

    #[test]
    fn a_peer_that_speaks_and_does_not_answer_has_two_pings_to_answer_and_no_more() {
        let start = Instant::now();
        let mut pinger = Pinger::new(start);
        let mut pings = 0;
        for round in 1..10 {
            let now = start + SECOND * 10 * round;
            if pinger.due(now, SECOND * 5, true, true) == Due::Ping {
                assert!(ask(&mut pinger, [round as u8; PAYLOAD], now));
                pings += 1;
            }
            pinger.heard(now + SECOND);
        }
        assert_eq!(pings, 2);
    }
}
