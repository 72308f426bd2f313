//! `/v1/connections`: the open tunnels, to see and to close.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use gateway_core::config::Frames;
use gateway_core::tunnels::{
    Carried, ListQuery, QueryProblem, TunnelId, TunnelReport, parse_close_filter,
};
use gateway_core::websocket::{LONGEST_REASON, may_be_sent};
use http::{HeaderMap, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::drains;
use crate::answer::{json, rfc3339};
use crate::api::Api;
use crate::body::read_text;
use crate::control::{CloseTunnels, Control, WhichTunnels};
use crate::error::AdminError;

/// The longest body of a request to close connections; a reason has 123 bytes.
const LONGEST_BODY: usize = 4096;

/// Which connections; what is given must match together.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only describes what the core reads")]
struct FilterParameters {
    /// The listener's name.
    #[param(required = false, rename = "listener")]
    listener: String,
    /// The rule's name.
    #[param(required = false)]
    rule: String,
    /// The pool's name.
    #[param(required = false)]
    pool: String,
    /// The target's address, with or without a port.
    #[param(required = false, example = "10.0.0.4:8080")]
    target: String,
    /// The client's address, or a network.
    #[param(required = false, example = "10.0.0.0/8")]
    client: String,
    /// Open for at least so many seconds.
    #[param(required = false, rename = "olderThan", example = 3600)]
    older_than: u64,
    /// Without a byte from either peer for at least so many seconds.
    #[param(required = false, rename = "idleFor", example = 60)]
    idle_for: u64,
    /// What the peers agreed on; empty for those that agreed on none.
    #[param(required = false)]
    subprotocol: String,
}

/// In which order, and how many.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only describes what the core reads")]
struct PageParameters {
    /// `id` (by worker, there the oldest first), `openedAt`, `lastTrafficAt`, `messages` or `bytes`;
    /// with `-` before it the largest first.
    #[param(required = false, example = "-bytes")]
    sort: String,
    /// How many on a page: 1 to 1000, 100 unless given.
    #[param(required = false, example = 100)]
    limit: usize,
    /// Where to go on: `nextLink` has it.
    #[param(required = false)]
    cursor: String,
}

/// One page of the open connections.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConnectionList {
    /// The connections, in order.
    value: Vec<Connection>,
    /// How many match from here on, those on this page included.
    #[schema(example = 1)]
    count: usize,
    /// Where the next page is; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/v1/connections?pool=web&cursor=0.0-117")]
    next_link: Option<String>,
}

/// An open WebSocket.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Connection {
    /// Its name for as long as the process lives.
    #[schema(example = "0-17")]
    id: String,
    /// The listener that it came through.
    #[schema(example = "http")]
    listener: String,
    /// The rule that it went by.
    #[schema(example = "app")]
    rule: String,
    /// The pool that it goes to.
    #[schema(example = "web")]
    pool: String,
    /// The target's address and port.
    #[schema(example = "10.0.0.4:8080")]
    target: String,
    /// The HTTP settings that it was opened under; later changes do not concern it.
    #[schema(example = "plain")]
    settings: String,
    /// The client's address and port.
    #[schema(example = "192.0.2.9:40000")]
    client: String,
    /// The handshake's `Host`, without its port.
    #[schema(example = "app.example")]
    host: String,
    /// The handshake's path, without its query.
    #[schema(example = "/chat")]
    path: String,
    /// What the peers agreed on; absent where they agreed on none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "mqtt")]
    subprotocol: Option<String>,
    /// The client came over TLS.
    secure: bool,
    /// When it was opened.
    #[schema(example = "2026-01-31T03:04:05.678Z", format = DateTime)]
    opened_at: String,
    /// `Open`; `Draining` while its turn to be closed has not come; `Closing` when somebody has begun
    /// to end it.
    #[schema(value_type = String, example = "Open")]
    state: &'static str,
    /// `Tracked`, or `Opaque`: then messages are not counted and it cannot be closed by a Close frame.
    #[schema(value_type = String, example = "Tracked")]
    frames: &'static str,
    /// How long the last Ping of the gateway's took to be answered; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 3.2)]
    ping_round_trip_in_ms: Option<f64>,
    /// From the client.
    received: ConnectionTraffic,
    /// To the client.
    sent: ConnectionTraffic,
}

