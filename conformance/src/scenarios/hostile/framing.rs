//! Lengths, codings and chunks: where one request ends and the next would begin.

use super::{SMUGGLED, post, refused, tolerated};
use crate::scenario::{Saw, Step};
use crate::scenarios::rows::{Row, row};

pub(super) fn rows() -> impl Iterator<Item = Row> {
    lengths().chain(codings()).chain(chunks())
}

fn lengths() -> impl Iterator<Item = Row> {
    let bad = |name, value: &str| {
        refused(
            "RFC 9112 6.3 (5)",
            name,
            post(&[&format!("Content-Length: {value}")], "hello"),
        )
    };
    [
        refused(
            "RFC 9112 6.3 (5)",
            "two lengths that differ",
            post(&["Content-Length: 5", "Content-Length: 6"], "hello!"),
        ),
        bad("a list of lengths that differ", "5, 6"),
        tolerated(
            "RFC 9112 6.3 (5)",
            "the same length twice",
            post(&["Content-Length: 5", "Content-Length: 5"], "hello"),
        ),
        bad("a length with a sign", "+5"),
        bad("a negative length", "-5"),
        bad("a hexadecimal length", "0x5"),
        bad("a length with a space in it", "5 5"),
        bad("an empty length", ""),
        bad("a length beyond 64 bits", "18446744073709551621"),
        bad("a length that is no number", "five"),
        row("RFC 9112 6.1", "a length and chunks: CL.TE")
            .send(post(
                &["Content-Length: 60", "Transfer-Encoding: chunked"],
                &format!("0\r\n\r\n{SMUGGLED}"),
            ))
            .step(Step::AnswerOrEnd(&[200, 400]))
            .ends()
            .saw(Saw::AtMost(1)),
        row("RFC 9112 6.1", "chunks and a length: TE.CL")
            .send(post(
                &["Transfer-Encoding: chunked", "Content-Length: 4"],
                &format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len()),
            ))
            .step(Step::AnswerOrEnd(&[200, 400]))
            .ends()
            .saw(Saw::AtMost(1)),
        row("RFC 9112 6.3", "a body that ends too early")
            .send(post(&["Content-Length: 10"], "hello"))
            .step(Step::Finish)
            .step(Step::AnswerOrEnd(&[400, 408]))
            .unseen(),
    ]
    .into_iter()
}

fn codings() -> impl Iterator<Item = Row> {
    let body = "5\r\nhello\r\n0\r\n\r\n";
    // 400 where chunked is not the last (6.3), 501 where a coding is unknown (6.1); where both are
    // true, either is right.
    let bad = move |name, field: &str| {
        row("RFC 9112 6.1", name)
            .send(post(&[field], body))
            .answer(&[400, 501])
            .unseen()
    };
    [
        row("RFC 9112 7", "chunked compares without case")
            .send(post(&["Transfer-Encoding: CHUNKED"], body))
            .answer(&[200])
            .saw(Saw::Body(b"hello")),
        bad("an unknown coding", "Transfer-Encoding: xchunked"),
        bad("identity", "Transfer-Encoding: identity"),
        bad("gzip alone", "Transfer-Encoding: gzip"),
        bad("gzip before chunked", "Transfer-Encoding: gzip, chunked"),
        bad(
            "chunked is not last",
            "Transfer-Encoding: chunked, identity",
        ),
        bad("chunked twice", "Transfer-Encoding: chunked, chunked"),
        bad(
            "two lines of codings",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        ),
        bad(
            "a vertical tab before the coding",
            "Transfer-Encoding: \u{b}chunked",
        ),
        bad("a quoted coding", "Transfer-Encoding: \"chunked\""),
        bad("an empty coding", "Transfer-Encoding:"),
        bad("a folded coding", "Transfer-Encoding:\r\n chunked").ours(),
        bad("a space before the colon", "Transfer-Encoding : chunked"),
        bad("a NUL after the coding", "Transfer-Encoding: chunked\0"),
        refused(
            "RFC 9112 6.1",
            "a coding from HTTP/1.0",
            post(&["Transfer-Encoding: chunked"], body).replace("HTTP/1.1", "HTTP/1.0"),
        )
        .ours(),
    ]
    .into_iter()
}

fn chunks() -> impl Iterator<Item = Row> {
    let bad = |name, body: &str| {
        row("RFC 9112 7.1", name)
            .send(post(&["Transfer-Encoding: chunked"], body))
            .step(Step::AnswerOrEnd(&[400]))
            .unseen()
    };
    let odd = |name, body: &str| {
        tolerated(
            "RFC 9112 7.1",
            name,
            post(&["Transfer-Encoding: chunked"], body),
        )
    };
    let extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(100_000));
    [
        bad("a chunk size that is no number", "g\r\nhello\r\n0\r\n\r\n"),
        bad("a negative chunk size", "-5\r\nhello\r\n0\r\n\r\n"),
        bad("a chunk size with a prefix", "0x5\r\nhello\r\n0\r\n\r\n"),
        bad(
            "a chunk size beyond 64 bits",
            "10000000000000005\r\nhello\r\n0\r\n\r\n",
        ),
        bad("an empty chunk size", "\r\nhello\r\n0\r\n\r\n"),
        bad("a chunk longer than its size", "3\r\nhello\r\n0\r\n\r\n"),
        bad("a bare CR after the size", "5\rhello\r\n0\r\n\r\n"),
        odd("bare LF between chunks", "5\nhello\n0\n\n"),
        odd("a space after the size", "5 \r\nhello\r\n0\r\n\r\n"),
        odd(
            "LF inside an extension",
            &format!("5;a\nb\r\nhello\r\n0\r\n\r\n{SMUGGLED}"),
        )
        .saw(Saw::AtMost(1)),
        row("RFC 9112 7.1.1", "an extension without end")
            .send(post(&["Transfer-Encoding: chunked"], &extension))
            .step(Step::AnswerOrEnd(&[200, 400, 413]))
            .saw(Saw::AtMost(1)),
        row("RFC 9112 7.1", "a chunked body that ends too early")
            .send(post(&["Transfer-Encoding: chunked"], "5\r\nhello\r\n"))
            .step(Step::Finish)
            .step(Step::AnswerOrEnd(&[400, 408]))
            .unseen(),
    ]
    .into_iter()
}
