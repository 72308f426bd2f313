//! Sockets as they are after dialling, and failures in words. What TLS makes of certificates is
//! tested with the verifier and with the probes.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

#[tokio::test]
async fn a_connection_has_no_delay_and_keep_alive_within_a_minute() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = connect(listener.local_addr().unwrap(), None).await.unwrap();
    let socket = SockRef::from(stream.tcp());
    assert!(stream.tcp().nodelay().unwrap());
    assert!(socket.keepalive().unwrap());
    let (idle, interval) = (
        socket.tcp_keepalive_time().unwrap(),
        socket.tcp_keepalive_interval().unwrap(),
    );
    let probes = socket.tcp_keepalive_retries().unwrap();
    assert_eq!(idle + interval * probes, Duration::from_secs(60));
}

#[tokio::test]
async fn bytes_go_both_ways() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = connect(listener.local_addr().unwrap(), None).await.unwrap();
    let (mut peer, _) = listener.accept().await.unwrap();
    assert!(tokio::io::AsyncWrite::is_write_vectored(&stream));
    stream.write_all(b"ping").await.unwrap();
    let mut buffer = [0; 4];
    peer.read_exact(&mut buffer).await.unwrap();
    peer.write_all(&buffer).await.unwrap();
    drop(peer);
    let mut echoed = Vec::new();
    stream.read_to_end(&mut echoed).await.unwrap();
    assert_eq!(echoed, b"ping");
}

#[tokio::test]
async fn a_refusal_is_told_as_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = connect(address, None).await.unwrap_err();
    assert!(matches!(error, DialError::Refused { .. }), "{error:?}");
}

#[test]
fn a_lack_of_descriptors_says_nothing_of_the_target() {
    for errno in [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::ADDRNOTAVAIL,
    ] {
        assert!(is_exhaustion(&errno.into()), "{errno}");
    }
    for errno in [Errno::HOSTUNREACH, Errno::CONNRESET, Errno::TIMEDOUT] {
        assert!(!is_exhaustion(&errno.into()), "{errno}");
    }
    assert!(!is_exhaustion(&io::Error::other("no errno")));
}

#[test]
fn handshakes_fail_in_words() {
    use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
    use rustls_pki_types::{ServerName, UnixTime};

    let invalid = |error| Error::InvalidCertificate(error);
    let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let expected = ServerName::try_from("www.test").unwrap();
    let hostile = vec![format!("DnsName(\"a\n{}\")", "b".repeat(500)); 40];
    let rows: Vec<(Error, String)> = vec![
        (
            invalid(CertificateError::ExpiredContext {
                time: at(0),
                not_after: at(1_769_904_000),
            }),
            "the certificate expired on 2026-02-01 00:00 UTC".into(),
        ),
        (
            invalid(CertificateError::NotValidYetContext {
                time: at(0),
                not_before: at(u64::MAX),
            }),
            format!(
                "the certificate is not valid before second {} of the Unix epoch",
                u64::MAX
            ),
        ),
        (
            invalid(CertificateError::NotValidForNameContext {
                expected: expected.clone(),
                presented: Vec::new(),
            }),
            "the certificate is for no host at all, not for www.test".into(),
        ),
        (
            invalid(CertificateError::NotValidForNameContext {
                expected,
                presented: hostile,
            }),
            {
                let one = format!("a\\n{}", "b".repeat(98));
                format!(
                    "the certificate is for {} and 35 more, not for www.test",
                    [one.as_str(); 5].join(", ")
                )
            },
        ),
        (
            Error::InvalidMessage(InvalidMessage::InvalidContentType),
            "the answer is not TLS (does the port speak HTTP?)".into(),
        ),
        (
            Error::AlertReceived(AlertDescription::HandshakeFailure),
            "the backend refused the handshake: HandshakeFailure".into(),
        ),
    ];
    for (error, expected) in rows {
        assert_eq!(
            tls_reason(&io::Error::new(io::ErrorKind::InvalidData, error)),
            expected
        );
    }
    let closed = tls_reason(&io::ErrorKind::UnexpectedEof.into());
    assert_eq!(closed, "the connection was closed during the handshake");
}
