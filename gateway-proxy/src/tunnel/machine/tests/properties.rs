//! Random frame streams, split, stalled and drained at random: what comes out of both ends is read by
//! tungstenite.

mod pinged;

use std::io::{self, Read, Write};

use proptest::prelude::*;
use tungstenite::Message;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};

use super::super::*;

/// A message, cut into frames, with pings between them.
#[derive(Debug, Clone)]
struct Scripted {
    text: bool,
    payload: Vec<u8>,
    frames: usize,
    ping: Option<Vec<u8>>,
}

/// What the driver does next.
#[derive(Debug, Clone)]
enum Step {
    /// Read up to so many bytes from a side, of which so many per mille are written at once.
    Read(Side, usize, usize),
    /// Write up to so many waiting bytes to a side.
    Write(Side, usize),
    /// Start to drain.
    Drain,
}

fn scripted() -> impl Strategy<Value = Scripted> {
    let size = prop_oneof![8 => 0..200usize, 2 => 120..130usize, 1 => 65_000..70_000usize];
    let ping = prop::option::weighted(0.3, prop::collection::vec(any::<u8>(), 0..=125));
    (any::<bool>(), size, any::<u8>(), 1..4usize, ping).prop_map(
        |(text, size, byte, frames, ping)| Scripted {
            text,
            payload: vec![byte & 0x7f; size],
            frames,
            ping,
        },
    )
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Client), Just(Side::Backend)]
}

fn step(drains: bool) -> impl Strategy<Value = Step> {
    let size = || prop_oneof![4 => 1..20usize, 2 => 1..500usize, 1 => 1..=READ_LIMIT];
    prop_oneof![
        10 => (side(), size(), 0..=1000usize).prop_map(|(s, n, now)| Step::Read(s, n, now)),
        10 => (side(), size()).prop_map(|(s, n)| Step::Write(s, n)),
        u32::from(drains) => Just(Step::Drain),
    ]
}

/// One frame on the wire, in the direction of `from`.
fn frame(from: Side, fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0x22, 0x33, 0x44];
    let masked = if from == Side::Client { 0x80 } else { 0 };
    let mut bytes = vec![u8::from(fin) << 7 | opcode];
    match payload.len() {
        short @ 0..=125 => bytes.push(masked | short as u8),
        medium @ 126..=0xffff => {
            bytes.push(masked | 126);
            bytes.extend((medium as u16).to_be_bytes());
        }
        long => {
            bytes.push(masked | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    if from == Side::Client {
        bytes.extend(mask);
        bytes.extend(
            payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
    } else {
        bytes.extend(payload);
    }
    bytes
}

fn wire(from: Side, script: &[Scripted]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in script {
        let pieces = message.payload.len().div_ceil(message.frames).max(1);
        let chunks: Vec<_> = match message.payload.is_empty() {
            true => vec![[].as_slice()],
            false => message.payload.chunks(pieces).collect(),
        };
        for (index, chunk) in chunks.iter().enumerate() {
            let opcode = match (index, message.text) {
                (0, true) => 1,
                (0, false) => 2,
                _ => 0,
            };
            bytes.extend(frame(from, index + 1 == chunks.len(), opcode, chunk));
            if let Some(ping) = &message.ping {
                bytes.extend(frame(from, true, 9, ping));
            }
        }
    }
    bytes
}

/// Both ends of a tunnel, and what has come out of it.
struct Ends {
    machine: Machine,
    now: Instant,
    sources: [Vec<u8>; 2],
    read: [usize; 2],
    sinks: [Vec<u8>; 2],
}

impl Ends {
    fn new(sources: [Vec<u8>; 2]) -> Self {
        let start = Instant::now();
        Self {
            machine: super::machine_under(&TunnelSettings::default(), start),
            now: start,
            sources,
            read: [0; 2],
            sinks: Default::default(),
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Read(from, count, now) if self.machine.wants_read(from) => {
                let at = self.read[from as usize];
                let source = &self.sources[from as usize][at..];
                let bytes = &source[..count.min(source.len())];
                self.read[from as usize] += bytes.len();
                let to = from.other();
                let passed = self.machine.receive(from, bytes, self.now);
                let (written, kept) = passed.split_at(passed.len() * now / 1000);
                self.sinks[to as usize].extend(written);
                self.machine.keep(to, kept);
            }
            Step::Read(..) => {}
            Step::Write(to, count) => {
                let queued = self.machine.queued(to);
                let count = count.min(queued.len());
                self.sinks[to as usize].extend(&queued[..count]);
                self.machine.wrote(to, count);
            }
            Step::Drain => self.machine.close(&CloseOrder {
                code: 1001,
                reason: "going away",
                mask: [5, 6, 7, 8],
            }),
        }
        for side in Side::BOTH {
            assert!(self.machine.queued(side).len() <= 64 * 1024, "the bound");
        }
    }

    /// Moves all that is left.
    fn run_out(&mut self) {
        while Side::BOTH.into_iter().any(|side| {
            self.read[side as usize] < self.sources[side as usize].len()
                || !self.machine.queued(side).is_empty()
        }) {
            for side in Side::BOTH {
                self.take(&Step::Read(side, READ_LIMIT, 1000));
                self.take(&Step::Write(side, usize::MAX));
            }
        }
    }
}

/// What tungstenite reads from, and writes its pongs nowhere.
struct OneWay<'b>(&'b [u8]);

impl Read for OneWay<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for OneWay<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `reader` makes of a stream: its data messages, and the code of the Close that ends them.
fn read_by_tungstenite(reader: Side, stream: &[u8]) -> (Vec<Message>, Option<u16>) {
    let role = match reader {
        Side::Client => Role::Client,
        Side::Backend => Role::Server,
    };
    let config = WebSocketConfig::default().read_buffer_size(512);
    let mut socket = WebSocket::from_raw_socket(OneWay(stream), role, Some(config));
    let mut messages = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Close(close)) => {
                return (messages, close.map(|frame| frame.code.into()));
            }
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(message) => messages.push(message),
            Err(tungstenite::Error::Protocol(
                tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            )) => return (messages, None),
            Err(error) => panic!("{reader:?} reads nonsense: {error}"),
        }
    }
}