/// What one direction carried.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConnectionTraffic {
    /// Whole messages; control frames do not count.
    #[schema(example = 12)]
    messages: u64,
    /// Bytes of the WebSocket stream, frame headers and all.
    #[schema(example = 3400)]
    bytes: u64,
    /// When bytes last came; when it was opened, before any.
    #[schema(example = "2026-01-31T03:04:05.678Z", format = DateTime)]
    last_at: String,
}

/// How connections are closed.
#[derive(Debug, Default, Deserialize, ToSchema, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CloseRequest {
    /// The Close frame's code: 1000 to 1003, 1007 to 1014, or 3000 to 4999; that of each
    /// connection's HTTP settings (`closeCode`) unless given.
    #[schema(example = 1012)]
    #[param(required = false, example = 1012)]
    code: Option<u16>,
    /// The Close frame's reason, at most 123 bytes.
    #[schema(example = "moving to another region")]
    #[param(required = false)]
    reason: Option<String>,
    /// How many a second; all at once unless given.
    #[schema(value_type = Option<u32>, minimum = 1, example = 50)]
    #[param(ignore)]
    per_second: Option<NonZeroU32>,
}

impl CloseRequest {
    fn checked(self) -> Result<CloseTunnels, String> {
        if let Some(code) = self.code.filter(|code| !may_be_sent(*code)) {
            return Err(format!(
                "code: {code} may not be in a Close frame; 1000 to 1003, 1007 to 1014 and 3000 to \
                 4999 may"
            ));
        }
        let length = self.reason.as_ref().map_or(0, String::len);
        if length > LONGEST_REASON {
            return Err(format!(
                "reason: {length} bytes; a Close frame has room for {LONGEST_REASON}"
            ));
        }
        Ok(CloseTunnels {
            code: self.code,
            reason: self.reason,
            per_second: self.per_second,
        })
    }
}

type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// The open WebSockets.
///
/// Filtered, sorted, page by page. What opens or closes meanwhile neither repeats nor hides others
/// where the order is `id` or `openedAt`.
#[utoipa::path(get, path = "/v1/connections", tag = "connections",
    params(FilterParameters, PageParameters),
    responses((status = 200, description = "One page.", body = ConnectionList)))]
pub(crate) async fn list_connections<C: Control>(
    State(api): State<Arc<Api<C>>>,
    query: Pairs,
    uri: Uri,
) -> Result<Response, AdminError> {
    let pairs = pairs(query)?;
    let query = ListQuery::parse(borrowed(&pairs)).map_err(bad_parameter)?;
    let page = api.control.tunnels(query).await;
    let count = page.count();
    let (tunnels, next) = page.finish();
    let list = ConnectionList {
        value: tunnels.into_iter().map(Connection::from).collect(),
        count,
        next_link: next.map(|next| next_link(&uri, &next.to_string())),
    };
    Ok(json(StatusCode::OK, &list))
}

/// One open WebSocket.
#[utoipa::path(get, path = "/v1/connections/{id}", tag = "connections",
    params(("id" = String, Path, description = "Its id.", example = "0-17")),
    responses((status = 200, description = "It is open.", body = Connection)))]
pub(crate) async fn get_connection<C: Control>(
    State(api): State<Arc<Api<C>>>,
    Path(id): Path<String>,
) -> Result<Response, AdminError> {
    let found = match id.parse() {
        Ok(id) => api.control.tunnel(id).await,
        Err(_) => None,
    };
    let tunnel = found.ok_or(AdminError::NotOpen { id })?;
    Ok(json(StatusCode::OK, &Connection::from(tunnel)))
}

/// Closes one WebSocket.
///
/// Both peers get a Close frame; what does not end within the HTTP settings' drain time is cut.
#[utoipa::path(delete, path = "/v1/connections/{id}", tag = "connections",
    params(("id" = String, Path, description = "Its id.", example = "0-17"), CloseRequest),
    responses((status = 202, description = "Both peers are told; the drain shows when it has ended.",
        body = drains::Drain,
        headers(("Location" = String, description = "The drain.")))))]
