//! Clients with a WebSocket each: numbered messages that must come back in order, and a new one when
//! the old has ended.

use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::{SinkExt, StreamExt};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::connect::connect;
use super::scene::{Ended, Place, Scene};
use super::timeline::Seen;
use crate::harness::wire::Stream;

type Socket = WebSocketStream<Box<dyn Stream>>;

/// Half of the time between two messages, at least; three halves at most.
const PACE: Duration = Duration::from_millis(500);
/// Nothing here takes so long, however busy the machine is.
const FOREVER: Duration = Duration::from_secs(30);
/// Before the next attempt, where there was no place to ask or the last one failed.
const REST: Duration = Duration::from_millis(100);

/// Keeps one WebSocket open until the end.
pub(super) async fn keep_open(scene: Rc<Scene>, number: u64, mut random: Rng) {
    // Ids of this client's tunnels, one after another.
    let mut id = number * 1_000_000;
    while !scene.is_ending.get() {
        if let Some(place) = choose(&scene, &mut random)
            && let Some(socket) = open(&scene, place, id).await
        {
            converse(&scene, socket, id, &mut random).await;
            id += 1;
        } else {
            sleep(REST).await;
        }
    }
}

/// Mostly where nothing happens: what stays must be seen to stay.
fn choose(scene: &Scene, random: &mut Rng) -> Option<Place> {
    if scene.is_down() {
        return None;
    }
    let mut places = scene.places();
    places.retain(|place| place.has_targets);
    if random.u8(..10) < 6 {
        places.retain(|place| place.is_anchored);
    }
    random.choice(places)
}

/// A handshake, judged; the socket, if it came to one.
async fn open(scene: &Scene, place: Place, id: u64) -> Option<Socket> {
    let _turn = scene.turns.acquire().await;
    if !scene.places().contains(&place) {
        return None;
    }
    let mark = scene.mark();
    let (seen, socket) = match timeout(FOREVER, handshake(scene, place)).await {
        Ok(handshake) => handshake,
        Err(_) => (Seen::Broken("no end of the handshake".to_owned()), None),
    };
    if let (Seen::Answer(101, Some(backend)), Some(_)) = (&seen, &socket) {
        scene.opened(id, place, *backend, mark);
    }
    scene.judge(place, false, [mark, mark], None, &seen);
    socket
}

async fn handshake(scene: &Scene, place: Place) -> (Seen, Option<Socket>) {
    let tls = place.tls.then_some(&scene.client);
    let connection = match connect(place.port, tls).await {
        Ok(connection) => connection,
        Err(error) => return (Seen::Nothing(format!("{error:#}")), None),
    };
    let request = format!("ws://{}/echo", place.host).into_client_request();
    let request = request.expect("the URL is one");
    let backend = |response: &http::Response<Option<Vec<u8>>>| {
        let said = |name| response.headers().get(name)?.to_str().ok();
        scene.backend(said("x-backend"), said("x-backend-port"))
    };
    match client_async(request, connection.io).await {
        Ok((socket, response)) => {
            let seen = Seen::Answer(response.status().as_u16(), backend(&response));
            (seen, Some(socket))
        }
        Err(Error::Http(response)) => {
            let seen = Seen::Answer(response.status().as_u16(), backend(&response));
            (seen, None)
        }
        Err(error) => (Seen::Nothing(error.to_string()), None),
    }
}

/// Messages to and fro until either side ends it.
async fn converse(scene: &Scene, mut socket: Socket, id: u64, random: &mut Rng) {
    let mut number = 0u64;
    loop {
        let pause = PACE.mul_f64(0.5 + random.f64());
        // Whatever comes now comes unasked.
        match timeout(pause, socket.next()).await {
            Err(_) => {}
            Ok(message) => return end(scene, socket, id, message).await,
        }
        if scene.is_ending.get() {
            return leave(scene, socket, id).await;
        }
        let sent = format!("{id} says {number}");
        number += 1;
        // A failure to send shows in what is read next.
        let _ = socket.send(Message::text(sent.clone())).await;
        match timeout(FOREVER, socket.next()).await {
            Ok(Some(Ok(Message::Text(text)))) if text.as_str() == sent => {
                scene.counts.messages.set(scene.counts.messages.get() + 1);
            }
            Ok(message) => return end(scene, socket, id, message).await,
            Err(_) => {
                scene.fault(format!(
                    "WebSocket {id}: {sent:?} is not echoed within {FOREVER:?}"
                ));
                return scene.left(id);
            }
        }
    }
}

/// Judges an end, by the first thing that was no echo.
async fn end(scene: &Scene, mut socket: Socket, id: u64, message: Option<Result<Message, Error>>) {
    let how = match message {
        Some(Ok(Message::Close(frame))) => {
            let code = frame.map_or(1005, |frame| u16::from(frame.code));
            // Our answer goes out, and then the server ends the connection (RFC 6455 section 7.1.1).
            let rest = timeout(FOREVER, async {
                while let Some(Ok(_)) = socket.next().await {}
            });
            if rest.await.is_err() {
                scene.fault(format!(
                    "WebSocket {id} was closed with {code}, but TCP goes on"
                ));
            }
            Ended::Close(code)
        }
        Some(Ok(other)) => {
            scene.fault(format!("WebSocket {id} got {other:?}, which nobody sent"));
            return scene.left(id);
        }
        Some(Err(error)) => Ended::Lost(error.to_string()),
        None => Ended::Lost("the end of TCP".to_owned()),
    };
    scene.ended(id, &how);
}

/// Closes it from here, and sees the backend's answer.
async fn leave(scene: &Scene, mut socket: Socket, id: u64) {
    let frame = CloseFrame {
        code: CloseCode::Normal,
        reason: "done".into(),
    };
    let closing = async {
        socket.close(Some(frame)).await?;
        while let Some(message) = socket.next().await {
            if let Message::Close(Some(frame)) = message? {
                return Ok(Some(u16::from(frame.code)));
            }
        }
        Ok::<_, Error>(None)
    };
    match timeout(FOREVER, closing).await {
        Ok(Ok(Some(1000 | 1001))) => {}
        other => scene.fault(format!(
            "WebSocket {id} does not close in good order: {other:?}"
        )),
    }
    scene.left(id);
}
