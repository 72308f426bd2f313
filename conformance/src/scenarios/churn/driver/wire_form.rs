//! Changes as requests to the admin API, and its answers.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::super::resources::{Kind, Name, document};
use super::super::world::Change;
use crate::harness::wire::Answer;

/// A request to the admin API.
#[derive(Debug, Clone)]
pub(super) struct WireForm {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) body: String,
}

impl WireForm {
    pub(super) fn of(change: &Change, dry_run: bool) -> Self {
        let query = if dry_run { "?dryRun=true" } else { "" };
        let path = |kind: Kind, name: Name| format!("/v1/{}/{name}{query}", kind.collection());
        match change {
            Change::Put(name, resource) => Self {
                method: "PUT",
                path: path(resource.kind(), name),
                body: resource.json(name).to_string(),
            },
            Change::Delete(kind, name) => Self {
                method: "DELETE",
                path: path(*kind, name),
                body: String::new(),
            },
            Change::Replace(resources) => Self {
                method: "PUT",
                path: format!("/v1/config{query}"),
                body: document(resources).to_string(),
            },
        }
    }
}

impl fmt::Display for WireForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 300;
        write!(f, "{} {} {:.SHOWN$}", self.method, self.path, self.body)
    }
}

/// What a write answers.
#[derive(Debug)]
pub(super) struct Receipt {
    pub(super) revision: u64,
    pub(super) dry_run: bool,
    changes: BTreeSet<String>,
}

impl Receipt {
    pub(super) fn read(answer: &Answer) -> Result<Self> {
        let revision = revision(answer)?;
        if answer.status == 204 {
            let (dry_run, changes) = (false, BTreeSet::new());
            return Ok(Self {
                revision,
                dry_run,
                changes,
            });
        }
        let body: Value = serde_json::from_slice(&answer.body).context("the receipt")?;
        ensure!(
            body["revision"] == revision,
            "two revisions in one answer: {revision} and {body}"
        );
        let changes = body["changes"].as_array().into_iter().flatten();
        let changes = changes.filter_map(|change| change["resource"].as_str());
        Ok(Self {
            revision,
            dry_run: body["dryRun"] == true,
            changes: changes.map(str::to_owned).collect(),
        })
    }

    /// Fails unless it names exactly these resources.
    pub(super) fn names(&self, touched: &[(Kind, Name)]) -> Result<()> {
        let name = |(kind, name): &(Kind, Name)| format!("{}/{name}", kind.collection());
        let expected: BTreeSet<String> = touched.iter().map(name).collect();
        ensure!(
            self.changes == expected,
            "changed are {expected:?}, the receipt names {:?}",
            self.changes
        );
        Ok(())
    }
}

/// `Gateway-Revision`.
pub(super) fn revision(answer: &Answer) -> Result<u64> {
    let values = answer.values("gateway-revision");
    let text = values.first().context("no Gateway-Revision")?;
    text.parse()
        .with_context(|| format!("Gateway-Revision: {text}"))
}

/// `apply` and `store` of `Server-Timing`.
pub(super) fn timing(answer: &Answer) -> Option<(Duration, Duration)> {
    let value = *answer.values("server-timing").first()?;
    let millis = |name: &str| {
        let entry = value
            .split(',')
            .find_map(|entry| entry.trim().strip_prefix(name))?;
        let millis: f64 = entry.strip_prefix(";dur=")?.parse().ok()?;
        Some(Duration::from_secs_f64(millis / 1e3))
    };
    Some((millis("apply")?, millis("store")?))
}

/// Fails unless it is a problem with this status, this code, and this code among its details.
pub(super) fn is_refusal(
    answer: &Answer,
    status: u16,
    code: &str,
    detail: Option<&str>,
) -> Result<()> {
    ensure!(
        answer.status == status,
        "{} instead of {status}: {}",
        answer.status,
        answer.text()
    );
    let kind = answer.values("content-type").join("");
    ensure!(
        kind.starts_with("application/problem+json"),
        "content type {kind}"
    );
    let body: Value = serde_json::from_slice(&answer.body)?;
    let error = &body["error"];
    ensure!(
        error["code"] == code,
        "{} instead of {code}: {body}",
        error["code"]
    );
    let mut details = error["details"].as_array().into_iter().flatten();
    let found = detail.is_none_or(|code| details.any(|detail| detail["code"] == code));
    ensure!(found, "no {detail:?} among the details of {body}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_timing_is_read() {
        let answer = Answer {
            fields: vec![(
                "server-timing".to_owned(),
                "apply;dur=2.500, store;dur=10.000".to_owned(),
            )],
            ..Answer::default()
        };
        let expected = (Duration::from_micros(2500), Duration::from_millis(10));
        assert_eq!(timing(&answer), Some(expected));
    }
}
