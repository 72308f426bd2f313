//! What a gateway may send: one canonical form of every request, and nothing else.

use super::Seen;

/// Reads a head, and judges it by what a gateway may send: one canonical form (RFC 9112).
pub(super) fn read_head(head: &[u8]) -> (Seen, Vec<String>) {
    let text = String::from_utf8_lossy(head).into_owned();
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let mut seen = Seen {
        line: lines.next().unwrap_or_default().to_owned(),
        ..Seen::default()
    };
    let mut violations = Vec::new();
    if seen.line.split(' ').count() != 3 || !seen.line.ends_with(" HTTP/1.1") {
        violations.push("a request line that is not METHOD SP target SP HTTP/1.1".to_owned());
    }
    for line in lines {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if name.is_empty() || !name.bytes().all(is_token) {
            violations.push(format!("a field name that is no token: {line:?}"));
        }
        seen.fields
            .push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if text.replace("\r\n", "").contains(['\r', '\n', '\0']) {
        violations.push("CR, LF or NUL on its own".to_owned());
    }
    if seen.values("host").len() != 1 {
        violations.push(format!("{} Host fields", seen.values("host").len()));
    }
    let lengths = seen.values("content-length");
    let codings = seen.values("transfer-encoding");
    if lengths.len() + codings.len() > 1 {
        violations.push("more than one framing field".to_owned());
    }
    if lengths
        .iter()
        .any(|length| !length.bytes().all(|byte| byte.is_ascii_digit()))
    {
        violations.push("a Content-Length that is no number".to_owned());
    }
    if codings
        .iter()
        .any(|coding| !coding.eq_ignore_ascii_case("chunked"))
    {
        violations.push("a Transfer-Encoding that is not chunked".to_owned());
    }
    (seen, violations)
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::read_head;

    #[test]
    fn only_the_canonical_form_passes() {
        let good = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n";
        assert_eq!(read_head(good.as_bytes()).1, Vec::<String>::new());
        let rows = [
            ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", "request line"),
            ("GET / HTTP/1.1\r\n\r\n", "0 Host"),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "2 Host"),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "no token"),
            ("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", "on its own"),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                "framing",
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
                "no number",
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
                "not chunked",
            ),
        ];
        for (head, expected) in rows {
            let violations = read_head(head.as_bytes()).1;
            let found = violations
                .iter()
                .any(|violation| violation.contains(expected));
            assert!(found, "{head:?}: {violations:?}");
        }
    }
}
