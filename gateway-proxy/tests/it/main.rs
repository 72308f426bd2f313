//! The proxy from outside: raw sockets on both sides, bytes in and bytes out.

mod forwarding;
mod harness;
