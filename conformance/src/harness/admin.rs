//! The admin API, as `curl` would use it.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::wire::{Answer, Wire};

/// One target in `/v1/backendHealth`.
#[derive(Debug, Clone)]
pub(crate) struct TargetHealth {
    /// Address and port; empty where DNS has no answer.
    pub(crate) endpoint: String,
    pub(crate) health: String,
    /// `healthProbeLog`.
    pub(crate) reason: String,
    /// Requests in flight and open tunnels.
    pub(crate) load: u64,
}

/// A gateway's admin API.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admin(pub(crate) SocketAddr);

impl Admin {
    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        fields: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let framing = match body.len() {
            0 => String::new(),
            length => format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{framing}{fields}\r\n{body}",
            self.0
        );
        let mut wire = Wire::plain(self.0).await?;
        wire.send(head.as_bytes()).await?;
        let answer = wire.answer(method == "HEAD").await?;
        answer.with_context(|| format!("no answer to {method} {path}"))
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.request("GET", path, "", None).await?;
        ensure!(
            answer.status == 200,
            "GET {path}: {} {}",
            answer.status,
            answer.text()
        );
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// PUT; fails unless the answer is 200 or 201.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        let answer = self.request("PUT", path, "", Some(body)).await?;
        let done = matches!(answer.status, 200 | 201);
        ensure!(done, "PUT {path}: {} {}", answer.status, answer.text());
        Ok(answer)
    }

    pub(crate) async fn is_ready(&self) -> Result<bool> {
        Ok(self.request("GET", "/readyz", "", None).await?.status == 200)
    }

    /// Every target that a rule reaches.
    pub(crate) async fn targets(&self) -> Result<Vec<TargetHealth>> {
        let health = self.get("/v1/backendHealth").await?;
        let mut targets = Vec::new();
        collect(&health, &mut targets);
        Ok(targets)
    }

    /// Requests in flight and open tunnels, of all targets.
    pub(crate) async fn load(&self) -> Result<u64> {
        let targets = self.targets().await?;
        Ok(targets.iter().map(|target| target.load).sum())
    }

    /// The target at that port.
    pub(crate) async fn target(&self, port: u16) -> Result<TargetHealth> {
        let targets = self.targets().await?;
        let suffix = format!(":{port}");
        let found = targets
            .iter()
            .find(|target| target.endpoint.ends_with(&suffix));
        found
            .cloned()
            .with_context(|| format!("no target {suffix} in {targets:?}"))
    }
}

/// The members of every `servers` list, wherever it is (reference section 12).
fn collect(value: &Value, targets: &mut Vec<TargetHealth>) {
    match value {
        Value::Object(object) => {
            for server in object
                .get("servers")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                let text = |name: &str| server[name].as_str().unwrap_or_default().to_owned();
                targets.push(TargetHealth {
                    endpoint: text("endpoint"),
                    health: text("health"),
                    reason: text("healthProbeLog"),
                    load: server["load"].as_u64().unwrap_or_default(),
                });
            }
            object.values().for_each(|value| collect(value, targets));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, targets)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