pub(crate) async fn close_connection<C: Control>(
    State(api): State<Arc<Api<C>>>,
    Path(id): Path<String>,
    query: Result<Query<CloseRequest>, QueryRejection>,
) -> Result<Response, AdminError> {
    let Query(query) = query.map_err(|error| AdminError::BadQuery(error.body_text()))?;
    if query.per_second.is_some() {
        let message = "perSecond: a single connection is closed at once".to_owned();
        return Err(AdminError::BadQuery(message));
    }
    let close = query.checked().map_err(AdminError::BadQuery)?;
    let drain = match id.parse::<TunnelId>() {
        Ok(id) => {
            let which = WhichTunnels::One(id);
            api.control.close_tunnels(which, close).await
        }
        Err(_) => None,
    };
    let drain = drain.ok_or(AdminError::NotOpen { id })?;
    Ok(drains::accepted(&drain))
}

/// Closes all WebSockets that match.
///
/// A filter is required, or `all=true`. Those that drain already go on as they were told, unless all
/// are to be closed at once.
#[utoipa::path(post, path = "/v1/connections:close", tag = "connections",
    params(FilterParameters,
        ("all" = Option<bool>, Query, description = "`true`: all connections, where no filter is given.")),
    request_body(content = CloseRequest, description = "May be left out."),
    responses((status = 202, description = "They are being told; `total` says how many there are.",
        body = drains::Drain,
        headers(("Location" = String, description = "The drain.")))))]
pub(crate) async fn close_connections<C: Control>(
    State(api): State<Arc<Api<C>>>,
    query: Pairs,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, AdminError> {
    let pairs = pairs(query)?;
    let filter = parse_close_filter(borrowed(&pairs)).map_err(bad_parameter)?;
    let text = read_text(&headers, body, LONGEST_BODY).await?;
    let request = match text.trim() {
        "" => CloseRequest::default(),
        text => {
            serde_json::from_str(text).map_err(|error| AdminError::BadBody(error.to_string()))?
        }
    };
    let close = request.checked().map_err(AdminError::BadBody)?;
    let which = WhichTunnels::All(filter);
    let drain = api.control.close_tunnels(which, close).await;
    let drain = drain.ok_or_else(|| AdminError::NotOpen { id: "all".into() })?;
    Ok(drains::accepted(&drain))
}

fn pairs(query: Pairs) -> Result<Vec<(String, String)>, AdminError> {
    let Query(pairs) = query.map_err(|error| AdminError::BadQuery(error.body_text()))?;
    Ok(pairs)
}

fn borrowed(pairs: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    pairs.iter().map(|(name, value)| (&**name, &**value))
}

fn bad_parameter(problem: QueryProblem) -> AdminError {
    AdminError::BadQuery(problem.to_string())
}

/// The same list from `cursor` on. A path, since the client knows best how it came here.
fn next_link(uri: &Uri, cursor: &str) -> String {
    let asked = uri.query().unwrap_or_default().split('&');
    let kept = asked.filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
    let query: String = kept.map(|pair| format!("{pair}&")).collect();
    format!("{}?{query}cursor={cursor}", uri.path())
}

impl From<TunnelReport> for Connection {
    fn from(tunnel: TunnelReport) -> Self {
        Self {
            id: tunnel.id.to_string(),
            listener: tunnel.listener,
            rule: tunnel.rule,
            pool: tunnel.pool,
            target: tunnel.target.to_string(),
            settings: tunnel.settings,
            client: tunnel.client.to_string(),
            host: tunnel.host,
            path: tunnel.path,
            subprotocol: tunnel.subprotocol,
            secure: tunnel.secure,
            opened_at: rfc3339(tunnel.opened_at),
            state: tunnel.status.as_str(),
            frames: match tunnel.frames {
                Frames::Tracked => "Tracked",
                Frames::Opaque => "Opaque",
            },
            ping_round_trip_in_ms: tunnel
                .ping_round_trip
                .map(|took| (took.as_secs_f64() * 1e6).round() / 1e3),
            received: tunnel.received.into(),
            sent: tunnel.sent.into(),
        }
    }
}

impl From<Carried> for ConnectionTraffic {
    fn from(carried: Carried) -> Self {
        Self {
            messages: carried.messages,
            bytes: carried.bytes,
            last_at: rfc3339(carried.last_at),
        }
    }
}
