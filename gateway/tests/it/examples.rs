//! The documents in `examples/` run as they are, but for their backends' ports.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, Issuer, KeyPair};
use tempfile::{TempDir, tempdir};
use test_backend::{BackendOptions, TlsIdentity};

use crate::support::{
    Backends, Gateway, eventually, exchange, free_port, get, get_from, get_request, run,
    shake_hands, tls, write_listener_certificate,
};

/// Copies an example into a folder of its own, with other ports for its backends.
fn example(name: &str, ports: &[(u16, u16)]) -> (TempDir, PathBuf) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples")
        .join(name);
    let mut text = fs::read_to_string(source).unwrap();
    for (from, to) in ports {
        assert!(
            text.contains(&from.to_string()),
            "{name} has no port {from}"
        );
        text = text.replace(&from.to_string(), &to.to_string());
    }
    let folder = tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn websocket() {
    let backends = Backends::named(["one", "two", "three"]);
    let ports: Vec<_> = (0..3)
        .map(|index| (9001 + index as u16, backends.address(index).port()))
        .collect();
    let (folder, path) = example("websocket.json", &ports);
    let root = write_listener_certificate(&folder.path().join("gateway.pem"));
    let ended = run(&["check", path.to_str().unwrap()]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("at the end of the id is dropped"),
        "{}",
        ended.stdout
    );

    let (http, https, admin) = (free_port(), free_port(), free_port());
    let map = format!("80={http},443={https}");
    let _gateway = Gateway::run(
        admin,
        &["--config", path.to_str().unwrap(), "--map-port", &map],
    );
    assert!(get(http, "/").unwrap().body.contains(" answers GET /"));
    let over_tls = exchange(&mut tls(https, &root), &get_request("localhost", "/")).unwrap();
    assert!(over_tls.body.contains(" answers GET /"), "{over_tls:?}");

    let plain = shake_hands(&mut TcpStream::connect(("127.0.0.1", http)).unwrap());
    let secure = shake_hands(&mut tls(https, &root));
    for answer in [plain, secure] {
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        let lowered = answer.to_ascii_lowercase();
        assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
        assert!(
            lowered.contains("sec-websocket-protocol: chat\r\n"),
            "{answer}"
        );
    }
}

#[test]
fn two_pools() {
    let backends = Backends::named(["shop-1", "shop-2", "blog"]);
    let ports: Vec<_> = (0..3)
        .map(|index| (9001 + index as u16, backends.address(index).port()))
        .collect();
    let (_folder, path) = example("two-pools.json", &ports);
    let (http, admin) = (free_port(), free_port());
    let map = format!("80={http}");
    let _gateway = Gateway::run(
        admin,
        &["--config", path.to_str().unwrap(), "--map-port", &map],
    );
    let rows = [
        ("shop.example", "shop-"),
        ("blog.example", "blog "),
        ("www.blog.example", "blog "),
    ];
    for (host, expected) in rows {
        let answer = get_from(http, host, "/").unwrap();
        assert!(answer.body.starts_with(expected), "{host}: {answer:?}");
    }
    assert_eq!(
        get_from(http, "elsewhere.example", "/").unwrap().status,
        404
    );
}

#[test]
fn end_to_end() {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["backend.example".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let identity = TlsIdentity::from_pem((leaf.pem() + &key.serialize_pem()).as_bytes());
    let backends = Backends::start([BackendOptions {
        name: "secure".to_owned(),
        tls: Some(identity.unwrap()),
        ..BackendOptions::default()
    }]);

    let (folder, path) = example("end-to-end.json", &[(9443, backends.address(0).port())]);
    fs::write(folder.path().join("backend-ca.pem"), root.pem()).unwrap();
    let listener_root = write_listener_certificate(&folder.path().join("gateway.pem"));
    let (https, admin) = (free_port(), free_port());
    let map = format!("443={https}");
    let _gateway = Gateway::run(
        admin,
        &["--config", path.to_str().unwrap(), "--map-port", &map],
    );
    let ask = |root| exchange(&mut tls(https, root), &get_request("localhost", "/"));
    assert_eq!(ask(&listener_root).unwrap().body, "secure answers GET /\n");

    // A renewed certificate is taken up without a restart.
    let renewed = write_listener_certificate(&folder.path().join("gateway.pem"));
    eventually("the renewed certificate", || {
        ask(&renewed).filter(|answer| answer.body == "secure answers GET /\n")
    });
}

#[test]
fn the_readmes_first_document() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let (_, document) = readme.split_once("```jsonc\n").unwrap();
    let (document, _) = document.split_once("```").unwrap();
    let backends = Backends::named(["one", "two"]);
    let document = document
        .replace("9001", &backends.address(0).port().to_string())
        .replace("9002", &backends.address(1).port().to_string());
    let folder = tempdir().unwrap();
    let path = folder.path().join("my-gateway.json");
    fs::write(&path, document).unwrap();
    let ended = run(&["check", path.to_str().unwrap()]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stdout);

    let (http, admin) = (free_port(), free_port());
    let map = format!("80={http}");
    let _gateway = Gateway::run(
        admin,
        &["--config", path.to_str().unwrap(), "--map-port", &map],
    );
    assert!(get(http, "/").unwrap().body.contains(" answers GET /"));
}
