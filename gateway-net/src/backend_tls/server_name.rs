//! Which name a backend's TLS is asked for and verified by (reference section 8).
//!
//! An address is verified against the certificate's IP names, and never sent as SNI (RFC 6066
//! section 3): rustls leaves it out.

use gateway_core::config::{BackendHost, BackendProtocol, HttpSettings, TargetHost};
use gateway_core::snapshot::Target;
use rustls_pki_types::ServerName;

/// The name for a request of a client that asked for `client_host` (with or without a port):
/// `sniName`, else the settings' `hostName`, else the member's (pick), else the client's.
/// `None` when the settings speak HTTP in the clear.
///
/// A host that is no name at all (it came from a client) gives the member's.
pub fn live_server_name(
    settings: &HttpSettings,
    target: &Target,
    client_host: &str,
) -> Option<ServerName<'static>> {
    let BackendProtocol::Https(tls) = &settings.protocol else {
        return None;
    };
    let wanted = match (&tls.server_name, &settings.host) {
        (Some(name), _) => parse(name),
        (None, BackendHost::Fixed(host)) => parse(host),
        (None, BackendHost::FromTarget) => None,
        (None, BackendHost::FromClient) => parse(client_host),
    };
    Some(wanted.unwrap_or_else(|| member_name(target)))
}

/// The name for a probe of `target`, and whether it can be verified.
///
/// A probe without a host name of its own has only the member's address to go by. Where live
/// traffic goes by that address too, it is verified; where each client names the host, no name is
/// known beforehand, and only the chain can be judged.
pub(crate) fn probe_server_name(
    settings: &HttpSettings,
    target: &Target,
    probe_name: Option<&str>,
) -> (ServerName<'static>, NameCheck) {
    let known = match (probe_name, &settings.host) {
        (Some(name), _) => parse(name),
        (None, BackendHost::Fixed(host)) => parse(host),
        (None, BackendHost::FromTarget) => None,
        (None, BackendHost::FromClient) => {
            return (ServerName::from(target.address.ip()), NameCheck::Unknown);
        }
    };
    (
        known.unwrap_or_else(|| member_name(target)),
        NameCheck::Verified,
    )
}

/// Whether a probe knows the name that a certificate must bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameCheck {
    /// It does; judged as the settings say.
    Verified,
    /// Clients name the host: only the chain is judged.
    Unknown,
}

fn member_name(target: &Target) -> ServerName<'static> {
    match &target.host {
        TargetHost::Fqdn(name) => parse(name),
        TargetHost::Ip(_) => None,
    }
    .unwrap_or_else(|| ServerName::from(target.address.ip()))
}

/// A host without its port and brackets, as a name or an address.
fn parse(host: &str) -> Option<ServerName<'static>> {
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split_once(']')?.0,
        // More than one colon is IPv6 without brackets.
        None if host.matches(':').count() == 1 => host.split_once(':')?.0,
        None => host,
    };
    ServerName::try_from(host.trim_end_matches('.').to_owned()).ok()
}
