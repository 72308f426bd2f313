//! `gateway run --state`: the API is the truth, and a crash takes nothing that was acknowledged.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Resource, Rlimit, Signal, prlimit};
use tempfile::tempdir;

use crate::support::{
    Answer, Backends, Gateway, document, eventually, exchange, free_port, get, get_request, pause,
    put, send, tls, write_listener_certificate,
};

/// A gateway whose API answers, with its state in `folder`.
fn in_api_mode(admin: u16, folder: &Path) -> Gateway {
    let gateway = Gateway::start_run(admin, &["--state", folder.to_str().unwrap()]);
    eventually("the API", || get(admin, "/healthz"));
    gateway
}

/// Puts the first document.
fn create(admin: u16, document: &str) {
    let created = put(admin, "/v1/config", document).unwrap();
    assert_eq!(created.status, 201, "{}", created.body);
}

#[test]
fn an_empty_state_waits_for_its_first_document() {
    let backends = Backends::named(["one"]);
    let folder = tempdir().unwrap();
    let (port, admin) = (free_port(), free_port());
    let state = folder.path().to_str().unwrap();
    let gateway = Gateway::start_run(admin, &["--state", state]);
    let waiting = eventually("the API", || get(admin, "/readyz"));
    assert_eq!(waiting.status, 503, "{}", waiting.body);

    let dry = put(
        admin,
        "/v1/config?dryRun=true",
        &document(port, &[backends.address(0)]),
    );
    assert!(dry.unwrap().status < 300);
    assert!(get(port, "/").is_none(), "a dry run must not listen");

    create(admin, &document(port, &[backends.address(0)]));
    assert_eq!(get(port, "/").unwrap().body, "one answers GET /\n");
    assert_eq!(get(admin, "/readyz").unwrap().status, 200);
    drop(gateway);
}

#[test]
fn a_stale_tag_is_refused_and_a_no_op_is_no_revision() {
    let folder = tempdir().unwrap();
    let (port, admin) = (free_port(), free_port());
    let _gateway = in_api_mode(admin, folder.path());
    create(admin, &document(port, &[]));

    let pool = "/v1/backendAddressPools/pool";
    let tag_of = |answer: Answer| {
        let mut lines = answer.head.lines();
        let tag = lines.find_map(|line| line.strip_prefix("etag: "));
        tag.unwrap().to_owned()
    };
    let tag = tag_of(get(admin, pool).unwrap());
    let body = r#"{"properties": {"backendAddresses": [{"ipAddress": "127.0.0.1"}]}}"#;
    let write = || {
        let request = format!(
            "PUT {pool} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nIf-Match: {tag}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        send(admin, &request).unwrap()
    };
    assert_eq!(write().status, 200);
    assert_eq!(revision(admin), 2);
    assert_eq!(write().status, 412, "the tag is stale now");
    assert_eq!(put(admin, pool, body).unwrap().status, 200);
    assert_eq!(revision(admin), 2, "writing what is there changes nothing");
}

#[test]
fn listeners_that_a_map_joins_are_refused_where_they_speak_otherwise() {
    let folder = tempdir().unwrap();
    let (port, other, admin) = (free_port(), free_port(), free_port());
    let state = folder.path().to_str().unwrap();
    let joined = format!("{other}={port}");
    let _gateway = Gateway::start_run(admin, &["--state", state, "--map-port", &joined]);
    eventually("the API", || get(admin, "/healthz"));
    create(admin, &document(port, &[]));
    let body = format!(r#"{{"properties": {{"port": {other}}}}}"#);
    assert_eq!(
        put(admin, "/v1/frontendPorts/second", &body)
            .unwrap()
            .status,
        201
    );

    let second = r#"{"properties": {"frontendIPConfiguration": {"id": "local"},
        "frontendPort": {"id": "second"}, "protocol": "Http", "proxyProtocol": true}}"#;
    let refused = put(admin, "/v1/httpListeners/second", second).unwrap();
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert!(
        refused.body.contains("listener second and listener web")
            || refused.body.contains("listener web and listener second"),
        "{}",
        refused.body
    );
    assert_eq!(revision(admin), 2, "what was live stays");
    assert_eq!(get(port, "/").unwrap().status, 502);
}

