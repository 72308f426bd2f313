//! What proxying and probing both need and the core must not have: dialling, TLS to backends, DNS,
//! certificates and files that change.

#![forbid(unsafe_code)]

pub mod backend_tls;
pub mod certificates;
pub mod dial;
pub mod dns;
pub mod files;
pub mod material;
