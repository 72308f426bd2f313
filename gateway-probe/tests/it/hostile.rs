//! Backends that want to keep a probe, or fill it: bounded, and told for what they are.

use std::time::Duration;

use gateway_core::health::{ProbeFailure, ProbeOutcome};

use crate::backend::{Backend, Say};
use crate::setup::{Setup, expect_malformed, expect_timeout, first_probe};

#[tokio::test]
async fn answers_without_end_are_cut() {
    let rows: &[(&str, Say)] = &[
        (
            "a field",
            Say::ForEver(
                b"HTTP/1.1 200 OK\r\na: ",
                b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            ),
        ),
        (
            "fields",
            Say::ForEver(b"HTTP/1.1 200 OK\r\n", b"some-name: some value\r\n"),
        ),
        (
            "interim answers",
            Say::ForEver(b"", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"),
        ),
        (
            "chunks of one byte",
            Say::ForEver(
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                b"1;extension=xxxxxxxxxxxxxxxxxxxxx\r\na\r\n",
            ),
        ),
    ];
    for (what, say) in rows {
        let backend = Backend::start(say.clone()).await;
        let setup = Setup::new([backend.address])
            .looks_for("never there")
            .within(Duration::from_secs(20));
        expect_malformed(&setup, what).await;
        backend.until(|seen| seen.open == 0).await;
    }
}

#[tokio::test]
async fn a_body_without_end_is_searched_so_far_and_no_further() {
    let endless = Say::ForEver(b"HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 4096]);
    let backend = Backend::start(endless).await;
    let setup = Setup::new([backend.address])
        .looks_for("never there")
        .within(Duration::from_secs(20));
    let probe = first_probe(&setup).await;
    let expected = ProbeFailure::Body {
        expected: "never there".into(),
    };
    assert_eq!(probe.outcome, ProbeOutcome::Failed(expected));

    // Nobody reads a body that decides nothing.
    let probe = first_probe(&setup.looks_for("")).await;
    assert_eq!(probe.outcome, ProbeOutcome::Healthy { status: 200 });
    backend.until(|seen| seen.open == 0).await;
}

#[tokio::test]
async fn a_long_text_is_found_wherever_the_body_is_split() {
    // 4,090 characters are the most that a document may ask for.
    let text = "ab".repeat(2045);
    let body: &'static [u8] = format!("xx{text}").leak().as_bytes();
    for size in [1000, 4090, 4091] {
        let mut answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for chunk in body.chunks(size) {
            answer.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            answer.extend_from_slice(chunk);
            answer.extend_from_slice(b"\r\n");
        }
        // It hangs before the last chunk: what was found is found.
        let backend = Backend::start(Say::Hang(answer.leak())).await;
        let setup = Setup::new([backend.address]).looks_for(&text);
        let probe = first_probe(&setup).await;
        assert_eq!(
            probe.outcome,
            ProbeOutcome::Healthy { status: 200 },
            "{size}"
        );
    }
}

#[tokio::test]
async fn a_byte_at_a_time_is_cut_at_the_time_limit() {
    let backend = Backend::start(Say::Drip(&[b'H'; 4096])).await;
    let setup = Setup::new([backend.address]).within(Duration::from_millis(300));
    let slow = Say::Drip(b"HTTP/1.1 200 OK\r\nserver: one that takes its time\r\n\r\n");
    backend.say(slow);
    let probe = expect_timeout(&setup).await;
    assert!(probe.took < Duration::from_secs(5), "{probe:?}");
}
