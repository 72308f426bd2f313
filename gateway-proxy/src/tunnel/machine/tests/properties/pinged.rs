//! The same with pings of ours at random moments, and peers that answer all pings or only the last.

use std::collections::VecDeque;

use tungstenite::protocol::frame::coding::{Control, OpCode};

use super::*;

/// What happens next.
#[derive(Debug, Clone)]
enum Event {
    /// As ever.
    Move(Step),
    /// So many milliseconds pass, and what is due is done.
    Wait(u64),
    /// A peer answers the pings that it has got: all of them, or the last one only.
    Answer(Side, bool),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        200 => step(false).prop_map(Event::Move),
        1 => Just(Event::Move(Step::Drain)),
        60 => (0..1500u64).prop_map(Event::Wait),
        60 => (side(), any::<bool>()).prop_map(|(side, all)| Event::Answer(side, all)),
    ]
}

/// A ping that a peer has got.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    payload: Vec<u8>,
    ours: bool,
}

/// One peer: what it sends, frame by frame, and what it has made of what it got.
#[derive(Default)]
struct Peer {
    /// What it is still to send: answers first.
    pongs: VecDeque<Vec<u8>>,
    frames: VecDeque<Vec<u8>>,
    /// How much of what it got it has looked at.
    looked: usize,
    asked: Vec<Asked>,
    /// The pongs that it has sent to the other peer's pings.
    answers: Vec<Vec<u8>>,
}

struct PingedEnds {
    ends: Ends,
    peers: [Peer; 2],
    /// The payloads of our pings, told by the randomness that they are made of.
    pings: u64,
}

impl PingedEnds {
    fn new(scripts: &[Script; 2]) -> Self {
        let mut ends = Ends::new(Default::default());
        let settings = TunnelSettings {
            ping_interval: Some(Duration::from_secs(1)),
            ..TunnelSettings::default()
        };
        ends.machine = super::super::machine_under(&settings, ends.now);
        let peer = |from: Side| Peer {
            frames: split(&wire(from, &scripts[from as usize])),
            ..Peer::default()
        };
        Self {
            ends,
            peers: Side::BOTH.map(peer),
            pings: 0,
        }
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::Move(step) => {
                if let Step::Read(side, count, _) = step {
                    self.offer(*side, *count);
                }
                self.ends.take(step);
            }
            // Nobody answers the Close here, which would be waited for in vain.
            Event::Wait(_) if self.has_ended() => {}
            Event::Wait(millis) => {
                self.ends.now += Duration::from_millis(*millis);
                let Self { ends, pings, .. } = self;
                ends.machine.observe([false; 2], ends.now);
                ends.machine.tick(ends.now, &mut |bytes| {
                    *pings += 1;
                    // Scripted pings hold no such bytes.
                    let marked = (0xffff_0000_0000_0000 | *pings).to_be_bytes();
                    bytes.copy_from_slice(&marked[..bytes.len()]);
                });
            }
            Event::Answer(side, all) => self.answer(*side, *all),
        }
        for side in Side::BOTH {
            self.look(side);
        }
    }

    fn has_ended(&self) -> bool {
        self.ends.machine.summary(Duration::ZERO).cause != EndCause::Abandoned
    }

    /// Lets the next `count` bytes of `side` be there to be read.
    fn offer(&mut self, side: Side, count: usize) {
        let source = &mut self.ends.sources[side as usize];
        let peer = &mut self.peers[side as usize];
        while source.len() < self.ends.read[side as usize] + count {
            let pong = peer.pongs.pop_front();
            match pong.or_else(|| peer.frames.pop_front()) {
                Some(frame) => source.extend(frame),
                None => break,
            }
        }
    }

    /// Sees what pings have come.
    fn look(&mut self, side: Side) {
        let sink = &self.ends.sinks[side as usize];
        let peer = &mut self.peers[side as usize];
        while let Some((header, payload, next)) = frame_at(sink, peer.looked) {
            peer.looked = next;
            if header.opcode == OpCode::Control(Control::Ping) {
                let ours = is_ours(&payload);
                if ours {
                    // Whoever pings twice alike has its answer by one Pong.
                    let is_owed =
                        |asked: &&Asked| !asked.ours && !peer.answers.contains(&asked.payload);
                    let displaced = peer.asked.iter().find(is_owed);
                    assert_eq!(displaced, None, "5.5.3: its pong is displaced");
                }
                peer.asked.push(Asked { payload, ours });
            }
        }
    }

    fn answer(&mut self, side: Side, all: bool) {
        let peer = &mut self.peers[side as usize];
        let mut asked = std::mem::take(&mut peer.asked);
        if !all {
            asked.drain(..asked.len().saturating_sub(1));
        }
        for Asked { payload, ours } in asked {
            peer.pongs.push_back(frame(side, true, 10, &payload));
            if !ours {
                peer.answers.push(payload);
            }
        }
    }

    fn run_out(&mut self) {
        for side in Side::BOTH {
            self.offer(side, 1 << 40);
        }
        self.ends.run_out();
        for side in Side::BOTH {
            self.look(side);
        }
    }
}

