//! What backends should never send, and what is asked again when they fail.

use super::post;
use crate::harness::recorder::Then;
use crate::scenario::{Saw, Step};
use crate::scenarios::http::request;
use crate::scenarios::rows::{Row, row};

pub(super) fn rows() -> impl Iterator<Item = Row> {
    answers().chain(retries())
}

fn answers() -> impl Iterator<Item = Row> {
    let get = || request("GET /", &[], "");
    let bad = move |clause, name, text: &str| {
        row(clause, name)
            .reply(text, Then::Close)
            .send(get())
            .answer(&[502])
            .saw(Saw::AtMost(2))
    };
    let torn = move |clause, name, text: &str, then| {
        row(clause, name)
            .reply(text, then)
            .send(get())
            .step(Step::BrokenAnswer(&[200, 502]))
            .saw(Saw::Requests(1))
    };
    let unasked = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nunasked";
    [
        bad("RFC 9112 4", "an answer that is not HTTP", "this is not HTTP\r\n\r\n"),
        bad("RFC 9112 4", "an answer of another version", "HTTP/3.0 200 OK\r\n\r\n").ours(),
        bad(
            "RFC 9112 6.3 (5)",
            "an answer with two lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        ),
        bad(
            "RFC 9112 6.3 (5)",
            "an answer whose length is no number",
            "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
        ),
        bad(
            "RFC 9110 5.5",
            "an answer with a NUL",
            "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok",
        ),
        bad("RFC 9112 8", "half a head", "HTTP/1.1 200 OK\r\nX-Half"),
        bad(
            "RFC 9110 15.2.2",
            "a 101 that nobody asked for",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        ),
        torn(
            "RFC 9112 8",
            "a body shorter than its length",
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
            Then::Close,
        ),
        torn(
            "RFC 9112 8",
            "a chunked answer without its end",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
            Then::Close,
        ),
        torn(
            "RFC 9112 8",
            "a chunked answer with a bad size",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nzz\r\n",
            Then::NextRequest,
        ),
        row("RFC 9112 9.6", "a second answer that nobody asked for is not used")
            .reply(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{unasked}"), Then::NextRequest)
            .send(get())
            .answer(&[200])
            .step(Step::Body("ok"))
            .saw(Saw::Requests(1)),
        row("RFC 9112 9.6", "bytes after a 204 are not used")
            .reply(format!("HTTP/1.1 204 No Content\r\n\r\n{unasked}"), Then::NextRequest)
            .send(get())
            .answer(&[204])
            .saw(Saw::Requests(1)),
        row("RFC 9112 9.6", "bytes after the answer to HEAD are not used")
            .reply(unasked, Then::NextRequest)
            .send(request("HEAD /", &[], ""))
            .step(Step::AnswerToHead(&[200]))
            .saw(Saw::Requests(1)),
        row("RFC 9112 6.3 (3)", "an answer with a length and chunks")
            .reply(
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
                Then::Close,
            )
            .send(get())
            .step(Step::AnswerOrEnd(&[200, 502])),
    ]
    .into_iter()
}

/// What is asked again when a backend fails: nothing that could do harm twice.
fn retries() -> impl Iterator<Item = Row> {
    [
        row("RFC 9110 9.2.2", "a POST is never sent twice")
            .reply("", Then::Close)
            .send(post(&["Content-Length: 5"], "hello"))
            .answer(&[502])
            .saw(Saw::Requests(1)),
        row("RFC 9110 9.2.2", "a POST is not sent twice after a reset")
            .reply("", Then::Reset)
            .send(post(&["Content-Length: 5"], "hello"))
            .answer(&[502])
            .saw(Saw::Requests(1)),
        row("RFC 9110 9.2.2", "a GET is sent at most once more")
            .reply("", Then::Close)
            .send(request("GET /", &[], ""))
            .answer(&[502])
            .saw(Saw::AtMost(2)),
    ]
    .into_iter()
}
