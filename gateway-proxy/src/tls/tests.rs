//! Handshakes over real sockets on the loopback interface.

use std::time::{Duration, SystemTime};

use gateway_core::config::HostPattern;
use gateway_net::certificates::ServerCertificate;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{AlertDescription, ClientConfig, HandshakeKind, RootCertStore};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;

use super::*;

/// A certificate for `name`, and its place in `roots`.
fn certificate(name: &str, roots: &mut RootCertStore) -> ServerCertificate {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    roots.add(made.cert.der().clone()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = aws_lc_rs::default_provider();
    let chain = vec![made.cert.der().clone()];
    ServerCertificate {
        key: Arc::new(CertifiedKey::from_der(chain, key, &provider).unwrap()),
        not_after: SystemTime::now() + Duration::from_secs(3600),
    }
}

pub(crate) struct Rig {
    shared: TlsShared,
    material: Material,
    roots: RootCertStore,
}

/// Certificates `one` (for one.test) and `wild` (for *.wild.test, as x.wild.test).
pub(crate) fn rig() -> Rig {
    let mut roots = RootCertStore::empty();
    let mut material = Material::default();
    for (name, host) in [("one", "one.test"), ("wild", "x.wild.test")] {
        let loaded = certificate(host, &mut roots);
        material.server.insert(name.into(), loaded);
    }
    Rig {
        shared: TlsShared::new().unwrap(),
        material,
        roots,
    }
}

impl Rig {
    pub(crate) fn endpoint(&self, fallback: Option<&str>) -> EndpointTls {
        let hosts = |pattern| HostNames::Patterns(vec![HostPattern::new(pattern)]);
        let protocol = EndpointProtocol::Https {
            certificates: vec![
                (hosts("one.test"), "one".into()),
                (hosts("*.wild.test"), "wild".into()),
            ],
            fallback: fallback.map(CertificateName::from),
        };
        let endpoint = self.shared.endpoint(&protocol, &self.material);
        endpoint.unwrap().unwrap()
    }

    pub(crate) fn client(&self) -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth()
    }
}

pub(crate) type ClientStream = tokio_rustls::client::TlsStream<TcpStream>;
pub(crate) type Accepted = Result<Box<TlsStream<TcpStream>>, TlsAcceptError>;

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.unwrap(), accepted.unwrap().0)
}

pub(crate) async fn shake(
    client: impl Into<Arc<ClientConfig>>,
    name: &'static str,
    server: &EndpointTls,
) -> (io::Result<ClientStream>, Accepted) {
    let (near, far) = pair().await;
    let name = ServerName::try_from(name).unwrap();
    let connector = TlsConnector::from(client.into());
    tokio::join!(connector.connect(name, near), server.accept(far))
}

/// The alert that a client got.
fn alert(outcome: io::Result<ClientStream>) -> AlertDescription {
    let error = outcome.unwrap_err().into_inner().unwrap();
    let error = *error.downcast::<rustls::Error>().unwrap();
    let rustls::Error::AlertReceived(alert) = error else {
        panic!("{error:?}");
    };
    alert
}

