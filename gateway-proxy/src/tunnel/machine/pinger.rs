//! The pings of one leg: when one is due, which pongs answer ours, and what the leg owes to the other peer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use gateway_core::websocket::encode_ping;

use super::Side;

/// The payload of our pings, in bytes: random, so that no peer can foretell one.
pub(super) const PAYLOAD: usize = 8;

/// So many pings may go unanswered.
const MOST_UNANSWERED: u8 = 2;

/// So many Pings of the other peer are remembered. Of a flood of them that gets no Pong, the oldest are
/// forgotten.
const REMEMBERED: usize = 16;

/// One leg's pings. A peer that sends anything at all is alive, and needs none.
#[derive(Debug)]
pub(super) struct Pinger {
    /// When the peer was last heard, or asked.
    since: Instant,
    /// How often it was asked since it was last heard.
    asked: u8,
    /// Payload and mask of a Ping that waits for a frame boundary on its way to the peer.
    waiting: Option<([u8; PAYLOAD], [u8; 4])>,
    /// What went out to the peer and may still have a Pong, in that order. Two of ours at most, since a
    /// Pong that is not known as ours would pass.
    out: VecDeque<Ping>,
    /// When our last one went out.
    sent_at: Instant,
    round_trip: Option<Duration>,
    /// Whether the other peer's last Ping has no Pong. A peer may answer the latest Ping alone (RFC 6455
    /// section 5.5.3), so one of ours behind it would displace that Pong.
    owes: bool,
}

/// A Ping that has gone to the peer.
#[derive(Debug)]
enum Ping {
    Ours([u8; PAYLOAD]),
    /// The other peer's.
    Passed(Box<[u8]>),
}

impl Ping {
    fn payload(&self) -> &[u8] {
        match self {
            Self::Ours(payload) => payload,
            Self::Passed(payload) => payload,
        }
    }

    fn is_ours(&self) -> bool {
        matches!(self, Self::Ours(_))
    }
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
            out: VecDeque::new(),
            sent_at: now,
            round_trip: None,
            owes: false,
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
        let is_full = self.ours() == 2;
        if is_full && !self.owes && !self.out.back().is_some_and(Ping::is_ours) {
            // Both of ours may have been displaced by Pings like others, which is no silence.
            return Due::Nothing;
        }
        self.asked += 1;
        match self.owes || is_full {
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
        if self.owes {
            return None;
        }
        self.out.push_back(Ping::Ours(payload));
        self.sent_at = now;
        let mask = (to == Side::Backend).then_some(mask);
        Some(encode_ping(&payload, mask))
    }

    fn ours(&self) -> usize {
        self.out.iter().filter(|ping| ping.is_ours()).count()
    }

    /// Whether a Pong to a Ping of ours may come.
    pub(super) fn awaits(&self) -> bool {
        self.ours() > 0
    }

    /// The other peer's Ping has passed to this one.
    pub(super) fn pinged(&mut self, payload: Vec<u8>) {
        let passed = self.out.iter().filter(|ping| !ping.is_ours());
        if passed.count() == REMEMBERED
            && let Some(oldest) = self.out.iter().position(|ping| !ping.is_ours())
        {
            self.out.remove(oldest);
        }
        self.out.push_back(Ping::Passed(payload.into_boxed_slice()));
        self.owes = true;
    }

    /// A Pong has come. Says whether it is ours, and not to pass.
    ///
    /// Of several Pings alike it may answer any. For what the other peer is owed, it is taken for the
    /// last one's, since whoever pings twice alike has its answer by one Pong; for which Pongs may still
    /// come, for the first one's.
    pub(super) fn ponged(&mut self, payload: &[u8], now: Instant) -> bool {
        let Some(at) = self.out.iter().position(|ping| ping.payload() == payload) else {
            return false;
        };
        // None of ours goes out behind one that is owed its Pong.
        self.owes &= self
            .out
            .back()
            .is_some_and(|last| last.payload() != payload);
        // Pongs come in order, and a peer may answer the latest alone: those before have none any more.
        let is_ours = self
            .out
            .drain(..=at)
            .next_back()
            .is_some_and(|ping| ping.is_ours());
        if is_ours && !self.awaits() {
            self.round_trip = Some(now.saturating_duration_since(self.sent_at));
        }
        is_ours
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
    fn of_pings_alike_the_first_may_be_answered_last() {
        let start = Instant::now();
        let mut pinger = Pinger::new(start);
        pinger.pinged(b"alike".to_vec());
        pinger.pinged(b"alike".to_vec());
        assert!(!pinger.ponged(b"alike", start));
        assert!(ask(&mut pinger, FIRST, start));
        pinger.pinged(b"other".to_vec());
        pinger.pinged(b"alike".to_vec());
        assert!(!pinger.ponged(b"alike", start), "the second one's");
        assert!(pinger.ponged(&FIRST, start));
        assert!(!pinger.ponged(b"other", start));
        assert!(!pinger.ponged(b"alike", start));
        assert!(ask(&mut pinger, OTHER, start));
    }

    #[test]
    fn pings_that_may_have_been_displaced_prove_no_silence() {
        let start = Instant::now();
        let mut pinger = Pinger::new(start);
        for _ in 0..3 {
            pinger.pinged(b"alike".to_vec());
        }
        // This peer answers the latest alone.
        for ours in [FIRST, OTHER] {
            assert!(!pinger.ponged(b"alike", start));
            assert!(ask(&mut pinger, ours, start));
            pinger.pinged(b"alike".to_vec());
        }
        assert!(!pinger.ponged(b"alike", start));
        for round in 1..10 {
            let now = start + SECOND * 10 * round;
            assert_eq!(pinger.due(now, SECOND * 10, true, true), Due::Nothing);
        }
    }

    #[test]
    fn of_a_flood_of_pings_the_last_are_remembered() {
        let start = Instant::now();
        let mut pinger = Pinger::new(start);
        assert!(ask(&mut pinger, FIRST, start));
        for number in 0..1000_u32 {
            pinger.pinged(number.to_be_bytes().to_vec());
        }
        assert_eq!(pinger.out.len(), 1 + REMEMBERED);
        assert!(!pinger.ponged(&983_u32.to_be_bytes(), start), "forgotten");
        assert!(pinger.ponged(&FIRST, start));
        assert!(!pinger.ponged(&999_u32.to_be_bytes(), start));
        assert!(pinger.out.is_empty());
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
