//! What is shared between loads, and what is not.

use gateway_core::config::{BackendTls, Certificate};
use gateway_core::fixtures::http_settings;
use rcgen::KeyPair;

use super::*;

fn https(roots: &[&str]) -> HttpSettings {
    HttpSettings {
        protocol: BackendProtocol::Https(BackendTls {
            trusted_roots: roots.iter().map(|name| (*name).into()).collect(),
            verify_chain: true,
            verify_name: true,
            server_name: None,
        }),
        ..http_settings(443)
    }
}

fn root(name: &str) -> Vec<u8> {
    let key = KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.self_signed(&key).unwrap().der().to_vec()
}

fn site() -> String {
    let key = KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    params.self_signed(&key).unwrap().pem() + &key.serialize_pem()
}

fn with_file(path: &std::path::Path) -> Config {
    let source = CertificateSource::File {
        path: path.to_owned(),
        password: Secret::new(*b""),
    };
    Config {
        certificates: BTreeMap::from([("site".into(), Certificate { source })]),
        trusted_roots: BTreeMap::from([("root".into(), TrustedRoot::Inline(root("r").into()))]),
        http_settings: BTreeMap::from([("settings".into(), https(&["root"]))]),
        ..Config::default()
    }
}

#[test]
fn what_did_not_change_is_shared_and_what_did_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("site.pem");
    std::fs::write(&path, site()).unwrap();
    let mut config = with_file(&path);
    assert_eq!(files(&config), BTreeSet::from([path.clone()]));

    let first = Material::load(&config, None).unwrap();
    let same = Material::load(&config, Some(&first)).unwrap();
    let (site_name, settings) = ("site".into(), "settings".into());
    let key = |material: &Material| Arc::clone(&material.server[&site_name].key);
    let live = |material: &Material| Arc::clone(&material.backend[&settings]);
    assert!(first.is_same(&same));
    assert!(Arc::ptr_eq(&key(&first), &key(&same)));
    assert!(Arc::ptr_eq(&live(&first), &live(&same)));
    assert!(Arc::ptr_eq(
        &first.probe[&settings].verified,
        &same.probe[&settings].verified
    ));

    std::fs::write(&path, site()).unwrap();
    let reloaded = Material::load(&config, Some(&same)).unwrap();
    assert!(!same.is_same(&reloaded));
    assert!(
        !Arc::ptr_eq(&key(&same), &key(&reloaded)),
        "the file has changed"
    );
    assert!(Arc::ptr_eq(&live(&same), &live(&reloaded)));

    let root = TrustedRoot::Inline(root("another").into());
    config.trusted_roots.insert("root".into(), root);
    let rooted = Material::load(&config, Some(&reloaded)).unwrap();
    assert!(Arc::ptr_eq(&key(&reloaded), &key(&rooted)));
    assert!(
        !Arc::ptr_eq(&live(&reloaded), &live(&rooted)),
        "another root"
    );
}

#[test]
fn all_that_cannot_be_used_is_told_at_once() {
    let mut config = with_file("/nonexistent/site.pem".as_ref());
    let junk = TrustedRoot::Inline((*b"junk").into());
    config.trusted_roots.insert("junk".into(), junk);
    config
        .http_settings
        .insert("other".into(), https(&["junk"]));
    let errors = Material::load(&config, None).unwrap_err();
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "sslCertificates/site cannot be used",
            "trustedRootCertificates/junk cannot be used",
        ]
    );
}

#[test]
fn a_probe_over_tls_has_a_configuration_though_traffic_has_none() {
    let mut config = Config::default();
    let mut settings = https(&[]);
    settings.protocol = BackendProtocol::Http;
    config.http_settings.insert("plain".into(), settings);
    let material = Material::load(&config, None).unwrap();
    assert!(material.backend.is_empty() && material.probe.is_empty());

    let mut config = with_file("/nonexistent".as_ref());
    config.certificates.clear();
    let material = Material::load(&config, None).unwrap();
    assert_eq!(material.backend.len(), 1);
    assert_eq!(material.probe.len(), 1);
    let live = &material.backend[&"settings".into()];
    assert_eq!(live.alpn_protocols, [b"http/1.1".to_vec()]);
}
