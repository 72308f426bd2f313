//! What tunnels carry, counted as it passes: messages and bytes by opcode and direction, and how long
//! messages are.

use std::time::Duration;

use gateway_core::websocket::Opcode;

use crate::metrics::Count;

/// What is counted apart. A message in many frames counts once, by its first.
pub(crate) const KINDS: [&str; 5] = ["text", "binary", "ping", "pong", "close"];

/// Upper bounds of the message sizes' buckets, in bytes; one more bucket has none.
pub(crate) const SIZES: [u64; 8] = [
    64,
    256,
    1024,
    4 * 1024,
    16 * 1024,
    64 * 1024,
    256 * 1024,
    1024 * 1024,
];

/// Upper bounds of the round trips' buckets, in seconds; one more bucket has none.
pub(crate) const ROUND_TRIPS: [f64; 9] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// Many tunnels' traffic. One thread writes it; lengths are payloads', without frame headers. What
/// the gateway itself says is not in it, nor the Pongs to its own Pings.
#[derive(Debug, Default)]
pub(crate) struct TunnelMeter {
    /// From clients to backends.
    pub(crate) to_backend: DirectionMeter,
    /// From backends to clients.
    pub(crate) to_client: DirectionMeter,
}

/// One direction's part.
#[derive(Debug, Default)]
pub(crate) struct DirectionMeter {
    /// By [`KINDS`].
    pub(crate) kinds: [KindMeter; KINDS.len()],
    /// Text and binary messages by [`SIZES`].
    pub(crate) sizes: [Count; SIZES.len() + 1],
    /// From Pings of the gateway's to the Pongs that came this way, by [`ROUND_TRIPS`].
    pub(crate) round_trips: [Count; ROUND_TRIPS.len() + 1],
    /// Their sum.
    pub(crate) round_trip_micros: Count,
}

/// One kind of frame's part.
#[derive(Debug, Default)]
pub(crate) struct KindMeter {
    pub(crate) messages: Count,
    pub(crate) bytes: Count,
}

impl DirectionMeter {
    /// Counts a message, or a control frame.
    pub(crate) fn count(&self, opcode: Opcode, length: u64) {
        let kind = match opcode {
            Opcode::Text => 0,
            Opcode::Binary | Opcode::Continuation => 1,
            Opcode::Ping => 2,
            Opcode::Pong => 3,
            Opcode::Close => 4,
        };
        self.kinds[kind].messages.add(1);
        self.kinds[kind].bytes.add(length);
        if !opcode.is_control() {
            let bucket = SIZES.partition_point(|bound| *bound < length);
            self.sizes[bucket].add(1);
        }
    }

    /// Counts the time from a Ping of the gateway's to its Pong.
    pub(crate) fn count_round_trip(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.round_trips[ROUND_TRIPS.partition_point(|bound| *bound < seconds)].add(1);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.round_trip_micros.add(micros);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_fall_into_their_buckets() {
        let rows = [
            (0, 0),
            (64, 0),
            (65, 1),
            (1024, 2),
            (1025, 3),
            (1024 * 1024, 7),
            (u64::MAX, 8),
        ];
        for (length, bucket) in rows {
            let meter = DirectionMeter::default();
            meter.count(Opcode::Text, length);
            assert_eq!(meter.sizes[bucket].get(), 1, "{length}");
        }
    }

    #[test]
    fn round_trips_fall_into_their_buckets() {
        let meter = DirectionMeter::default();
        for micros in [900, 1000, 30_000, 9_000_000] {
            meter.count_round_trip(Duration::from_micros(micros));
        }
        let counted = meter.round_trips.each_ref().map(Count::get);
        assert_eq!(counted, [2, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
        assert_eq!(meter.round_trip_micros.get(), 9_031_900);
    }

    #[test]
    fn control_frames_have_kinds_but_no_size() {
        let meter = DirectionMeter::default();
        for (opcode, length) in [(Opcode::Ping, 3), (Opcode::Pong, 4), (Opcode::Close, 5)] {
            meter.count(opcode, length);
        }
        let counted = meter.kinds.each_ref();
        let counted = counted.map(|kind| (kind.messages.get(), kind.bytes.get()));
        assert_eq!(counted, [(0, 0), (0, 0), (1, 3), (1, 4), (1, 5)]);
        assert!(meter.sizes.iter().all(|size| size.get() == 0));
    }
}