/// Whether our randomness made this payload. No scripted one is like it.
fn is_ours(payload: &[u8]) -> bool {
    payload.len() == 8 && payload[..2] == [0xff; 2]
}

/// The frame at `at`, unmasked, if it is whole, and where it ends.
fn frame_at(stream: &[u8], at: usize) -> Option<(FrameHeader, Vec<u8>, usize)> {
    let mut cursor = io::Cursor::new(&stream[at..]);
    let (header, length) = FrameHeader::parse(&mut cursor).unwrap()?;
    let start = at + cursor.position() as usize;
    let next = start + usize::try_from(length).unwrap();
    let mut payload = stream.get(start..next)?.to_vec();
    let mask = header.mask.unwrap_or_default();
    for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
    Some((header, payload, next))
}

fn split(stream: &[u8]) -> VecDeque<Vec<u8>> {
    let mut frames = VecDeque::new();
    let mut at = 0;
    while let Some((_, _, next)) = frame_at(stream, at) {
        frames.push_back(stream[at..next].to_vec());
        at = next;
    }
    frames
}

proptest! {
    #[test]
    fn with_pings_both_ends_read_the_other_ends_messages_pings_and_pongs(
        scripts in scripts(),
        events in prop::collection::vec(event(), 0..300),
    ) {
        let mut tunnel = PingedEnds::new(&scripts);
        events.iter().for_each(|event| tunnel.take(event));
        tunnel.run_out();
        let ended = tunnel.has_ended();
        for from in Side::BOTH {
            let to = from.other();
            let sink = &tunnel.ends.sinks[to as usize];
            let (read, code) = read_by_tungstenite(to, sink);
            prop_assert_eq!(code, ended.then_some(1001));
            prop_assert!(!ended || before_last_close(sink).is_some(), "nothing behind the Close");
            let sent = messages(&scripts[from as usize]);
            prop_assert!(sent.starts_with(&read) && (ended || sent.len() == read.len()));
            let script = &scripts[from as usize];
            let pings: Vec<_> = controls_of(&wire(from, script), Control::Ping);
            let answers = &tunnel.peers[from as usize].answers;
            for (kind, sent) in [(Control::Ping, &pings), (Control::Pong, answers)] {
                let mut got = controls_of(sink, kind);
                got.retain(|payload| kind == Control::Pong || !is_ours(payload));
                prop_assert!(sent.starts_with(&got), "{kind:?}");
                prop_assert!(ended || sent.len() == got.len(), "{kind:?}");
            }
        }
    }
}

fn controls_of(stream: &[u8], kind: Control) -> Vec<Vec<u8>> {
    let mut at = 0;
    let mut found = Vec::new();
    while let Some((header, payload, next)) = frame_at(stream, at) {
        at = next;
        if header.opcode == OpCode::Control(kind) {
            found.push(payload);
        }
    }
    found
}
