//! Who may ask: the right `Host`, no page of another site, and the token.
//!
//! A browser on the operator's machine reaches a loopback address, and any page in it can send
//! requests there. Three things give such a request away: the name it was sent to (`Host`, for DNS
//! rebinding), the page it comes from (`Origin`), and what the browser itself says
//! (`Sec-Fetch-Site`).

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use http::uri::{Authority, Uri};
use http::{HeaderMap, Method};

use crate::error::AdminError;
use crate::options::AdminOptions;

/// Paths that need no token: an orchestrator asks them, and they tell nothing.
const WITHOUT_TOKEN: [&str; 2] = ["/healthz", "/readyz"];

/// The middleware: refuses or passes on.
pub(crate) async fn guard(
    State(options): State<Arc<AdminOptions>>,
    request: Request,
    next: Next,
) -> Response {
    match admit(&options, request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Whether a request with this head may be served.
fn admit(
    options: &AdminOptions,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(), AdminError> {
    let host = host(uri, headers)?;
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    if !options.hosts.allows(name) {
        let host = host.to_string();
        return Err(AdminError::HostNotAllowed { host });
    }
    same_origin(&host, headers)?;
    same_site(method, headers)?;
    if WITHOUT_TOKEN.contains(&uri.path()) {
        return Ok(());
    }
    authorized(options, headers)
}

/// The one host of the request; a target in absolute form must agree with `Host` (RFC 9112
/// section 3.2.2 lets it win, and what disagrees was not meant for us).
fn host(uri: &Uri, headers: &HeaderMap) -> Result<Authority, AdminError> {
    let field = single(headers, &HOST).map_err(|()| AdminError::BadHost)?;
    let host = match (field, uri.authority()) {
        (Some(field), None) => parse_host(field).ok_or(AdminError::BadHost)?,
        (None, Some(authority)) => authority.clone(),
        (Some(field), Some(authority)) if authority.as_str().eq_ignore_ascii_case(field) => {
            authority.clone()
        }
        (Some(_), Some(_)) | (None, None) => return Err(AdminError::BadHost),
    };
    if host.as_str().contains('@') {
        return Err(AdminError::BadHost);
    }
    Ok(host)
}

fn parse_host(field: &str) -> Option<Authority> {
    Authority::from_str(field).ok()
}

/// `Origin`, which browsers send with every write, must be this API's own.
fn same_origin(host: &Authority, headers: &HeaderMap) -> Result<(), AdminError> {
    let refused = |origin: &str| AdminError::CrossOrigin {
        origin: origin.to_owned(),
    };
    let Some(origin) = single(headers, &ORIGIN).map_err(|()| refused("several origins"))? else {
        return Ok(());
    };
    let uri = origin.parse::<Uri>().map_err(|_| refused(origin))?;
    let default_port = match uri.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return Err(refused(origin)),
    };
    // `Host` leaves out the default port of a scheme that only the browser knows.
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default_port);
    match uri.authority() {
        Some(from) if from.host().eq_ignore_ascii_case(host.host()) && port(from) == port(host) => {
            Ok(())
        }
        _ => Err(refused(origin)),
    }
}

/// What the browser says of the page that asks; following a link from elsewhere is no harm, since
/// the page that has the link cannot read the answer.
fn same_site(method: &Method, headers: &HeaderMap) -> Result<(), AdminError> {
    let field = |name: &'static str| headers.get(HeaderName::from_static(name));
    let Some(site) = field("sec-fetch-site") else {
        return Ok(());
    };
    let link = *method == Method::GET
        && field("sec-fetch-mode").is_some_and(|mode| mode == "navigate")
        && field("sec-fetch-dest").is_some_and(|to| to == "document");
    if site == "same-origin" || site == "none" || link {
        return Ok(());
    }
    let origin = "another site".to_owned();
    Err(AdminError::CrossOrigin { origin })
}

/// RFC 6750 section 2.1.
fn authorized(options: &AdminOptions, headers: &HeaderMap) -> Result<(), AdminError> {
    let Some(token) = &options.token else {
        return Ok(());
    };
    let offered = single(headers, &AUTHORIZATION).map_err(|()| AdminError::TokenWrong)?;
    let offered = offered.ok_or(AdminError::TokenMissing)?;
    let (scheme, offered) = offered.split_once(' ').ok_or(AdminError::TokenMissing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(AdminError::TokenMissing);
    }
    if token.matches(offered.trim().as_bytes()) {
        Ok(())
    } else {
        Err(AdminError::TokenWrong)
    }
}

/// The field's only line; an error where there are several, or bytes that are no text.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, ()> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(None),
        (Some(line), None) => line.to_str().map(Some).map_err(|_| ()),
        (Some(_), Some(_)) => Err(()),
    }
}

#[cfg(test)]
mod tests;
