//! TLS towards clients and backends, and PROXY headers before either.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use gateway_core::config::{
    BackendProtocol, BackendTls, Certificate, CertificateSource, Config, HostNames, HostPattern,
    ListenerProtocol, Secret, TrustedRoot,
};
use gateway_core::name::{CertificateName, ListenerName, RuleName, TrustedRootName};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use crate::harness::{Backend, Gateway, PATIENCE, config, settings};

type TlsClient = rustls::StreamOwned<ClientConnection, TcpStream>;

/// A certificate of its own for `localhost`, and its key.
struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    directory: tempfile::TempDir,
}

impl Identity {
    fn new() -> Self {
        Self::of("localhost")
    }

    fn of(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed(vec![name.into()]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let pem = made.cert.pem() + &made.signing_key.serialize_pem();
        std::fs::write(directory.path().join("server.pem"), pem).unwrap();
        Self {
            certificate: made.cert.der().clone(),
            key: PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap(),
            directory,
        }
    }

    /// Makes the one listener of `config` speak TLS with this certificate.
    fn listen(&self, config: &mut Config) {
        let name = CertificateName::from("certificate");
        let source = CertificateSource::File {
            path: self.directory.path().join("server.pem"),
            password: Secret::new(Vec::new()),
        };
        config
            .certificates
            .insert(name.clone(), Certificate { source });
        let listener = ListenerName::from("listener");
        config.listeners.get_mut(&listener).unwrap().protocol = ListenerProtocol::Https {
            certificate: name,
            require_sni: false,
        };
    }

    fn client(&self, address: SocketAddr) -> TlsClient {
        self.client_after(address, b"", "localhost")
    }

    /// A client that asks for `name` behind `greeting`, and trusts this certificate only.
    fn client_after(&self, address: SocketAddr, greeting: &[u8], name: &str) -> TlsClient {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(greeting).unwrap();
        rustls::StreamOwned::new(connection, stream)
    }

    /// A backend that speaks TLS, and answers each connection's first request with `ok`.
    fn backend(&self) -> SocketAddr {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
                // A client that does not trust us leaves in the handshake.
                if stream.read(&mut [0; 4096]).is_ok() {
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                        .unwrap();
                }
            }
        });
        address
    }
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[test]
fn a_request_over_tls_reaches_a_plain_backend() {
    let (identity, backend) = (Identity::new(), Backend::ok());
    let gateway = Gateway::start_with(&[backend.address], |config| identity.listen(config));
    let mut client = identity.client(gateway.address);
    client.write_all(GET).unwrap();
    let mut answer = String::new();
    // The gateway's close_notify makes this an orderly end.
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("ok"), "{answer}");
    assert!(
        backend
            .seen()
            .concat()
            .contains("x-forwarded-proto: https\r\n")
    );
}

#[test]
fn plain_http_on_a_tls_port_is_400() {
    let identity = Identity::new();
    let gateway = Gateway::start_with(&[], |config| identity.listen(config));
    assert!(gateway.ask(GET).starts_with("HTTP/1.1 400 "));
}

#[test]
fn a_backend_over_tls_is_verified() {
    let identity = Identity::new();
    let backend = identity.backend();
    for (trusted, status) in [(true, "200"), (false, "502")] {
        let gateway = Gateway::start_with(&[backend], |config| {
            let mut trusted_roots = Vec::new();
            // Somebody else's certificate leads nowhere.
            let other = Identity::new();
            let root = if trusted { &identity } else { &other };
            let name = TrustedRootName::from("root");
            let der: Arc<[u8]> = root.certificate.as_ref().into();
            config
                .trusted_roots
                .insert(name.clone(), TrustedRoot::Inline(der));
            trusted_roots.push(name);
            settings(config).protocol = BackendProtocol::Https(BackendTls {
                trusted_roots,
                verify_chain: true,
                verify_name: true,
                server_name: None,
            });
        });
        let answer = gateway.ask(GET);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
}

#[test]
fn a_proxy_header_says_who_the_client_is() {
    let backend = Backend::ok();
    let gateway = Gateway::start_with(&[backend.address], |config| {
        let listener = ListenerName::from("listener");
        config.listeners.get_mut(&listener).unwrap().proxy_protocol = true;
    });
    let header = b"PROXY TCP4 192.0.2.7 192.0.2.1 4321 80\r\n".as_slice();
    assert!(gateway.ask([header, GET].concat()).ends_with("ok"));
    let seen = backend.seen().concat();
    assert!(
        seen.contains("x-forwarded-for: 192.0.2.7:4321\r\n"),
        "{seen}"
    );
    // Without one there is no telling, and no answer.
    assert_eq!(gateway.ask(GET), "");
    assert_eq!(backend.requests(), 1);
}

#[test]
fn a_proxy_header_goes_before_tls_and_may_be_binary() {
    let (identity, backend) = (Identity::new(), Backend::ok());
    let gateway = Gateway::start_with(&[backend.address], |config| {
        identity.listen(config);
        let listener = ListenerName::from("listener");
        config.listeners.get_mut(&listener).unwrap().proxy_protocol = true;
    });
    let version_2 =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x01\x10\xe1\x01\xbb";
    let version_1 = b"PROXY TCP4 192.0.2.8 192.0.2.1 4321 443\r\n";
    for (header, client) in [(&version_2[..], "192.0.2.7"), (version_1, "192.0.2.8")] {
        let mut tls = identity.client_after(gateway.address, header, "localhost");
        tls.write_all(GET).unwrap();
        let mut answer = String::new();
        tls.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("ok"), "{answer}");
        let seen = backend.seen().concat();
        let expected = format!("x-forwarded-for: {client}:4321\r\n");
        assert!(seen.contains(&expected), "{seen}");
    }
}

