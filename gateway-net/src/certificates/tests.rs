//! The fixtures are OpenSSL's own (`fixtures/make.sh`), one for each way of writing a PFX or a key.

use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use x509_parser::parse_x509_certificate;

use super::*;

fn pfx(data: &[u8], password: &str) -> Result<ServerCertificate, CertificateError> {
    load(&Certificate {
        source: CertificateSource::Pfx {
            data: Secret::new(data),
            password: Secret::new(password.as_bytes()),
        },
    })
}

fn pem(text: impl AsRef<[u8]>) -> Result<ServerCertificate, CertificateError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("site.pem");
    std::fs::write(&path, text).unwrap();
    file(path)
}

fn file(path: PathBuf) -> Result<ServerCertificate, CertificateError> {
    load(&Certificate {
        source: CertificateSource::File {
            path,
            password: Secret::new(*b""),
        },
    })
}

/// The common names of the chain.
fn chain(certificate: &ServerCertificate) -> Vec<String> {
    let name = |der: &CertificateDer<'_>| {
        let (_, certificate) = parse_x509_certificate(der).unwrap();
        let name = certificate.subject().iter_common_name().next().unwrap();
        name.as_str().unwrap().to_owned()
    };
    certificate.key.cert.iter().map(name).collect()
}

const WHOLE_CHAIN: [&str; 3] = ["www.contoso.com", "Fixture Intermediate", "Fixture Root"];

#[test]
fn every_kind_of_pfx_loads_with_its_chain_in_order() {
    let rows: [(&str, &[u8], &str); 5] = [
        (
            "AES-256 (OpenSSL 3)",
            include_bytes!("fixtures/aes.pfx"),
            "Passw0rd",
        ),
        (
            "RC2-40 and 3DES",
            include_bytes!("fixtures/legacy.pfx"),
            "Passw0rd",
        ),
        (
            "3DES (Key Vault)",
            include_bytes!("fixtures/3des.pfx"),
            "Passw0rd",
        ),
        (
            "no password",
            include_bytes!("fixtures/no-password.pfx"),
            "",
        ),
        ("no MAC", include_bytes!("fixtures/no-mac.pfx"), "Passw0rd"),
    ];
    for (what, data, password) in rows {
        let certificate = pfx(data, password).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(chain(&certificate), WHOLE_CHAIN, "{what}");
        assert!(certificate.not_after > SystemTime::now(), "{what}");
    }
}

#[test]
fn a_wrong_password_is_said_to_be_one() {
    let rows: [&[u8]; 5] = [
        include_bytes!("fixtures/aes.pfx"),
        include_bytes!("fixtures/legacy.pfx"),
        include_bytes!("fixtures/3des.pfx"),
        include_bytes!("fixtures/no-password.pfx"),
        include_bytes!("fixtures/no-mac.pfx"),
    ];
    for (row, data) in rows.into_iter().enumerate() {
        for password in ["wrong", "passw0rd"] {
            let error = pfx(data, password).unwrap_err();
            assert!(
                matches!(error, CertificateError::WrongPassword),
                "{row}: {error:?}"
            );
        }
    }
}

#[test]
fn pem_loads_with_every_kind_of_key_in_any_order() {
    let rows: [(&str, &[u8], &[&str]); 3] = [
        (
            "SEC1, root first",
            include_bytes!("fixtures/sec1.pem"),
            &WHOLE_CHAIN,
        ),
        (
            "PKCS#8, key first",
            include_bytes!("fixtures/pkcs8.pem"),
            &WHOLE_CHAIN[..2],
        ),
        (
            "PKCS#1",
            include_bytes!("fixtures/pkcs1.pem"),
            &["rsa.contoso.com"],
        ),
    ];
    for (what, text, expected) in rows {
        let certificate = pem(text).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(chain(&certificate), expected, "{what}");
    }
}

fn signed(name: &str, key: &KeyPair, year: i32) -> String {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_after = date_time_ymd(year, 1, 1);
    params.self_signed(key).unwrap().pem()
}

#[test]
fn an_expired_certificate_loads_and_says_when() {
    let key = KeyPair::generate().unwrap();
    let certificate = pem(signed("a", &key, 2001) + &key.serialize_pem()).unwrap();
    let at = certificate.not_after.duration_since(SystemTime::UNIX_EPOCH);
    assert_eq!(at.unwrap().as_secs(), 978_307_200);
}

#[test]
fn of_several_certificates_for_one_key_the_longest_lasting_is_shown() {
    let key = KeyPair::generate().unwrap();
    let text = signed("old", &key, 2030) + &signed("new", &key, 2040) + &key.serialize_pem();
    assert_eq!(chain(&pem(text).unwrap()), ["new"]);
}

