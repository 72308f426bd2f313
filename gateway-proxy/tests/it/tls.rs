//! TLS towards clients and backends, and PROXY headers before either.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use gateway_core::config::{
    BackendProtocol, BackendTls, Certificate, CertificateSource, Config, ListenerProtocol, Secret,
    TrustedRoot,
};
use gateway_core::name::{CertificateName, ListenerName, TrustedRootName};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use crate::harness::{Backend, Gateway, PATIENCE, settings};

/// A certificate of its own for `localhost`, and its key.
struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    directory: tempfile::TempDir,
}

impl Identity {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
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

    fn client(&self, address: SocketAddr) -> rustls::StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
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
