//! Which name is asked for (reference section 8), and how certificates are judged.

use std::num::NonZeroU16;
use std::time::Duration;

use gateway_core::config::{BackendHost, BackendProtocol, BackendTls, HttpSettings, TargetHost};
use gateway_core::fixtures::http_settings;
use gateway_core::health::HealthCell;
use gateway_core::snapshot::{PerWorker, Target, TargetId};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::client::danger::ServerCertVerifier;
use rustls_pki_types::{ServerName, UnixTime};

use super::*;

fn settings(host: BackendHost, server_name: Option<&str>) -> HttpSettings {
    HttpSettings {
        protocol: BackendProtocol::Https(BackendTls {
            trusted_roots: Vec::new(),
            verify_chain: true,
            verify_name: true,
            server_name: server_name.map(Into::into),
        }),
        host,
        ..http_settings(443)
    }
}

fn target(host: TargetHost) -> Target {
    Target {
        id: TargetId(1),
        host,
        address: "10.0.0.4:443".parse().unwrap(),
        weight: NonZeroU16::MIN,
        health: Arc::new(HealthCell::new(1)),
        load: PerWorker::new(1),
        drain: Arc::default(),
    }
}

fn by_ip() -> Target {
    target(TargetHost::Ip([10, 0, 0, 4].into()))
}

fn by_name() -> Target {
    target(TargetHost::Fqdn("member.test".into()))
}

#[test]
fn the_live_name_is_the_first_that_is_set() {
    let fixed = || BackendHost::Fixed("fixed.test".into());
    let rows = [
        (
            "sniName",
            settings(fixed(), Some("sni.test")),
            by_name(),
            "sni.test",
        ),
        ("hostName", settings(fixed(), None), by_name(), "fixed.test"),
        (
            "pick, FQDN",
            settings(BackendHost::FromTarget, None),
            by_name(),
            "member.test",
        ),
        (
            "pick, address",
            settings(BackendHost::FromTarget, None),
            by_ip(),
            "10.0.0.4",
        ),
        (
            "the client's",
            settings(BackendHost::FromClient, None),
            by_name(),
            "client.test",
        ),
    ];
    for (what, settings, target, expected) in rows {
        let name = live_server_name(&settings, &target, "client.test:8443").unwrap();
        assert_eq!(name.to_str(), expected, "{what}");
    }
    let mut plain = settings(fixed(), None);
    plain.protocol = BackendProtocol::Http;
    assert_eq!(live_server_name(&plain, &by_name(), "client.test"), None);
}

#[test]
fn a_clients_host_is_taken_for_what_it_is() {
    let settings = settings(BackendHost::FromClient, None);
    let rows = [
        ("www.contoso.com", "www.contoso.com"),
        ("www.contoso.com.", "www.contoso.com"),
        ("www.contoso.com:443", "www.contoso.com"),
        ("192.0.2.7:443", "192.0.2.7"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        // No name at all: the member's.
        ("", "member.test"),
        (":443", "member.test"),
        ("[", "member.test"),
        ("[]", "member.test"),
        ("a b", "member.test"),
        ("-", "member.test"),
        ("ü.test", "member.test"),
    ];
    for (host, expected) in rows {
        let name = live_server_name(&settings, &by_name(), host).unwrap();
        assert_eq!(name.to_str(), expected, "{host:?}");
    }
    // An address is verified, and no SNI: rustls leaves out what is no DNS name (RFC 6066).
    let name = live_server_name(&settings, &by_ip(), "").unwrap();
    assert_eq!(
        name,
        ServerName::from(std::net::IpAddr::from([10, 0, 0, 4]))
    );
}

#[test]
fn a_probe_verifies_what_is_known_beforehand() {
    let rows = [
        (
            BackendHost::FromClient,
            Some("probe.test"),
            "probe.test",
            NameCheck::Verified,
        ),
        (
            BackendHost::FromClient,
            None,
            "10.0.0.4",
            NameCheck::Unknown,
        ),
        (
            BackendHost::FromTarget,
            None,
            "10.0.0.4",
            NameCheck::Verified,
        ),
        (
            BackendHost::Fixed("192.0.2.1".into()),
            None,
            "192.0.2.1",
            NameCheck::Verified,
        ),
    ];
    for (host, probe_name, name, check) in rows {
        let found = probe_server_name(&settings(host.clone(), None), &by_ip(), probe_name);
        assert_eq!(
            (found.0.to_str().as_ref(), found.1),
            (name, check),
            "{host:?}"
        );
    }
}

/// A self-signed certificate with a common name, and names if any.
fn certificate(
    common_name: &str,
    names: &[&str],
    is_ca: IsCa,
    expires: i32,
) -> CertificateDer<'static> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.is_ca = is_ca;
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(expires, 1, 1);
    params
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap()
        .der()
        .clone()
}

fn judge(root: &CertificateDer<'static>, shown: &CertificateDer<'_>, name: &str) -> bool {
    let provider = default_provider();
    let verification = Verification {
        roots: vec![root.clone()],
        chain: true,
        name: true,
    };
    let verifier = BackendVerifier {
        roots: verification.anchors().unwrap(),
        trusted: verification.roots,
        name: true,
        algorithms: provider.signature_verification_algorithms,
    };
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1_700_000_000));
    verifier
        .verify_server_cert(shown, &[], &name, &[], now)
        .is_ok()
}

#[test]
fn a_certificate_named_as_root_is_trusted_itself_while_it_is_valid() {
    let ca = || IsCa::Ca(BasicConstraints::Unconstrained);
    let own = certificate("a.test", &["a.test"], ca(), 2999);
    assert!(judge(&own, &own, "a.test"), "as openssl req -x509 makes it");
    assert!(!judge(&own, &own, "b.test"));
    let plain = certificate("a.test", &["a.test"], IsCa::NoCa, 2999);
    assert!(judge(&plain, &plain, "a.test"));
    assert!(!judge(&own, &plain, "a.test"), "another self-signed one");
    let expired = certificate("a.test", &["a.test"], ca(), 2021);
    assert!(!judge(&expired, &expired, "a.test"));
}

#[test]
fn the_common_name_counts_only_where_there_are_no_other_names() {
    // Reference section 8: "its SAN (else CN)".
    let bare = certificate("a.test", &[], IsCa::NoCa, 2999);
    assert!(judge(&bare, &bare, "a.test"));
    assert!(judge(&bare, &bare, "A.TEST"));
    assert!(!judge(&bare, &bare, "b.test"));
    let named = certificate("a.test", &["b.test"], IsCa::NoCa, 2999);
    assert!(!judge(&named, &named, "a.test"));
    assert!(judge(&named, &named, "b.test"));
    let wild = certificate("*.test", &[], IsCa::NoCa, 2999);
    assert!(
        !judge(&wild, &wild, "a.test"),
        "a common name is taken literally"
    );
}

proptest::proptest! {
    #[test]
    fn any_host_of_a_client_gives_a_name(host: String) {
        let settings = settings(BackendHost::FromClient, None);
        proptest::prop_assert!(live_server_name(&settings, &by_name(), &host).is_some());
    }
}