#[tokio::test]
async fn a_name_that_has_a_certificate_gets_it() {
    let rig = rig();
    for name in ["one.test", "ONE.test", "x.wild.test"] {
        let (client, server) = shake(rig.client(), name, &rig.endpoint(None)).await;
        assert!(client.is_ok() && server.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn a_name_that_has_none_is_refused_with_an_alert() {
    let rig = rig();
    let missing_extension = AlertDescription::Unknown(109);
    let rows = [
        (
            "6066 3: unknown",
            "two.test",
            AlertDescription::UnrecognisedName,
        ),
        // An address is no server name: the client sends none.
        ("8446 9.2: none", "127.0.0.1", missing_extension),
    ];
    for (row, name, expected) in rows {
        let (client, server) = shake(rig.client(), name, &rig.endpoint(None)).await;
        assert_eq!(u8::from(alert(client)), u8::from(expected), "{row}");
        assert!(
            matches!(server, Err(TlsAcceptError::UnknownName(_))),
            "{row}"
        );
    }
}

#[tokio::test]
async fn a_name_that_has_none_gets_the_fallback_where_there_is_one() {
    let rig = rig();
    for name in ["two.test", "127.0.0.1"] {
        let (client, _) = shake(rig.client(), name, &rig.endpoint(Some("one"))).await;
        // It is shown; that it does not bear the name is the client's to judge.
        let error = client.unwrap_err().to_string();
        assert!(
            error.contains("invalid peer certificate"),
            "{name}: {error}"
        );
    }
}

#[tokio::test]
async fn http_1_1_is_agreed_on_and_nothing_else() {
    let rig = rig();
    let endpoint = rig.endpoint(None);
    let offering = |protocols: &[&str]| {
        let mut client = rig.client();
        client.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        client
    };
    let (client, _) = shake(offering(&["h2", "http/1.1"]), "one.test", &endpoint).await;
    assert_eq!(
        client.unwrap().get_ref().1.alpn_protocol(),
        Some(b"http/1.1".as_slice())
    );
    let (client, server) = shake(offering(&["h2"]), "one.test", &endpoint).await;
    assert_eq!(
        alert(client),
        AlertDescription::NoApplicationProtocol,
        "RFC 7301 3.2"
    );
    assert!(matches!(server, Err(TlsAcceptError::Handshake(_))));
}

#[tokio::test]
async fn a_session_is_resumed_after_a_change_of_configuration() {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let rig = rig();
        let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(rig.roots.clone())
            .with_no_client_auth();
        let client = Arc::new(client);
        let mut kinds = Vec::new();
        for _ in 0..2 {
            // Each time the endpoint is set up anew, as it is when something else changes.
            let endpoint = rig.endpoint(None);
            let (near, server) = shake(Arc::clone(&client), "one.test", &endpoint).await;
            let (mut near, mut server) = (near.unwrap(), server.unwrap());
            kinds.push(server.get_ref().1.handshake_kind().unwrap());
            // Tickets come behind the handshake: the client must read to get them.
            server.write_all(b"x").await.unwrap();
            near.read_exact(&mut [0]).await.unwrap();
        }
        assert_eq!(
            kinds,
            [HandshakeKind::Full, HandshakeKind::Resumed],
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn plain_http_on_a_tls_port_gets_a_400_that_it_can_read() {
    let rig = rig();
    let endpoint = rig.endpoint(None);
    let (mut client, server) = pair().await;
    let request = [b"POST / HTTP/1.1\r\n".as_slice(), &[b'x'; 50_000]].concat();
    let talk = async {
        client.write_all(&request).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        drop(client);
        answer
    };
    let (answer, outcome) = tokio::join!(talk, endpoint.accept(server));
    assert!(matches!(outcome, Err(TlsAcceptError::PlainHttp)));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"));
    assert!(
        head.contains(&format!("Content-Length: {}\r\n", body.len())),
        "{answer}"
    );
}

#[tokio::test]
async fn what_is_neither_tls_nor_http_is_closed() {
    let rig = rig();
    let endpoint = rig.endpoint(None);
    for bytes in [b"\0\0\0".as_slice(), b"\x80\x2e\x01"] {
        let (mut client, server) = pair().await;
        client.write_all(bytes).await.unwrap();
        assert!(matches!(
            endpoint.accept(server).await,
            Err(TlsAcceptError::NotTls)
        ));
    }
    let (client, server) = pair().await;
    drop(client);
    assert!(matches!(
        endpoint.accept(server).await,
        Err(TlsAcceptError::Silent)
    ));
    let (mut client, server) = pair().await;
    client
        .write_all(b"\x16\x03\x01\xff\xff garbage")
        .await
        .unwrap();
    client.shutdown().await.unwrap();
    assert!(matches!(
        endpoint.accept(server).await,
        Err(TlsAcceptError::Handshake(_))
    ));
}

#[test]
fn an_endpoint_needs_its_certificates_and_a_plain_one_needs_none() {
    let rig = rig();
    let protocol = EndpointProtocol::Https {
        certificates: vec![(HostNames::Any, "absent".into())],
        fallback: None,
    };
    let outcome = rig.shared.endpoint(&protocol, &rig.material);
    assert!(matches!(outcome, Err(TlsSetupError::MissingCertificate(_))));
    let plain = rig.shared.endpoint(&EndpointProtocol::Http, &rig.material);
    assert!(plain.unwrap().is_none());
}
