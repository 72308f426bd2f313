use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let mut bytes = V2_SIGNATURE.to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
    bytes.extend(block);
    bytes
}

fn v2_ipv4_block(tlvs: &[u8]) -> Vec<u8> {
    let mut block = vec![192, 0, 2, 1, 198, 51, 100, 7, 0xcb, 0x2c, 0x01, 0xbb];
    block.extend(tlvs);
    block
}

fn v2_ipv6_block() -> Vec<u8> {
    let mut block = Ipv6Addr::from_str("2001:db8::1").unwrap().octets().to_vec();
    block.extend(Ipv6Addr::from_str("2001:db8::2").unwrap().octets());
    block.extend([0xcb, 0x2c, 0x01, 0xbb]);
    block
}

const V4: &str = "192.0.2.1:52012 198.51.100.7:443";
const V6: &str = "[2001:db8::1]:52012 [2001:db8::2]:443";

/// Good headers: the bytes, and "source destination", or "" where the socket's addresses hold.
fn good() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    vec![
        (
            "2.1 TCP4",
            b"PROXY TCP4 192.0.2.1 198.51.100.7 52012 443\r\n".into(),
            V4,
        ),
        (
            "2.1 TCP6",
            b"PROXY TCP6 2001:db8::1 2001:db8::2 52012 443\r\n".into(),
            V6,
        ),
        ("2.1 UNKNOWN", b"PROXY UNKNOWN\r\n".into(), ""),
        (
            "2.1 UNKNOWN with what must be ignored",
            b"PROXY UNKNOWN ffff:: 1 2 3 x\r\n".into(),
            "",
        ),
        ("2.2 LOCAL", v2(0x20, 0x00, &[]), ""),
        (
            "2.2 LOCAL ignores the family",
            v2(0x20, 0xff, &[1, 2, 3]),
            "",
        ),
        (
            "2.2 PROXY over IPv4",
            v2(0x21, 0x11, &v2_ipv4_block(&[])),
            V4,
        ),
        (
            "2.2 TLVs are passed over",
            v2(0x21, 0x11, &v2_ipv4_block(&[4, 0, 1, 9])),
            V4,
        ),
        ("2.2 PROXY over IPv6", v2(0x21, 0x21, &v2_ipv6_block()), V6),
        ("2.2 UNSPEC", v2(0x21, 0x00, &[]), ""),
        (
            "2.2 UNIX has no address of ours",
            v2(0x21, 0x31, &[0; 216]),
            "",
        ),
        (
            "2.2 a datagram is not this connection",
            v2(0x21, 0x12, &v2_ipv4_block(&[])),
            "",
        ),
        (
            "2.2 many TLVs",
            v2(0x21, 0x11, &v2_ipv4_block(&[0; 4000])),
            V4,
        ),
    ]
}

fn bad() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("no header", b"GET / HTTP/1.1\r\n".into()),
        ("TLS without a header", vec![0x16, 3, 1, 0, 5]),
        ("lower case", b"proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n".into()),
        (
            "no space after PROXY",
            b"PROXYTCP4 1.1.1.1 2.2.2.2 1 2\r\n".into(),
        ),
        ("two spaces", b"PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n".into()),
        (
            "a space at the end",
            b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n".into(),
        ),
        ("bare LF", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n".into()),
        ("bare CR", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\rX\r\n".into()),
        (
            "unknown family",
            b"PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n".into(),
        ),
        ("UDP", b"PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n".into()),
        ("an address too few", b"PROXY TCP4 1.1.1.1 1 2\r\n".into()),
        (
            "a leading zero in an address",
            b"PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n".into(),
        ),
        ("IPv6 under TCP4", b"PROXY TCP4 ::1 ::1 1 2\r\n".into()),
        (
            "IPv4 under TCP6",
            b"PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n".into(),
        ),
        (
            "a signed port",
            b"PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n".into(),
        ),
        (
            "a port with a leading zero",
            b"PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n".into(),
        ),
        (
            "a port too large",
            b"PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n".into(),
        ),
        ("an empty port", b"PROXY TCP4 1.1.1.1 2.2.2.2  2\r\n".into()),
        ("not ASCII", b"PROXY TCP4 1.1.1.\xff 2.2.2.2 1 2\r\n".into()),
        (
            "too long",
            [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 100]].concat(),
        ),
        (
            "too long, then CRLF",
            [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 92], b"\r\n"].concat(),
        ),
        ("version 3", v2(0x31, 0x11, &v2_ipv4_block(&[]))),
        ("unknown command", v2(0x22, 0x11, &v2_ipv4_block(&[]))),
        ("unknown family", v2(0x21, 0x41, &[0; 300])),
        ("unknown transport", v2(0x21, 0x13, &v2_ipv4_block(&[]))),
        ("no room for IPv4", v2(0x21, 0x11, &[0; 11])),
        ("no room for IPv6", v2(0x21, 0x21, &[0; 35])),
        ("no room for UNIX", v2(0x21, 0x31, &[0; 215])),
        ("too many TLVs", v2(0x21, 0x11, &[0; 4081])),
    ]
}

