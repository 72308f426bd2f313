//! Whether an answer to a probe is a healthy one: its status, then its body; or a 101, then all that
//! makes it the answer to this handshake.

use http::{StatusCode, response};
use memchr::memmem;

use super::{ProbeFailure, ProbeOutcome};
use crate::config::{ProbeMatch, StatusRange};
use crate::websocket::{Offer, confirm};

impl ProbeMatch {
    /// Judges a whole answer, or as much of its body as was read.
    pub fn judge(&self, status: u16, body: &[u8]) -> ProbeOutcome {
        if let Err(failure) = self.judge_status(status) {
            return ProbeOutcome::Failed(failure);
        }
        if self.needs_body() && memmem::find(body, self.body.as_bytes()).is_none() {
            return ProbeOutcome::Failed(ProbeFailure::Body {
                expected: self.body.clone(),
            });
        }
        ProbeOutcome::Healthy { status }
    }

    /// Judges an answer's status alone: a bad one need not be read to its end.
    pub fn judge_status(&self, status: u16) -> Result<(), ProbeFailure> {
        if self.statuses.iter().any(|range| range.contains(status)) {
            return Ok(());
        }
        Err(ProbeFailure::Status {
            received: status,
            expected: self.expected_statuses(),
        })
    }

    /// Whether the body decides anything.
    pub fn needs_body(&self) -> bool {
        !self.body.is_empty()
    }

    /// The ranges as text: `200-399`, or `200, 204, 301-302`.
    fn expected_statuses(&self) -> String {
        let texts: Vec<String> = self.statuses.iter().map(ToString::to_string).collect();
        texts.join(", ")
    }
}

/// Judges the answer to a WebSocket probe's handshake: a 101 that fits `offer`, and takes up the
/// subprotocol, if one was offered. A client could do without; who sets one wants it spoken.
pub fn judge_handshake(offer: &Offer, head: &response::Parts) -> Result<(), ProbeFailure> {
    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        return Err(ProbeFailure::Status {
            received: head.status.as_u16(),
            expected: StatusCode::SWITCHING_PROTOCOLS.as_str().to_owned(),
        });
    }
    let confirmed = confirm(offer, head).map_err(ProbeFailure::Handshake)?;
    match (offer.protocols.first(), confirmed.protocol) {
        (Some(asked), None) => Err(ProbeFailure::Subprotocol {
            asked: asked.clone(),
        }),
        _ => Ok(()),
    }
}

impl StatusRange {
    /// Whether `status` lies in the range; both ends belong to it.
    pub fn contains(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }
}

impl std::fmt::Display for StatusRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.first == self.last {
            return write!(f, "{}", self.first);
        }
        write!(f, "{}-{}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u16, last: u16) -> StatusRange {
        StatusRange { first, last }
    }

    #[test]
    fn answers_are_judged_by_status_then_body() {
        let matches = ProbeMatch {
            statuses: vec![range(200, 299), range(401, 401)],
            body: "all well".into(),
        };
        let status_failure = |received| {
            ProbeOutcome::Failed(ProbeFailure::Status {
                received,
                expected: "200-299, 401".into(),
            })
        };
        let body_failure = ProbeOutcome::Failed(ProbeFailure::Body {
            expected: "all well".into(),
        });
        let healthy = |status| ProbeOutcome::Healthy { status };
        let rows: [(u16, &[u8], ProbeOutcome); 8] = [
            (200, b"all well", healthy(200)),
            (299, b"\xff is all well\0", healthy(299)),
            (401, b"is all well", healthy(401)),
            (199, b"all well", status_failure(199)),
            (300, b"all well", status_failure(300)),
            (402, b"all well", status_failure(402)),
            (200, b"All Well", body_failure.clone()),
            (200, b"", body_failure),
        ];
        for (status, body, expected) in rows {
            assert_eq!(matches.judge(status, body), expected, "{status} {body:?}");
        }
    }

    #[test]
    fn an_empty_text_matches_every_body() {
        let matches = ProbeMatch {
            statuses: vec![range(200, 399)],
            body: String::new(),
        };
        assert!(!matches.needs_body());
        assert_eq!(
            matches.judge(204, b""),
            ProbeOutcome::Healthy { status: 204 }
        );
    }

    #[test]
    fn reasons_name_what_came_and_what_was_expected() {
        let failure = ProbeFailure::Status {
            received: 503,
            expected: "200-399".into(),
        };
        assert_eq!(failure.to_string(), "status 503, expected 200-399");
    }

    #[test]
    fn a_handshake_is_healthy_when_all_of_it_is() {
        use crate::websocket::{ConfirmError, WebSocketKey};
        let key = WebSocketKey::parse(b"dGhlIHNhbXBsZSBub25jZQ==").unwrap();
        let status = |received| {
            Err(ProbeFailure::Status {
                received,
                expected: "101".into(),
            })
        };
        let handshake = |error| Err(ProbeFailure::Handshake(error));
        let subprotocol = Err(ProbeFailure::Subprotocol {
            asked: "chat".into(),
        });
        const RIGHT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        let rows = [
            // (asked, status, accept, chosen, verdict)
            (None, 101, RIGHT, None, Ok(())),
            (Some("chat"), 101, RIGHT, Some("chat"), Ok(())),
            (Some("chat"), 101, RIGHT, None, subprotocol),
            (
                Some("chat"),
                101,
                RIGHT,
                Some("other"),
                handshake(ConfirmError::Protocol),
            ),
            (
                None,
                101,
                RIGHT,
                Some("chat"),
                handshake(ConfirmError::Protocol),
            ),
            (None, 101, "AAAA", None, handshake(ConfirmError::Accept)),
            (None, 200, RIGHT, None, status(200)),
            (None, 403, "AAAA", None, status(403)),
        ];
        for (asked, status, accept, chosen, expected) in rows {
            let mut response = http::Response::builder()
                .status(status)
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-accept", accept);
            if let Some(chosen) = chosen {
                response = response.header("sec-websocket-protocol", chosen);
            }
            let (head, ()) = response.body(()).unwrap().into_parts();
            let verdict = judge_handshake(&Offer::of(&key, asked), &head);
            assert_eq!(verdict, expected, "{asked:?} {status} {accept} {chosen:?}");
        }
    }
}
