//! The log of the requests that a backend saw: the newest ones, up to a limit.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use http::request;
use serde::{Deserialize, Serialize};

/// The head of one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestSeen {
    /// Counts the backend's connections, from 1.
    pub connection: u64,
    /// The method.
    pub method: String,
    /// The request target, as it was sent.
    pub target: String,
    /// `HTTP/1.1`.
    pub version: String,
    /// Every field line in order, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl RequestSeen {
    pub(crate) fn new(connection: u64, head: &request::Parts) -> Self {
        let headers = head.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), value)
        });
        Self {
            connection,
            method: head.method.to_string(),
            target: head.uri.to_string(),
            version: format!("{:?}", head.version),
            headers: headers.collect(),
        }
    }

    /// The values of every field named `name` (in lower case), in order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.headers.iter().filter(move |(field, _)| field == name);
        named.map(|(_, value)| value.as_str())
    }
}

#[derive(Debug)]
pub(crate) struct Journal {
    limit: usize,
    seen: Mutex<VecDeque<RequestSeen>>,
}

impl Journal {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            seen: Mutex::default(),
        }
    }

    pub(crate) fn note(&self, connection: u64, head: &request::Parts) {
        if self.limit == 0 {
            return;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() == self.limit {
            seen.pop_front();
        }
        seen.push_back(RequestSeen::new(connection, head));
    }

    pub(crate) fn all(&self) -> Vec<RequestSeen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().cloned().collect()
    }

    pub(crate) fn clear(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clear();
    }
}
