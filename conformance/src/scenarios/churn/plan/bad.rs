//! Requests that must be refused, with what must be said of them: data.

use fastrand::Rng;

use super::supplies::Supplies;

/// A request, and its refusal.
#[derive(Debug, Clone)]
pub(in crate::scenarios::churn) struct Bad {
    pub(in crate::scenarios::churn) what: &'static str,
    pub(in crate::scenarios::churn) method: &'static str,
    pub(in crate::scenarios::churn) path: &'static str,
    pub(in crate::scenarios::churn) fields: &'static str,
    pub(in crate::scenarios::churn) body: String,
    pub(in crate::scenarios::churn) status: u16,
    /// `error.code`.
    pub(in crate::scenarios::churn) code: &'static str,
    /// The code of one of `error.details`.
    pub(in crate::scenarios::churn) detail: Option<&'static str>,
}

type Row = (
    &'static str,
    (&'static str, &'static str, &'static str),
    &'static str,
    (u16, &'static str, Option<&'static str>),
);

const POOL: &str = "/v1/backendAddressPools/alpha";
const INVALID: &str = "InvalidDocument";

/// `{taken}` stands for a port that somebody else listens on.
#[rustfmt::skip]
const ROWS: [Row; 17] = [
    ("no JSON", ("PUT", POOL, ""), "{ \"properties\": ", (400, "InvalidJson", Some("InvalidJson"))),
    ("a number for a list", ("PUT", POOL, ""),
        r#"{ "properties": { "backendAddresses": 7 } }"#, (400, INVALID, Some("PropertyTypeMismatch"))),
    ("no address", ("PUT", POOL, ""),
        r#"{ "properties": { "backendAddresses": [{ "ipAddress": "not one" }] } }"#, (400, INVALID, Some("InvalidPropertyValue"))),
    ("another name in the body", ("PUT", POOL, ""),
        r#"{ "name": "beta", "properties": { "backendAddresses": [] } }"#, (400, INVALID, Some("NameMismatch"))),
    ("two pools of one name", ("PUT", "/v1/config", ""),
        r#"{ "name": "churn", "properties": { "backendAddressPools": [{ "name": "a" }, { "name": "A" }] } }"#,
        (400, INVALID, Some("DuplicateResourceName"))),
    ("a document that is a list", ("PUT", "/v1/config", ""), "[]", (400, INVALID, Some("PropertyTypeMismatch"))),
    ("a port that is none", ("PUT", "/v1/frontendPorts/core", ""),
        r#"{ "properties": { "port": 65536 } }"#, (400, INVALID, Some("InvalidPropertyValue"))),
    ("somebody else's port", ("PUT", "/v1/frontendPorts/core", ""),
        r#"{ "properties": { "port": {taken} } }"#, (409, "AddressNotAvailable", None)),
    ("a probe by Tcp", ("PUT", "/v1/probes/calm", ""),
        r#"{ "properties": { "protocol": "Tcp" } }"#, (400, INVALID, Some("ProbeProtocolNotServed"))),
    ("a certificate that is nowhere", ("PUT", "/v1/sslCertificates/one", ""),
        r#"{ "properties": { "keyVaultSecretId": "file:///nowhere/at-all.pem" } }"#, (400, INVALID, Some("CertificateNotUsable"))),
    ("an unknown query", ("PUT", "/v1/backendAddressPools/alpha?dryrun=true", ""),
        r#"{ "properties": {} }"#, (400, "InvalidQuery", None)),
    ("two preconditions", ("DELETE", POOL, "If-Match: *\r\nIf-None-Match: *\r\n"), "", (400, "InvalidPrecondition", None)),
    ("a precondition that is no tag", ("DELETE", POOL, "If-Match: alpha\r\n"), "", (400, "InvalidPrecondition", None)),
    ("creating what exists", ("PUT", POOL, "If-None-Match: *\r\n"), r#"{ "properties": {} }"#, (412, "PreconditionFailed", None)),
    ("replacing what does not exist", ("PUT", "/v1/probes/never", "If-Match: *\r\n"), "{}", (412, "PreconditionFailed", None)),
    ("no such collection", ("PUT", "/v1/backendPools/alpha", ""), "{}", (404, "CollectionNotFound", None)),
    ("a whole collection", ("DELETE", "/v1/backendAddressPools", ""), "", (405, "MethodNotAllowed", None)),
];

/// All of them.
pub(super) fn all(supplies: &Supplies) -> Vec<Bad> {
    let rows = ROWS.into_iter();
    rows.map(|row| bad(row, supplies)).collect()
}

/// One of them.
pub(super) fn draw(random: &mut Rng, supplies: &Supplies) -> Bad {
    bad(ROWS[random.usize(..ROWS.len())], supplies)
}

fn bad(row: Row, supplies: &Supplies) -> Bad {
    let (what, (method, path, fields), body, (status, code, detail)) = row;
    Bad {
        what,
        method,
        path,
        fields,
        body: body.replace("{taken}", &supplies.taken.to_string()),
        status,
        code,
        detail,
    }
}