/// The stream without the last frame, which is a Close, if it ends with one behind whole frames.
fn before_last_close(stream: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    while at < stream.len() {
        let mut cursor = io::Cursor::new(&stream[at..]);
        let (header, length) = FrameHeader::parse(&mut cursor).unwrap()?;
        let next = at + cursor.position() as usize + usize::try_from(length).unwrap();
        let is_close = u8::from(header.opcode) == 8;
        if is_close {
            return (next == stream.len()).then_some(&stream[..at]);
        }
        at = next;
    }
    None
}

fn messages(script: &[Scripted]) -> Vec<Message> {
    let message = |scripted: &Scripted| match scripted.text {
        true => Message::text(String::from_utf8(scripted.payload.clone()).unwrap()),
        false => Message::binary(scripted.payload.clone()),
    };
    script.iter().map(message).collect()
}

type Script = Vec<Scripted>;

fn scripts() -> impl Strategy<Value = [Script; 2]> {
    let script = || prop::collection::vec(scripted(), 0..6);
    (script(), script()).prop_map(|(client, backend)| [client, backend])
}

proptest! {
    #[test]
    fn without_a_drain_every_byte_passes_in_order(
        scripts in scripts(),
        steps in prop::collection::vec(step(false), 0..200),
    ) {
        let sources = [wire(Side::Client, &scripts[0]), wire(Side::Backend, &scripts[1])];
        let mut ends = Ends::new(sources.clone());
        steps.iter().for_each(|step| ends.take(step));
        ends.run_out();
        for from in Side::BOTH {
            let (source, sink) = (&sources[from as usize], &ends.sinks[from.other() as usize]);
            prop_assert!(source == sink, "{from:?}: {} of {}", sink.len(), source.len());
            let summary = ends.machine.summary(Duration::ZERO);
            let traffic = [summary.to_backend, summary.to_client][from as usize];
            prop_assert_eq!(traffic.bytes, source.len() as u64);
            prop_assert_eq!(traffic.messages, scripts[from as usize].len() as u64);
            let script = &scripts[from as usize];
            let kinds = &ends.machine.passage(from, ends.now).1.meter.kinds;
            for (kind, is_text) in kinds.iter().zip([true, false]) {
                let alike = script.iter().filter(|message| message.text == is_text);
                let lengths: Vec<_> = alike.map(|message| message.payload.len() as u64).collect();
                prop_assert_eq!(kind.messages.get(), lengths.len() as u64);
                prop_assert_eq!(kind.bytes.get(), lengths.iter().sum::<u64>());
            }
        }
    }

    #[test]
    fn with_a_drain_both_ends_read_whole_messages_and_a_close(
        scripts in scripts(),
        before in prop::collection::vec(step(false), 0..60),
        after in prop::collection::vec(step(true), 0..60),
    ) {
        let sources = [wire(Side::Client, &scripts[0]), wire(Side::Backend, &scripts[1])];
        let mut ends = Ends::new(sources.clone());
        before.iter().for_each(|step| ends.take(step));
        ends.take(&Step::Drain);
        after.iter().for_each(|step| ends.take(step));
        ends.run_out();
        for from in Side::BOTH {
            let to = from.other();
            let sink = &ends.sinks[to as usize];
            let data = before_last_close(sink);
            prop_assert!(data.is_some(), "{to:?} gets a Close, and nothing behind it");
            prop_assert!(sources[from as usize].starts_with(data.unwrap()), "{to:?}");
            let (read, code) = read_by_tungstenite(to, sink);
            prop_assert_eq!(code, Some(1001));
            let sent = messages(&scripts[from as usize]);
            prop_assert!(sent.starts_with(&read), "{to:?} reads {} messages", read.len());
        }
    }

    #[test]
    fn hostile_bytes_never_pass_an_offence(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        steps in prop::collection::vec(step(true), 0..60),
    ) {
        let mut ends = Ends::new([bytes.clone(), bytes.clone()]);
        steps.iter().for_each(|step| ends.take(step));
        ends.run_out();
        for from in Side::BOTH {
            // Panics on a header that tungstenite does not take.
            let sink = &ends.sinks[from.other() as usize];
            if before_last_close(sink).is_some() {
                prop_assert_eq!(sink[1] & 0x80 != 0, from == Side::Client);
            }
        }
    }
}
