//! What a gateway *is*, without sockets, clocks or a runtime.
//!
//! Two forms of the configuration live here: [`resource`], the document as its user wrote it, and
//! [`config`], what is left when it has been checked. [`snapshot`] is the compiled form that workers
//! route by, [`routing`] and [`health`] are the decisions, [`websocket`] the rules of RFC 6455;
//! [`tunnels`] is what is told of open ones.
//!
//! Time, order and randomness come in as arguments.

#![forbid(unsafe_code)]

pub mod config;
#[cfg(any(test, feature = "fixtures"))]
pub mod fixtures;
pub mod health;
pub mod name;
pub mod resource;
pub mod routing;
pub mod snapshot;
pub mod tunnels;
pub mod websocket;
