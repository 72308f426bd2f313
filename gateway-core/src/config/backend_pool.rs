//! Backend pools and their members.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

/// A backend pool. Empty is legal: requests get 502 until it has members.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BackendPool {
    /// The members, in the order written.
    pub targets: Vec<BackendTarget>,
}

/// One member as written; an FQDN stands for as many addresses as DNS gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendTarget {
    /// Address or name.
    pub host: TargetHost,
    /// The member's own port (extension); otherwise the HTTP settings'.
    pub port: Option<NonZeroU16>,
    /// Its share among the members (extension); 1 unless given.
    pub weight: NonZeroU16,
}

/// An address, or a name that DNS resolves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetHost {
    /// `ipAddress`.
    Ip(IpAddr),
    /// `fqdn`, in lower case, without a trailing dot.
    Fqdn(Arc<str>),
}

impl fmt::Display for TargetHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Fqdn(name) => f.write_str(name),
        }
    }
}
