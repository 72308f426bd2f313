//! The real binary as its users run it: exit codes, words, signals, files and crashes.

mod api_mode;
mod check;
mod demo;
mod examples;
mod file_mode;
mod refusals;
mod support;
