//! `If-Match` and `If-None-Match` (RFC 9110 section 13): read here, judged for writes by the process
//! when it is their turn, for reads at once.

use axum::response::{IntoResponse, Response};
use http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};

use crate::answer;
use crate::control::Precondition;
use crate::error::AdminError;

/// A condition's right side: `*` or a list of entity tags.
#[derive(Debug, PartialEq, Eq)]
enum Tags {
    Any,
    These(Vec<Tag>),
}

#[derive(Debug, PartialEq, Eq)]
struct Tag {
    weak: bool,
    opaque: String,
}

/// What a reader is to get.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    /// The resource.
    Send,
    /// 304: the client has it.
    NotModified,
    /// 412.
    Failed,
}

/// What must hold of the resource before a write.
///
/// `If-None-Match` with tags, and both fields at once, are refused rather than half understood:
/// no client of this API needs them, and a write must not slip past its condition.
pub(crate) fn for_write(headers: &HeaderMap) -> Result<Precondition, AdminError> {
    let if_match = tags(headers, &IF_MATCH)?;
    let if_none_match = tags(headers, &IF_NONE_MATCH)?;
    match (if_match, if_none_match) {
        (None, None) => Ok(Precondition::None),
        (Some(Tags::Any), None) => Ok(Precondition::Exists),
        (None, Some(Tags::Any)) => Ok(Precondition::Absent),
        (Some(Tags::These(tags)), None) => Ok(Precondition::Matches(strong(tags))),
        (None, Some(Tags::These(_))) => Err(AdminError::BadPrecondition {
            field: "If-None-Match",
            reason: "a write takes only `*` there",
        }),
        (Some(_), Some(_)) => Err(AdminError::BadPrecondition {
            field: "If-Match",
            reason: "give either it or If-None-Match",
        }),
    }
}

/// What a reader of the resource tagged `current` is to get.
fn for_read(headers: &HeaderMap, current: &str) -> Result<Read, AdminError> {
    if let Some(Tags::These(tags)) = tags(headers, &IF_MATCH)?
        && !strong(tags).iter().any(|tag| tag == current)
    {
        return Ok(Read::Failed);
    }
    // If-None-Match compares weakly: a proxy that compressed the answer may have weakened the tag.
    Ok(match tags(headers, &IF_NONE_MATCH)? {
        None => Read::Send,
        Some(Tags::Any) => Read::NotModified,
        Some(Tags::These(tags)) if tags.iter().any(|tag| tag.opaque == current) => {
            Read::NotModified
        }
        Some(Tags::These(_)) => Read::Send,
    })
}

/// The answer of a read under its conditions: `send`'s, 304 or 412, each with the tag.
pub(crate) fn conditional(
    headers: &HeaderMap,
    current: &str,
    send: impl FnOnce() -> Response,
) -> Result<Response, AdminError> {
    let response = match for_read(headers, current)? {
        Read::Send => send(),
        Read::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        Read::Failed => {
            let current = current.to_owned();
            return Err(AdminError::PreconditionFailed { current });
        }
    };
    Ok(answer::tagged(response, current))
}

/// `If-Match` compares strongly: a weak tag matches nothing (section 13.1.1).
fn strong(tags: Vec<Tag>) -> Vec<String> {
    let tags = tags.into_iter().filter(|tag| !tag.weak);
    tags.map(|tag| tag.opaque).collect()
}

fn tags(headers: &HeaderMap, field: &'static HeaderName) -> Result<Option<Tags>, AdminError> {
    let bad = |reason| AdminError::BadPrecondition {
        field: if *field == IF_MATCH {
            "If-Match"
        } else {
            "If-None-Match"
        },
        reason,
    };
    let mut all = Vec::new();
    let mut any = false;
    for line in headers.get_all(field) {
        let line = line.to_str().map_err(|_| bad("it is not ASCII"))?.trim();
        if line == "*" {
            any = true;
        } else {
            let tags = parse_list(line).ok_or_else(|| {
                bad("write `*`, or tags in double quotes: If-Match: \"0a1b2c\", \"3d4e5f\"")
            })?;
            all.extend(tags);
        }
    }
    match (any, all.is_empty()) {
        (true, true) => Ok(Some(Tags::Any)),
        (true, false) => Err(bad("`*` stands alone")),
        (false, true) if headers.contains_key(field) => Err(bad("it is empty")),
        (false, true) => Ok(None),
        (false, false) => Ok(Some(Tags::These(all))),
    }
}