#[test]
fn what_cannot_be_used_says_why() {
    let (one, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let certificate = signed("a", &one, 2030);
    let key = one.serialize_pem();
    let rows: &[(Vec<u8>, &str)] = &[
        (Vec::new(), "it is empty"),
        (certificate.clone().into(), "it holds no private key"),
        (key.clone().into(), "it holds no certificate"),
        (
            (certificate.clone() + &other.serialize_pem()).into(),
            "the private key belongs to none of the certificates",
        ),
        (
            (certificate.clone() + &key + &other.serialize_pem()).into(),
            "it holds 2 private keys; exactly one is needed",
        ),
        (
            include_bytes!("fixtures/encrypted.pem").to_vec(),
            "the private key is encrypted; a PEM file needs it in the clear (or use a PFX)",
        ),
        (
            include_bytes!("fixtures/encrypted-old.pem").to_vec(),
            "the private key is encrypted; a PEM file needs it in the clear (or use a PFX)",
        ),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
                .iter()
                .chain(key.as_bytes())
                .copied()
                .collect(),
            "certificate 1 cannot be used: it is not an X.509 certificate",
        ),
        (
            b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n".to_vec(),
            "it is not PEM: a section has no END line",
        ),
        (
            b"-----BEGIN PRIVATE KEY-----\n!secret!\n-----END PRIVATE KEY-----\n".to_vec(),
            "it is not PEM: a section is not base64",
        ),
        (
            b"secret, but neither PEM nor PFX".to_vec(),
            "it is not a PFX (PKCS #12), nor PEM: it is not DER",
        ),
        (
            vec![b'x'; MAX_SOURCE_BYTES + 1],
            "it is larger than 1048576 bytes",
        ),
        (
            vec![b'x'; MAX_PFX_BYTES + 1],
            "it is larger than 65536 bytes",
        ),
    ];
    for (bytes, expected) in rows {
        let error = pem(bytes).unwrap_err().to_string();
        assert_eq!(error, *expected);
        assert!(!error.contains("secret"));
    }
    let no_key = pfx(include_bytes!("fixtures/no-key.pfx"), "Passw0rd").unwrap_err();
    assert!(matches!(no_key, CertificateError::NoKey), "{no_key:?}");
}

#[test]
fn a_truncated_pfx_is_an_error_wherever_it_is_cut() {
    let data = include_bytes!("fixtures/aes.pfx");
    for length in (1..data.len()).step_by(97) {
        assert!(pfx(&data[..length], "Passw0rd").is_err(), "{length}");
    }
}

#[test]
fn a_file_that_cannot_be_read_names_its_path() {
    let directory = tempfile::tempdir().unwrap();
    for path in [
        directory.path().join("missing.pem"),
        directory.path().to_owned(),
    ] {
        let error = file(path.clone()).unwrap_err();
        assert!(matches!(&error, CertificateError::Read { path: named, .. } if *named == path));
        assert!(error.to_string().contains(&path.display().to_string()));
    }
}

#[test]
fn roots_are_pem_or_der_one_or_more() {
    let keys = [KeyPair::generate().unwrap(), KeyPair::generate().unwrap()];
    let [one, two] = ["one", "two"].map(|name| signed(name, &keys[0], 2040));
    let der = |pem: &str| roots::parse(pem.as_bytes()).unwrap()[0].to_vec();
    let rows: [(Vec<u8>, Result<usize, &str>); 7] = [
        (one.clone().into(), Ok(1)),
        ((one.clone() + "\n# a comment\n" + &two).into(), Ok(2)),
        (der(&one), Ok(1)),
        ([der(&one), der(&two)].concat(), Ok(2)),
        (
            keys[0].serialize_pem().into(),
            Err("it holds no certificate"),
        ),
        (
            b"nonsense".to_vec(),
            Err("it is not a certificate in DER or PEM: it is not an X.509 certificate"),
        ),
        (Vec::new(), Err("it is empty")),
    ];
    for (bytes, expected) in rows {
        let found = parse_roots(&bytes).map(|roots| roots.len());
        assert_eq!(
            found.map_err(|error| error.to_string()),
            expected.map_err(str::to_owned)
        );
    }
}

/// What stands in a file, for mutation.
const SOURCES: [&[u8]; 4] = [
    include_bytes!("fixtures/no-mac.pfx"),
    include_bytes!("fixtures/legacy.pfx"),
    include_bytes!("fixtures/sec1.pem"),
    include_bytes!("fixtures/pkcs1.pem"),
];

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_sources_are_errors_or_certificates_and_never_a_panic(
        source in 0..SOURCES.len(),
        at in proptest::prelude::any::<proptest::sample::Index>(),
        byte: u8,
        cut in proptest::prelude::any::<proptest::sample::Index>(),
    ) {
        let mut bytes = SOURCES[source].to_vec();
        let index = at.index(bytes.len());
        bytes[index] = byte;
        let _ = pfx(&bytes, "Passw0rd");
        let _ = parse_roots(&bytes);
        bytes.remove(cut.index(bytes.len()));
        let _ = pfx(&bytes, "Passw0rd");
        let _ = parse_roots(&bytes);
    }
}
