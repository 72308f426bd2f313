//! Names of resources: one type per kind, so that a pool is never looked up among listeners.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A name as it was written, compared without regard to ASCII case, as Application Gateway compares
/// ids. Cloning shares the text.
#[derive(Clone)]
struct CaselessName(Arc<str>);

impl CaselessName {
    fn lowered(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl PartialEq for CaselessName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for CaselessName {}

impl PartialOrd for CaselessName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for CaselessName {
    fn cmp(&self, other: &Self) -> Ordering {
        let (this, that) = (self.0.as_bytes(), other.0.as_bytes());
        let pairs = this.iter().zip(that);
        // Most names differ in few places.
        let differ = pairs.filter(|(this, that)| this != that);
        let mut orders =
            differ.map(|(this, that)| this.to_ascii_lowercase().cmp(&that.to_ascii_lowercase()));
        orders
            .find(|order| order.is_ne())
            .unwrap_or_else(|| this.len().cmp(&that.len()))
    }
}

impl Hash for CaselessName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.lowered() {
            state.write_u8(byte);
        }
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(CaselessName);

        impl $name {
            /// The name as it was written.
            pub fn as_str(&self) -> &str {
                &self.0.0
            }

            /// The name's text, shared.
            pub fn to_shared(&self) -> Arc<str> {
                Arc::clone(&self.0.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(CaselessName(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }
    )*};
}

names! {
    /// Names an HTTP listener (`httpListeners`).
    ListenerName;
    /// Names a TLS certificate of a listener (`sslCertificates`).
    CertificateName;
    /// Names a root that backends are verified against (`trustedRootCertificates`).
    TrustedRootName;
    /// Names a backend pool (`backendAddressPools`).
    PoolName;
    /// Names HTTP settings (`backendHttpSettingsCollection`).
    HttpSettingsName;
    /// Names a probe (`probes`).
    ProbeName;
    /// Names a routing rule (`requestRoutingRules`).
    RuleName;
}