fn shown(addresses: Option<ProxiedAddresses>) -> String {
    addresses.map_or(String::new(), |both| {
        format!("{} {}", both.source, both.destination)
    })
}

#[test]
fn good_headers_are_read_and_every_prefix_waits() {
    for (name, bytes, expected) in good() {
        for end in 0..bytes.len() {
            let progress = parse(&bytes[..end]);
            assert!(
                matches!(progress, Ok(Progress::Partial)),
                "{name}, {end} bytes: {progress:?}"
            );
        }
        let behind = [bytes.as_slice(), b"\r\nGET"].concat();
        let Ok(Progress::Complete { length, addresses }) = parse(&behind) else {
            panic!("{name} is refused");
        };
        assert_eq!(
            (length, shown(addresses).as_str()),
            (bytes.len(), expected),
            "{name}"
        );
    }
}

#[test]
fn bad_headers_are_refused() {
    for (name, bytes) in bad() {
        assert!(parse(&bytes).is_err(), "{name}: {:?}", parse(&bytes));
    }
}

#[test]
fn what_cannot_become_a_header_is_refused_at_once() {
    for bytes in [b"G".as_slice(), b"PROXX", b"\r\n\r\nX", b"\x16"] {
        assert!(parse(bytes).is_err(), "{bytes:?}");
    }
}

/// A connected pair: the one that sends headers, the one that reads them.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (sender, accepted) = tokio::join!(
        TcpStream::connect(listener.local_addr().unwrap()),
        listener.accept()
    );
    (sender.unwrap(), accepted.unwrap().0)
}

#[tokio::test]
async fn reading_stops_behind_the_header_wherever_it_is_split() {
    for (name, bytes, expected) in good().into_iter().filter(|(_, bytes, _)| bytes.len() < 300) {
        for cut in (0..=bytes.len()).step_by(7) {
            let (mut sender, mut reader) = pair().await;
            sender.set_nodelay(true).unwrap();
            let write = async {
                sender.write_all(&bytes[..cut]).await.unwrap();
                tokio::task::yield_now().await;
                sender.write_all(&bytes[cut..]).await.unwrap();
                sender.write_all(b"next").await.unwrap();
            };
            let ((), addresses) = tokio::join!(write, read(&mut reader));
            assert_eq!(shown(addresses.unwrap()), expected, "{name}, cut at {cut}");
            let mut behind = [0; 4];
            reader.read_exact(&mut behind).await.unwrap();
            assert_eq!(&behind, b"next", "{name}, cut at {cut}");
        }
    }
}

#[tokio::test]
async fn an_end_inside_the_header_is_an_error() {
    let (mut sender, mut reader) = pair().await;
    sender.write_all(b"PROXY TCP4 1.1").await.unwrap();
    drop(sender);
    assert!(matches!(
        read(&mut reader).await,
        Err(ProxyProtocolError::Ended)
    ));
}
