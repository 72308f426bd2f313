//! Documents as their users write them, through the public API.

mod carry_over;
mod decisions;
mod documents;
