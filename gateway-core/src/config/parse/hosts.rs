//! Host names and patterns (reference section 2, hostNames).

/// Why `pattern` cannot be one of `hostNames`.
pub(super) fn pattern_fault(pattern: &str) -> Option<&'static str> {
    let wildcards = |text: &str| text.matches(['*', '?']).count();
    let stars = |text: &str| text.matches('*').count();
    if let Some(fault) = name_fault(pattern, "-*?") {
        Some(fault)
    } else if wildcards(pattern) > 4 {
        Some("it holds more than four wildcard characters")
    } else if stars(pattern) > 2 {
        Some("it holds more than two `*`")
    } else if pattern.split('.').any(|label| stars(label) > 1) {
        Some("a label holds more than one `*`")
    } else if pattern
        .split('.')
        .any(|label| label.contains('*') && label.contains('?'))
    {
        Some("a label holds both `*` and `?`")
    } else {
        None
    }
}

/// Why `name` cannot be a host name without wildcards.
pub(super) fn host_fault(name: &str) -> Option<&'static str> {
    if name.contains(['*', '?']) {
        return Some("it holds a wildcard");
    }
    name_fault(name, "-")
}

/// Why `host` cannot stand in a `Host` header: a name (`_` is seen in the wild) or an address,
/// with a port or without.
pub(super) fn header_fault(host: &str) -> Option<&'static str> {
    let authority = host.parse::<http::uri::Authority>();
    let plain = host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
    if authority.is_err() || !plain {
        return Some("it is no host");
    }
    None
}

fn name_fault(name: &str, punctuation: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > 253 {
        Some("it is longer than 253 characters")
    } else if name.split('.').any(str::is_empty) {
        Some("a label is empty")
    } else if !name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '.' || punctuation.contains(c))
    {
        Some("it holds other characters than letters, digits, `.` and `-`")
    } else {
        None
    }
}
