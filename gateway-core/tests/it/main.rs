//! The core through its public API: documents as their users write them, and what is made of them.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of tests fail as tests do; the enums matched are serde_json's"
)]

mod arm_templates;
mod bad_documents;
mod carry_over;
mod decisions;
mod documents;
mod edits;
mod hostile;
mod puts;
mod reconfiguration;
mod websocket_settings;
