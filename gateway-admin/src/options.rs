//! What an operator decides about the API: who may ask, by which names, and how much at once.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// How the API is guarded.
#[derive(Debug, Clone)]
pub struct AdminOptions {
    /// Asked of every request but `/healthz` and `/readyz`; `None` asks for nothing.
    pub token: Option<Token>,
    /// The names that the API may be called by.
    pub hosts: AllowedHosts,
    /// The longest body that is read, in bytes.
    pub body_limit: usize,
    /// How many may listen to events at a time: each holds a connection for as long as it likes.
    pub event_readers: usize,
    /// A reader of events gets a comment after so long without one, so that both sides find out when
    /// the other is gone.
    pub event_keep_alive: Duration,
}

impl Default for AdminOptions {
    /// No token, loopback names only, 8 MiB, 32 readers, 15 seconds.
    fn default() -> Self {
        Self {
            token: None,
            hosts: AllowedHosts::loopback(),
            body_limit: 8 << 20,
            event_readers: 32,
            event_keep_alive: Duration::from_secs(15),
        }
    }
}

/// What a request's `Host` may be: a page of another site that points its own name at this
/// address (DNS rebinding) gives itself away by that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedHosts {
    /// Any: for a Unix socket, which no browser reaches.
    Any,
    /// `localhost`, loopback addresses, and what is listed.
    Listed {
        /// The address listened on. The unspecified one stands for every address: an address as
        /// `Host` cannot come from rebinding, only a name can.
        listen: Option<IpAddr>,
        /// Names besides, compared without case.
        names: Vec<String>,
    },
}

impl AllowedHosts {
    /// `localhost` and loopback addresses alone.
    pub fn loopback() -> Self {
        Self::Listed {
            listen: None,
            names: Vec::new(),
        }
    }

    /// Whether `host`, without its port and an IPv6 address's brackets, is one of them.
    pub(crate) fn allows(&self, host: &str) -> bool {
        let Self::Listed { listen, names } = self else {
            return true;
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        if let Ok(address) = host.parse::<IpAddr>() {
            return address.is_loopback()
                || listen.is_some_and(|listen| listen.is_unspecified() || listen == address);
        }
        host.eq_ignore_ascii_case("localhost")
            || names.iter().any(|name| host.eq_ignore_ascii_case(name))
    }
}

/// A bearer token, kept as its digest: comparing it takes the same time whatever is offered, and
/// nothing can print it.
#[derive(Clone)]
pub struct Token([u8; 32]);

/// Why a token is not taken.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("cannot read the token from {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Too short to be a secret.
    #[error(
        "the token has {length} characters; at least {} are needed",
        Token::MIN_LENGTH
    )]
    TooShort {
        /// How many it has.
        length: usize,
    },
    /// Not what a client can send in a header (RFC 6750 section 2.1).
    #[error("the token may hold letters, digits and -._~+/= only")]
    BadCharacter,
}

impl Token {
    /// The shortest token taken, in characters.
    pub const MIN_LENGTH: usize = 16;

    /// The token in `path`, without the white space around it.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let text = std::fs::read_to_string(path).map_err(|source| TokenError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::new(text.trim())
    }

    /// A token of the characters that `Authorization: Bearer` can carry.
    pub fn new(token: &str) -> Result<Self, TokenError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if !token.bytes().all(allowed) {
            return Err(TokenError::BadCharacter);
        }
        if token.len() < Self::MIN_LENGTH {
            return Err(TokenError::TooShort {
                length: token.len(),
            });
        }
        Ok(Self(Sha256::digest(token).into()))
    }

    /// Whether `offered` is this token, in constant time.
    pub(crate) fn matches(&self, offered: &[u8]) -> bool {
        let offered: [u8; 32] = Sha256::digest(offered).into();
        self.0.ct_eq(&offered).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let loopback = AllowedHosts::loopback();
        let listed = AllowedHosts::Listed {
            listen: Some("192.0.2.7".parse().unwrap()),
            names: vec!["gateway.example".to_owned()],
        };
        let everywhere = AllowedHosts::Listed {
            listen: Some("0.0.0.0".parse().unwrap()),
            names: vec![],
        };
        let rows = [
            // (host, loopback, listed, everywhere)
            ("localhost", true, true, true),
            ("LocalHost.", true, true, true),
            ("127.0.0.1", true, true, true),
            ("127.9.9.9", true, true, true),
            ("::1", true, true, true),
            ("192.0.2.7", false, true, true),
            ("192.0.2.8", false, false, true),
            ("GATEWAY.example", false, true, false),
            ("evil.example", false, false, false),
            ("localhost.evil.example", false, false, false),
            ("127.0.0.1.evil.example", false, false, false),
            ("", false, false, false),
        ];
        for (host, by_loopback, by_listed, by_everywhere) in rows {
            assert_eq!(loopback.allows(host), by_loopback, "{host} loopback");
            assert_eq!(listed.allows(host), by_listed, "{host} listed");
            assert_eq!(everywhere.allows(host), by_everywhere, "{host} everywhere");
            assert!(AllowedHosts::Any.allows(host));
        }
    }

    #[test]
    fn tokens() {
        let token = Token::new("correct-horse-battery").unwrap();
        assert!(token.matches(b"correct-horse-battery"));
        assert!(!token.matches(b"correct-horse-batter"));
        assert!(!token.matches(b""));
        assert_eq!(format!("{token:?}"), "Token(..)");
        assert!(matches!(
            Token::new("short"),
            Err(TokenError::TooShort { length: 5 })
        ));
        assert!(matches!(
            Token::new("has a space in the middle"),
            Err(TokenError::BadCharacter)
        ));
    }
}
