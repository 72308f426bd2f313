//! The core through its public API: documents as their users write them, and what is made of them.

mod arm_templates;
mod bad_documents;
mod carry_over;
mod decisions;
mod documents;
mod edits;
mod hostile;
mod reconfiguration;