/// A comma list of `"opaque"` and `W/"opaque"`; `None` for anything else. Empty elements pass
/// (section 5.6.1.2).
fn parse_list(line: &str) -> Option<Vec<Tag>> {
    let mut tags = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Some(tags);
        }
        let (weak, quoted) = match rest.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        let (opaque, after) = quoted.strip_prefix('"')?.split_once('"')?;
        // etagc: no white space and no controls inside the quotes.
        if opaque.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return None;
        }
        let opaque = opaque.to_owned();
        tags.push(Tag { weak, opaque });
        rest = after.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    type Fields<'a> = &'a [(&'static HeaderName, &'a str)];

    fn headers(rows: Fields<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in rows {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn writes() {
        let matches = |tags: &[&str]| {
            Some(Precondition::Matches(
                tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ))
        };
        #[rustfmt::skip]
        let rows: &[(Fields<'_>, Option<Precondition>)] = &[
            (&[], Some(Precondition::None)),
            (&[(&IF_MATCH, "*")], Some(Precondition::Exists)),
            (&[(&IF_NONE_MATCH, "*")], Some(Precondition::Absent)),
            (&[(&IF_MATCH, "\"a\"")], matches(&["a"])),
            (&[(&IF_MATCH, "\"a\" , \"b,c\",")], matches(&["a", "b,c"])),
            (&[(&IF_MATCH, "\"a\""), (&IF_MATCH, "\"b\"")], matches(&["a", "b"])),
            // 13.1.1: strong comparison, so a weak tag never matches
            (&[(&IF_MATCH, "W/\"a\"")], matches(&[])),
            (&[(&IF_MATCH, "\"\"")], matches(&[""])),
            (&[(&IF_MATCH, "a")], None),
            (&[(&IF_MATCH, "\"a")], None),
            (&[(&IF_MATCH, "\"a\"\"b\"")], None),
            (&[(&IF_MATCH, "\"a b\"")], None),
            (&[(&IF_MATCH, "w/\"a\"")], None),
            (&[(&IF_MATCH, "")], None),
            (&[(&IF_MATCH, "*, \"a\"")], None),
            (&[(&IF_MATCH, "*"), (&IF_MATCH, "\"a\"")], None),
            (&[(&IF_NONE_MATCH, "\"a\"")], None),
            (&[(&IF_MATCH, "*"), (&IF_NONE_MATCH, "*")], None),
        ];
        for (given, expected) in rows {
            assert_eq!(for_write(&headers(given)).ok(), *expected, "{given:?}");
        }
    }

    #[test]
    fn reads_of_a_resource_tagged_a() {
        #[rustfmt::skip]
        let rows: &[(Fields<'_>, Option<Read>)] = &[
            (&[], Some(Read::Send)),
            (&[(&IF_NONE_MATCH, "\"a\"")], Some(Read::NotModified)),
            (&[(&IF_NONE_MATCH, "W/\"a\"")], Some(Read::NotModified)),
            (&[(&IF_NONE_MATCH, "\"b\", \"a\"")], Some(Read::NotModified)),
            (&[(&IF_NONE_MATCH, "*")], Some(Read::NotModified)),
            (&[(&IF_NONE_MATCH, "\"b\"")], Some(Read::Send)),
            (&[(&IF_MATCH, "\"a\"")], Some(Read::Send)),
            (&[(&IF_MATCH, "*")], Some(Read::Send)),
            (&[(&IF_MATCH, "\"b\"")], Some(Read::Failed)),
            (&[(&IF_MATCH, "W/\"a\"")], Some(Read::Failed)),
            (&[(&IF_NONE_MATCH, "a")], None),
        ];
        for (given, expected) in rows {
            assert_eq!(for_read(&headers(given), "a").ok(), *expected, "{given:?}");
        }
    }
}