#[test]
fn each_server_name_gets_its_certificate() {
    let (site, shop) = (Identity::of("site.example"), Identity::of("shop.example"));
    let backend = Backend::ok();
    let gateway = Gateway::start_with(&[backend.address], |config| {
        for (name, identity) in [("site.example", &site), ("shop.example", &shop)] {
            let certificate = CertificateName::from(name);
            let source = CertificateSource::File {
                path: identity.directory.path().join("server.pem"),
                password: Secret::new(Vec::new()),
            };
            let certificates = &mut config.certificates;
            certificates.insert(certificate.clone(), Certificate { source });
            let mut listener = config.listeners[&ListenerName::from("listener")].clone();
            listener.hosts = HostNames::Patterns(vec![HostPattern::new(name)]);
            listener.protocol = ListenerProtocol::Https {
                certificate,
                require_sni: true,
            };
            config.listeners.insert(ListenerName::from(name), listener);
            let mut rule = config.rules[&RuleName::from("rule")].clone();
            rule.listener = ListenerName::from(name);
            config.rules.insert(RuleName::from(name), rule);
        }
        config.listeners.remove(&ListenerName::from("listener"));
        config.rules.remove(&RuleName::from("rule"));
    });
    for (name, identity) in [("site.example", &site), ("shop.example", &shop)] {
        let mut client = identity.client_after(gateway.address, b"", name);
        let get = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
        client.write_all(get.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("ok"), "{name}: {answer}");
    }
    let mut nobody = site.client_after(gateway.address, b"", "other.example");
    assert!(nobody.write_all(GET).is_err(), "no certificate fits");
}

/// "Hello" of RFC 6455 section 5.7, masked and not.
const HELLO_MASKED: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
const HELLO: &[u8] = b"\x81\x05Hello";

#[test]
fn a_tunnel_over_tls_loses_nothing_at_its_start_and_outlives_its_certificate() {
    let backend = Backend::start(|mut peer| {
        peer.until("\r\n\r\n");
        let accepted = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        peer.send([accepted.as_bytes(), HELLO].concat());
        while let Some(bytes) = peer.read() {
            if bytes.ends_with(&HELLO_MASKED[6..]) {
                peer.send(HELLO);
            }
        }
    });
    let (old, new) = (Identity::new(), Identity::new());
    let gateway = Gateway::start_with(&[backend.address], |config| old.listen(config));
    let mut client = old.client(gateway.address);
    let handshake = b"GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";
    // A frame in the same record as the head, and a frame behind the backend's head.
    client
        .write_all(&[&handshake[..], HELLO_MASKED].concat())
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    let mut twice = [0; HELLO.len() * 2];
    client.read_exact(&mut twice).unwrap();
    assert_eq!(twice[..], [HELLO, HELLO].concat());

    let mut changed = config(gateway.address.port(), &[backend.address]);
    new.listen(&mut changed);
    gateway.apply(&changed);
    client.write_all(HELLO_MASKED).unwrap();
    let mut once = [0; HELLO.len()];
    client.read_exact(&mut once).unwrap();
    assert_eq!(once, HELLO);
    let mut fresh = new.client(gateway.address);
    assert!(
        fresh.write_all(GET).is_ok(),
        "the new certificate is served"
    );
}