#[test]
fn a_full_disk_refuses_a_change_and_is_forgotten_when_there_is_room() {
    let folder = tempdir().unwrap();
    let (port, admin) = (free_port(), free_port());
    let state = folder.path().to_str().unwrap();
    let address = format!("127.0.0.1:{admin}");
    // A file that may not grow stands in for the disk: writing fails in the same place.
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#]);
    shell.arg(env!("CARGO_BIN_EXE_gateway"));
    shell.args(["run", "--state", state, "--admin", &address]);
    let gateway = Gateway::spawn(shell);
    eventually("the API", || get(admin, "/healthz"));
    let change = |number: usize| {
        let filler = number.to_string().repeat(3000);
        let tagged = document(port, &[]).replacen(
            r#""name": "test","#,
            &format!(r#""name": "test", "tags": {{"filler": "{filler}"}},"#),
            1,
        );
        put(admin, "/v1/config", &tagged).unwrap()
    };
    assert_eq!(change(1).status, 201);

    let limit_files = |bytes| {
        let limit = Rlimit {
            current: bytes,
            maximum: None,
        };
        prlimit(Some(gateway.id()), Resource::Fsize, limit).unwrap();
    };
    let database = folder.path().join("gateway.redb");
    limit_files(Some(fs::metadata(&database).unwrap().len()));
    let (acknowledged, refused) = (2..200)
        .map(|number| (number, change(number)))
        .find(|(_, answer)| answer.status != 200)
        .map(|(number, answer)| (number - 1, answer))
        .unwrap();
    assert_eq!(refused.status, 500, "{}", refused.body);
    assert!(refused.body.contains("StoreFailed"), "{}", refused.body);
    assert_eq!(revision(admin), acknowledged as u64);

    limit_files(None);
    let taken = change(300);
    assert_eq!(taken.status, 200, "{}", taken.body);
    let latest = revision(admin);
    assert_eq!(latest, acknowledged as u64 + 1);
    gateway.kill_nine();
    let _gateway = Gateway::run(admin, &["--state", state]);
    assert_eq!(revision(admin), latest);
}

#[test]
fn a_certificate_that_cannot_be_used_is_refused_in_its_place() {
    let folder = tempdir().unwrap();
    let (port, admin) = (free_port(), free_port());
    let _gateway = in_api_mode(admin, folder.path());
    create(admin, &document(port, &[]));
    let body = r#"{"properties": {"keyVaultSecretId": "file:///missing.pem"}}"#;
    let refused = put(admin, "/v1/sslCertificates/site", body).unwrap();
    assert_eq!(refused.status, 400, "{}", refused.body);
    let problem: serde_json::Value = serde_json::from_str(&refused.body).unwrap();
    let detail = problem["error"]["details"][0].to_string();
    assert!(detail.contains("CertificateNotUsable"), "{detail}");
    assert!(detail.contains("/properties/keyVaultSecretId"), "{detail}");
    assert_eq!(revision(admin), 1);
}

#[test]
fn a_certificate_that_is_gone_after_a_restart_is_waited_for() {
    let folder = tempdir().unwrap();
    let (port, admin) = (free_port(), free_port());
    let state = folder.path().join("state");
    let arguments = ["--state", state.to_str().unwrap()];
    let file = folder.path().join("site.pem");
    let root = write_listener_certificate(&file);
    let kept = fs::read(&file).unwrap();

    let gateway = Gateway::start_run(admin, &arguments);
    eventually("the API", || get(admin, "/healthz"));
    let certificates = format!(
        r#""sslCertificates": [{{"name": "site", "properties": {{"keyVaultSecretId": "file://{}"}}}}],
    "httpListeners""#,
        file.display()
    );
    let https = r#""sslCertificate": {"id": "site"}, "protocol": "Https""#;
    let document = document(port, &[])
        .replacen(r#""httpListeners""#, &certificates, 1)
        .replacen(
            r#""frontendPort": {"id": "http"}, "protocol": "Http""#,
            &format!(r#""frontendPort": {{"id": "http"}}, {https}"#),
            1,
        );
    let created = put(admin, "/v1/config", &document).unwrap();
    assert_eq!(created.status, 201, "{}", created.body);
    gateway.kill_nine();
    fs::remove_file(&file).unwrap();

    let _gateway = Gateway::start_run(admin, &arguments);
    eventually("the API", || get(admin, "/healthz"));
    let waiting = get(admin, "/readyz").unwrap();
    assert_eq!(waiting.status, 503);
    assert!(waiting.body.contains("site.pem"), "{}", waiting.body);
    assert_eq!(get(admin, "/v1/config").unwrap().status, 200);
    assert_eq!(put(admin, "/v1/config", &document).unwrap().status, 400);
    assert_eq!(revision(admin), 1);

    fs::write(&file, kept).unwrap();
    eventually("readiness", || {
        (get(admin, "/readyz")?.status == 200).then_some(())
    });
    assert_eq!(revision(admin), 1);
    let answer = exchange(&mut tls(port, &root), &get_request("localhost", "/"));
    assert_eq!(answer.unwrap().status, 502);
}

#[test]
fn a_unix_socket_is_its_owners_alone_and_replaces_one_that_a_crash_left() {
    let folder = tempdir().unwrap();
    let socket = folder.path().join("admin.sock");
    let state = folder.path().join("state");
    let admin = format!("unix:{}", socket.display());
    let start = || {
        let gateway = Gateway::start(&[
            "run",
            "--state",
            state.to_str().unwrap(),
            "--admin",
            &admin,
            "--log",
            "text",
        ]);
        eventually("the API", || {
            let mut stream = UnixStream::connect(&socket).ok()?;
            exchange(&mut stream, &get_request("anything", "/healthz"))
        });
        gateway
    };
    start().kill_nine();
    assert!(socket.exists());
    let gateway = start();
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.ended().status.code(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn an_api_on_the_network_speaks_tls_and_asks_for_the_token() {
    let folder = tempdir().unwrap();
    let certificate = folder.path().join("admin.pem");
    let root = write_listener_certificate(&certificate);
    let token = folder.path().join("token");
    fs::write(&token, "correct-horse-battery\n").unwrap();
    let state = folder.path().join("state");
    let admin = free_port();
    let address = format!("0.0.0.0:{admin}");
    let gateway = Gateway::start(&[
        "run",
        "--state",
        state.to_str().unwrap(),
        "--admin",
        &address,
        "--admin-token-file",
        token.to_str().unwrap(),
        "--admin-cert",
        certificate.to_str().unwrap(),
        "--log",
        "text",
    ]);
    eventually("the API", || {
        gateway.stderr().contains("listens").then_some(())
    });
    let status = |root, authorization: &str| {
        let request = format!(
            "GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{authorization}\r\n"
        );
        exchange(&mut tls(admin, root), &request).map(|answer| answer.status)
    };
    assert_eq!(status(&root, ""), Some(401));
    assert_eq!(
        status(&root, "Authorization: Bearer wrong-horse-battery\r\n"),
        Some(401)
    );
    let right = "Authorization: Bearer correct-horse-battery\r\n";
    assert_eq!(status(&root, right), Some(200));

    let renewed = write_listener_certificate(&certificate);
    gateway.signal(Signal::HUP);
    eventually("the renewed certificate", || status(&renewed, right));
}

#[test]
fn keys_are_kept_apart_never_shown_and_there_after_a_crash() {
    let folder = tempdir().unwrap();
    let (port, admin) = (free_port(), free_port());
    let state = folder.path().to_str().unwrap();
    let gateway = in_api_mode(admin, folder.path());
    let pfx = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../gateway-net/src/certificates/fixtures/aes.pfx");
    let data = STANDARD.encode(fs::read(pfx).unwrap());
    let certificate = format!(
        r#""sslCertificates": [{{"name": "site", "properties":
            {{"data": "{data}", "password": "Passw0rd"}}}}], "httpListeners""#
    );
    let secure = r#""protocol": "Https", "sslCertificate": {"id": "site"}}}"#;
    let document = document(port, &[])
        .replace(r#""httpListeners""#, &certificate)
        .replace("\"protocol\": \"Http\"\n    }}", secure);
    let created = put(admin, "/v1/config", &document).unwrap();
    assert_eq!(created.status, 201, "{}", created.body);

    let shown = get(admin, "/v1/config").unwrap().body;
    let database = fs::read(folder.path().join("gateway.redb")).unwrap();
    for secret in [&data[..40], "Passw0rd"] {
        assert!(!shown.contains(secret) && !created.body.contains(secret));
        assert!(
            !database
                .windows(secret.len())
                .any(|window| window == secret.as_bytes())
        );
    }
    let files: Vec<_> = fs::read_dir(folder.path().join("secrets"))
        .unwrap()
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");

    // What GET shows can be PUT: the certificate keeps its key.
    let again = put(admin, "/v1/config", &shown).unwrap();
    assert_eq!(again.status, 200, "{}", again.body);
    gateway.kill_nine();
    let _gateway = Gateway::run(admin, &["--state", state]);
    assert_eq!(get(admin, "/v1/config").unwrap().body, shown);
}

#[test]
fn members_are_found_by_name() {
    let backends = Backends::named(["one"]);
    let folder = tempdir().unwrap();
    let (port, admin) = (free_port(), free_port());
    let _gateway = in_api_mode(admin, folder.path());
    let by_name = document(port, &[backends.address(0)]).replace(
        r#""ipAddress": "127.0.0.1", "port""#,
        r#""fqdn": "localhost", "port""#,
    );
    assert!(by_name.contains("fqdn"));
    create(admin, &by_name);
    assert_eq!(get(port, "/").unwrap().body, "one answers GET /\n");
}

#[test]
fn what_was_acknowledged_survives_kill_nine() {
    let backends = Backends::named(["one"]);
    let folder = tempdir().unwrap();
    let (port, admin) = (free_port(), free_port());
    let state = folder.path().to_str().unwrap();
    let gateway = in_api_mode(admin, folder.path());
    create(admin, &document(port, &[backends.address(0)]));
    gateway.kill_nine();

    let mut acknowledged = 1;
    for round in 0..6_u64 {
        let gateway = Gateway::run(admin, &["--state", state]);
        assert_eq!(get(port, "/").unwrap().body, "one answers GET /\n");
        let found = revision(admin);
        assert!(
            found == acknowledged || found == acknowledged + 1,
            "revision {found} after {acknowledged} was acknowledged"
        );
        assert_eq!(members(admin), found, "a revision is whole");

        let writer = std::thread::spawn(move || write_until_gone(admin, found));
        pause(Duration::from_millis(3 + 37 * round));
        gateway.kill_nine();
        acknowledged = writer.join().unwrap();
    }
    assert!(acknowledged > 1, "no write was ever acknowledged");
}

/// Revision n has n members, so that a mixture would show.
fn write_until_gone(admin: u16, from: u64) -> u64 {
    let mut acknowledged = from;
    loop {
        let members: Vec<_> = (0..=acknowledged)
            .map(|member| format!(r#"{{"ipAddress": "127.0.0.1", "port": {}}}"#, 1000 + member))
            .collect();
        let body = format!(
            r#"{{"properties": {{"backendAddresses": [{}]}}}}"#,
            members.join(",")
        );
        match put(admin, "/v1/backendAddressPools/spare", &body) {
            Some(answer) if answer.status < 300 => acknowledged += 1,
            Some(answer) => panic!("{}", answer.body),
            None => return acknowledged,
        }
    }
}

fn revision(admin: u16) -> u64 {
    let head = get(admin, "/v1/config").unwrap().head;
    let mut lines = head.lines();
    let value = lines.find_map(|line| line.strip_prefix("gateway-revision: "));
    value.unwrap().parse().unwrap()
}

/// The spare pool's members; revision 1 has no such pool.
fn members(admin: u16) -> u64 {
    let answer = get(admin, "/v1/backendAddressPools/spare").unwrap();
    if answer.status == 404 {
        return 1;
    }
    let pool: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    pool["properties"]["backendAddresses"]
        .as_array()
        .unwrap()
        .len() as u64
}
