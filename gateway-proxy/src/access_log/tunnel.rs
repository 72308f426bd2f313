//! A tunnel's records: when it opens, every now and then, and when it ends.
//!
//! Its handshake has a request's record too; `transactionId` is the same in all of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gateway_core::tunnels::TunnelId;
use serde::Serialize;

use super::{Client, Line};
use crate::metrics::{TUNNEL_ENDS, tunnel_end};
use crate::tunnel::{Side, Traffic, TunnelEnd, TunnelIdentity};

/// What is kept of a tunnel until it is written.
#[derive(Debug)]
pub(crate) struct TunnelRecord {
    pub(crate) tunnel: Arc<TunnelIdentity>,
    pub(crate) id: TunnelId,
    pub(crate) at: SystemTime,
    pub(crate) news: TunnelNews,
}

/// What there is to be said.
#[derive(Debug)]
pub(crate) enum TunnelNews {
    /// It opened.
    Open,
    /// It is still open (`progressIntervalInSec`).
    Progress {
        to_backend: Traffic,
        to_client: Traffic,
        age: Duration,
    },
    /// It has ended.
    End(TunnelEnd),
}

impl TunnelRecord {
    /// As it is written.
    pub(super) fn line(&self) -> Line<'_, Properties<'_>> {
        let tunnel = &*self.tunnel;
        let (operation, carried, ending) = match &self.news {
            TunnelNews::Open => ("TunnelOpen", None, None),
            TunnelNews::Progress {
                to_backend,
                to_client,
                age,
            } => {
                let carried = Carried::new(*to_backend, *to_client, *age);
                ("TunnelProgress", Some(carried), None)
            }
            TunnelNews::End(end) => {
                let carried = Carried::new(end.to_backend, end.to_client, end.age);
                ("TunnelEnd", Some(carried), Some(Ending::from(end)))
            }
        };
        let properties = Properties {
            client: Client::new(tunnel.client, tunnel.secure),
            tunnel_id: self.id.to_string(),
            host: tunnel.asked.host(),
            request_uri: tunnel.asked.path(),
            subprotocol: tunnel.asked.subprotocol(),
            transaction_id: tunnel.trace_id.as_str(),
            server_routed: tunnel.target.address,
            ending,
            carried,
        };
        Line::new(self.at, operation, tunnel.route.as_deref(), properties)
    }
}

/// What is said of a tunnel.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Properties<'a> {
    #[serde(flatten)]
    client: Client,
    tunnel_id: String,
    host: &'a str,
    request_uri: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subprotocol: Option<&'a str>,
    transaction_id: &'a str,
    server_routed: SocketAddr,
    #[serde(flatten)]
    ending: Option<Ending<'a>>,
    #[serde(flatten)]
    carried: Option<Carried>,
}

/// What became of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Ending<'a> {
    ended_by: &'static str,
    cause: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    close_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    close_reason: Option<&'a str>,
}

impl<'a> From<&'a TunnelEnd> for Ending<'a> {
    fn from(end: &'a TunnelEnd) -> Self {
        Self {
            ended_by: match end.by {
                Some(Side::Client) => "client",
                Some(Side::Backend) => "backend",
                None => "gateway",
            },
            cause: TUNNEL_ENDS[tunnel_end(&end.cause)],
            close_code: end.close_code,
            close_reason: end.close_reason.as_deref(),
        }
    }
}

/// What it has carried so far, from the client (received) and to it (sent).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Carried {
    received_messages: u64,
    received_bytes: u64,
    sent_messages: u64,
    sent_bytes: u64,
    time_taken: f64,
}

impl Carried {
    fn new(to_backend: Traffic, to_client: Traffic, age: Duration) -> Self {
        Self {
            received_messages: to_backend.messages,
            received_bytes: to_backend.bytes,
            sent_messages: to_client.messages,
            sent_bytes: to_client.bytes,
            time_taken: age.as_secs_f64(),
        }
    }
}
