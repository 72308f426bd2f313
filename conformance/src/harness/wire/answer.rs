//! An HTTP answer as a client gets it.

use anyhow::{Context, Result, ensure};

/// One answer, as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Why the body is not whole.
    pub(crate) broken: Option<String>,
}

impl Answer {
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        values(&self.fields, name)
    }

    /// That it is one of success.
    pub(crate) fn succeeds(&self) -> Result<()> {
        let is_good = (200..300).contains(&self.status);
        ensure!(is_good, "{} {}", self.status, self.text());
        Ok(())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The values of all fields of that name, in any case, in their order.
pub(in crate::harness) fn values<'a>(fields: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    let named = fields
        .iter()
        .filter(|(field, _)| field.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.as_str()).collect()
}

/// The answer that begins with `head`; its body is to come.
pub(super) fn parse_head(head: &[u8]) -> Result<Answer> {
    let head = std::str::from_utf8(head).context("the answer's head is not text")?;
    let mut lines = head.trim_end_matches("\r\n").split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line
        .strip_prefix("HTTP/1.1 ")
        .or_else(|| status_line.strip_prefix("HTTP/1.0 "))
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok())
        .with_context(|| format!("no status line: {status_line:?}"))?;
    let mut fields = Vec::new();
    for line in lines {
        let (name, value) = line
            .split_once(':')
            .with_context(|| format!("no field: {line:?}"))?;
        ensure!(
            !line.contains(['\r', '\n', '\0']),
            "control bytes in {line:?}"
        );
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(Answer {
        status,
        fields,
        ..Answer::default()
    })
}
