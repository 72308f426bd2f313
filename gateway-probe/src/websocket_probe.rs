//! The probe that opens a WebSocket, sends a Ping, waits for its Pong, and says goodbye (RFC 6455
//! sections 4.1, 5.5 and 7): it notices a backend whose pages are well while its upgrades fail.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use gateway_core::health::{ProbeFailure, ProbeOutcome, judge_handshake};
use gateway_core::websocket::{
    Heard, Offer, PongError, PongWait, WebSocketKey, encode_close, encode_ping, encode_pong,
    write_upgrade,
};
use gateway_net::dial::BackendStream;
use http::header::{SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION};
use http::{HeaderValue, Request};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::crypto::{SecureRandom, aws_lc_rs};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::probe::{
    Allowance, Clock, Driven, MAX_HEAD_BYTES, Metered, Question, exchange_failure, io_failure,
    not_to_be_sent, request,
};

/// Close code of a purpose fulfilled (section 7.4.1).
const NORMAL: u16 = 1000;

/// How long, within the probe's time, the backend may take to end the connection after the Close.
const GOODBYE: Duration = Duration::from_secs(1);

/// What is read of it meanwhile: more than a Close, less than a stream.
const GOODBYE_BYTES: usize = 64 * 1024;

/// Asks over `stream`, which nobody else uses. What the backend makes of the Close decides nothing.
pub(crate) async fn ask(
    question: &Question,
    subprotocol: Option<&str>,
    stream: BackendStream,
    clock: &Clock,
) -> Result<ProbeOutcome, ProbeFailure> {
    let dice = Dice::new();
    let (mut stream, first) = open(question, subprotocol, stream, clock, &dice).await?;
    let payload = dice.throw();
    let mut wait = PongWait::new(payload);
    let pinged = clock
        .within(
            "waiting for the Pong",
            ping(&mut stream, &first, payload, &mut wait, &dice),
        )
        .await
        .unwrap_or_else(|late| Err(wait.out_of_time().map_or(late, ProbeFailure::Pong)));
    if matches!(
        pinged,
        Ok(()) | Err(ProbeFailure::Pong(PongError::Closed(_)))
    ) {
        // Its time being over, or the backend gone, is as good an end.
        let _ = clock.within("closing", say_goodbye(stream, &dice)).await;
    }
    pinged.map(|()| ProbeOutcome::HealthyWebSocket)
}

/// The handshake; gives the stream and what came behind the 101.
async fn open(
    question: &Question,
    subprotocol: Option<&str>,
    stream: BackendStream,
    clock: &Clock,
    dice: &Dice,
) -> Result<(BackendStream, Bytes), ProbeFailure> {
    let io = TokioIo::new(Metered::new(stream, Allowance::new(MAX_HEAD_BYTES)));
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .handshake::<_, Empty<Bytes>>(io)
        .await
        .map_err(|error| exchange_failure(&error))?;
    let connection = pin!(connection.with_upgrades());
    let mut connection = Driven::new(connection);
    let key = WebSocketKey::from_nonce(dice.throw());
    let shaking_hands = async {
        let request = head(question, &key, subprotocol)?;
        let response = sender.send_request(request).await;
        let mut response = response.map_err(|error| exchange_failure(&error))?;
        let upgraded = hyper::upgrade::on(&mut response);
        judge_handshake(&Offer::of(&key, subprotocol), &response.into_parts().0)?;
        upgraded.await.map_err(|error| exchange_failure(&error))
    };
    let upgraded = clock
        .within(
            "waiting for the answer to the handshake",
            connection.alongside(shaking_hands),
        )
        .await??;
    let parts = upgraded
        .downcast::<TokioIo<Metered<BackendStream>>>()
        .expect("the connection was made above, of this type");
    Ok((parts.io.into_inner().into_inner(), parts.read_buf))
}

fn head(
    question: &Question,
    key: &WebSocketKey,
    subprotocol: Option<&str>,
) -> Result<Request<Empty<Bytes>>, ProbeFailure> {
    let mut builder = request(question)
        .header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
        .header(SEC_WEBSOCKET_KEY, key.to_header_value());
    if let Some(subprotocol) = subprotocol {
        builder = builder.header(SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    let request = builder.body(Empty::new());
    let mut request = request.map_err(|error| not_to_be_sent(&error))?;
    write_upgrade(request.headers_mut());
    Ok(request)
}

/// Returns when the Pong has come. `first` came with the 101, before there was a Ping.
async fn ping(
    stream: &mut BackendStream,
    first: &[u8],
    payload: [u8; 16],
    wait: &mut PongWait,
    dice: &Dice,
) -> Result<(), ProbeFailure> {
    let mut heard = wait.hear(first).map_err(ProbeFailure::Pong)?;
    // Why a write fails is better known from what can still be read.
    let _ = stream
        .write_all(&encode_ping(&payload, Some(dice.throw())))
        .await;
    let mut scratch = vec![0; 16 * 1024];
    loop {
        match heard {
            Heard::Pong => return Ok(()),
            Heard::Ping(payload) => {
                let pong = encode_pong(&payload, Some(dice.throw()));
                let _ = stream.write_all(&pong).await;
            }
            Heard::Nothing => {}
        }
        let _ = stream.flush().await;
        let read = match stream.read(&mut scratch).await {
            Ok(0) => return Err(ended("end of stream".to_owned())),
            Ok(read) => read,
            Err(error) => {
                let failure = io_failure(&error);
                return Err(if let ProbeFailure::Closed { reason } = failure {
                    ended(reason)
                } else {
                    failure
                });
            }
        };
        heard = wait.hear(&scratch[..read]).map_err(ProbeFailure::Pong)?;
    }
}

fn ended(reason: String) -> ProbeFailure {
    ProbeFailure::Pong(PongError::Ended { reason })
}

/// Sends a Close and lets the backend end the connection, which is its part (section 7.1.1): were it
/// cut at once, the backend would log an abnormal end for each probe.
async fn say_goodbye(mut stream: BackendStream, dice: &Dice) {
    let goodbye = async {
        let close = encode_close(NORMAL, "", Some(dice.throw()));
        stream.write_all(&close).await?;
        stream.flush().await?;
        let mut left = GOODBYE_BYTES;
        let mut scratch = [0; 4096];
        while left > 0 {
            match stream.read(&mut scratch).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        std::io::Result::Ok(())
    };
    let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    // A backend over TLS learns that this is the end and not an attack; without waiting for it.
    let _ = tokio::time::timeout(Duration::ZERO, stream.shutdown()).await;
}

/// Numbers that nobody can foretell, as section 5.3 wants masking keys.
struct Dice(&'static dyn SecureRandom);

impl Dice {
    fn new() -> Self {
        Self(aws_lc_rs::default_provider().secure_random)
    }

    fn throw<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        // Without random numbers TLS would have failed long ago; zeros do no more harm than that.
        let _ = self.0.fill(&mut bytes);
        bytes
    }
}
