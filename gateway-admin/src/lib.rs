//! The REST admin API. Knows the rest of the process only through [`Control`].

#![forbid(unsafe_code)]

mod control;

pub use control::{
    Applied, ApplyError, Control, HealthReport, MemberHealth, Precondition, Published, Write,
};
