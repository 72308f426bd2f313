//! Documents as their users write them, through the public API.

mod documents;
