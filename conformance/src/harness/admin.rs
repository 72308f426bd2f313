//! The admin API, as `curl` would use it.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::scene::Scene;
use super::wire::{Answer, Wire, escape};

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
    /// Since when it has this health, by the gateway's clock.
    pub(crate) since: Option<SystemTime>,
    pub(crate) next_probe_at: Option<SystemTime>,
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
        self.send(method, path, fields, &body).await
    }

    /// The same, with any text as its body.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        fields: &str,
        body: &str,
    ) -> Result<Answer> {
        let framing = match body.len() {
            0 => String::new(),
            length => format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{framing}{fields}\r\n{body}",
            self.0
        );
        // Questions are asked again and again; what matters is what was ordered.
        let mut wire = Wire::quiet(self.0).await?;
        wire.send(head.as_bytes()).await?;
        let answer = wire.answer(method == "HEAD").await?;
        let answer = answer.with_context(|| format!("no answer to {method} {path}"))?;
        if let Some(scene) = Scene::current().filter(|_| method != "GET") {
            let status = answer.status;
            let order = format!("{method} http://{}{path} {body}", self.0);
            scene.note(&format!("order {status} {}", escape(order.as_bytes())));
        }
        Ok(answer)
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

    /// The sum of a metric's samples.
    pub(crate) async fn metric(&self, name: &str) -> Result<f64> {
        let samples = self.samples(name, &[]).await?;
        ensure!(!samples.is_empty(), "there is no metric {name}");
        Ok(samples.iter().sum())
    }

    /// The sum of those samples that have all these labels, such as `pool="web"`; 0 without one.
    pub(crate) async fn metric_with(&self, name: &str, labels: &[&str]) -> Result<f64> {
        Ok(self.samples(name, labels).await?.iter().sum())
    }

    async fn samples(&self, name: &str, labels: &[&str]) -> Result<Vec<f64>> {
        let answer = self.request("GET", "/metrics", "", None).await?;
        ensure!(answer.status == 200, "GET /metrics: {}", answer.status);
        let text = answer.text();
        let samples = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let is_meant = labels.iter().all(|label| rest.contains(label));
            let value =
                (rest.starts_with([' ', '{']) && is_meant).then(|| rest.rsplit(' ').next())??;
            value.parse::<f64>().ok()
        });
        Ok(samples.collect())
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
                    since: moment(&server["since"]),
                    next_probe_at: moment(&server["nextProbeAt"]),
                });
            }
            object.values().for_each(|value| collect(value, targets));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, targets)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A moment in UTC, such as `2026-01-31T03:04:05.678Z`.
fn moment(value: &Value) -> Option<SystemTime> {
    let text = value.as_str()?.strip_suffix('Z')?;
    let (date, time) = text.split_once('T')?;
    let date: Vec<i64> = date
        .split('-')
        .map_while(|part| part.parse().ok())
        .collect();
    let time: Vec<f64> = time
        .split(':')
        .map_while(|part| part.parse().ok())
        .collect();
    let (&[year, month, day], &[hours, minutes, seconds]) = (date.as_slice(), time.as_slice())
    else {
        return None;
    };
    // Years begin in March, so that the day that comes and goes is the last one.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = 365 * year + leap_days + (153 * month + 2) / 5 + day - 1;
    // From the first of March of the year 0 to 1970-01-01.
    let days = u64::try_from(days - 719_468).ok()?;
    let seconds = (hours * 60.0 + minutes) * 60.0 + seconds;
    Some(
        SystemTime::UNIX_EPOCH
            + Duration::from_secs(days * 86_400)
            + Duration::from_secs_f64(seconds),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_that_date_says() {
        // `date -u -d ... +%s`
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0.0),
            ("2000-02-29T12:00:00.5Z", 951_825_600.5),
            ("2026-01-31T03:04:05.678Z", 1_769_828_645.678),
            ("2100-03-01T00:00:00Z", 4_107_542_400.0),
        ] {
            let read = moment(&Value::from(text)).unwrap();
            let since = read.duration_since(SystemTime::UNIX_EPOCH).unwrap();
            assert!((since.as_secs_f64() - seconds).abs() < 1e-3, "{text}");
        }
        assert_eq!(moment(&Value::Null), None);
    }
}
