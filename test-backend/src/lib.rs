//! One fault-injecting HTTP and WebSocket backend, for the demo, the conformance suite and the benchmark.

#![forbid(unsafe_code)]
