//! tungstenite, which is strict about everything that it reads, judges what passed.

use anyhow::{Context, Result, ensure};
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::Relay;
use crate::harness::PATIENCE;
use crate::harness::backend::TestBackend;
use crate::harness::frames::{End, Frame, binary, ping, pong, rest, written_by};
use crate::harness::site::handshake;
use crate::scenario::{Stage, Told};

const MESSAGES: usize = 100;

/// Raw frames, cut at random, to the echo of `test-backend`. It answers with whole messages only.
pub(super) async fn fragments(stage: Stage) -> Result<Told> {
    let backend = TestBackend::start(&stage, "b1").await?;
    let site = Relay::open(&stage, backend.address).await?;
    let mut random = stage.random("fragments and cuts");
    let told = async {
        let (mut client, answer) = handshake(site.front, "/echo").await?;
        ensure!(answer.status == 101, "{} {}", answer.status, answer.text());
        let (mut pieces, mut segments) = (0, 0);
        for number in 0..MESSAGES {
            let (payload, frames) = message(&mut random);
            pieces += frames.len();
            let bytes = written_by(End::Client, &frames);
            let mut left = bytes.as_slice();
            while !left.is_empty() {
                let (segment, behind) = left.split_at(random.usize(1..=left.len().min(2000)));
                client.send(segment).await?;
                left = behind;
                segments += 1;
            }
            // The Pings are answered while the message is still on its way, in their order.
            let pings = frames.iter().filter(|frame| frame.is_ping());
            let pongs: Vec<Frame> = pings.map(|frame| pong(frame.payload())).collect();
            let expected = written_by(End::Backend, &[pongs, vec![binary(payload)]].concat());
            let received = client.exactly(expected.len(), PATIENCE).await?;
            ensure!(received == expected, "message {number} came back otherwise");
        }
        Ok(Told::Measured(format!(
            "{MESSAGES} messages in {pieces} frames and {segments} segments"
        )))
    };
    site.tell(told.await)
}

/// A message in up to eight fragments, every one with a masking key of its own, one Ping at most.
fn message(random: &mut fastrand::Rng) -> (Vec<u8>, Vec<Frame>) {
    let count = random.usize(1..=8);
    let pinged = random.usize(0..16);
    let (mut payload, mut frames) = (Vec::new(), Vec::new());
    for number in 0..count {
        let longest = [0, 1, 125, 126, 127, 3000][random.usize(0..6)];
        let part: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
            .take(longest)
            .collect();
        payload.extend(&part);
        let frame = if number == 0 {
            binary(part)
        } else {
            rest(part)
        };
        let frame = frame.key(random.u32(..).to_be_bytes());
        let is_last = number + 1 == count;
        frames.push(if is_last { frame } else { frame.more() });
        if number == pinged && !is_last {
            frames.push(ping([number as u8; 20]));
        }
    }
    (payload, frames)
}

/// Who closes, with what; both ends are tungstenite.
pub(super) async fn closes(stage: Stage) -> Result<Told> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let site = Relay::open(&stage, listener.local_addr()?).await?;
    let longest = "r".repeat(123);
    let rows = [
        (End::Client, Some((1000, "bye"))),
        (End::Backend, Some((1001, "restarting"))),
        (End::Client, Some((3000, longest.as_str()))),
        (End::Backend, Some((4999, "später"))),
        (End::Client, None),
        (End::Backend, None),
    ];
    let told = async {
        for (closer, frame) in rows {
            let frame = frame.map(|(code, reason)| CloseFrame {
                code: code.into(),
                reason: reason.into(),
            });
            close(&site, &listener, closer, frame.clone())
                .await
                .with_context(|| format!("{closer:?} closes with {frame:?}"))?;
        }
        Ok(Told::Whole)
    };
    site.tell(told.await)
}

async fn close(
    site: &Relay,
    listener: &TcpListener,
    closer: End,
    frame: Option<CloseFrame>,
) -> Result<()> {
    let tcp = TcpStream::connect(site.front).await?;
    let url = format!("ws://{}/", site.front);
    let client = tokio_tungstenite::client_async(url, tcp);
    let server = async {
        loop {
            let (stream, _) = listener.accept().await?;
            // A probe is no WebSocket.
            if let Ok(server) = tokio_tungstenite::accept_async(stream).await {
                return anyhow::Ok(server);
            }
        }
    };
    let (client, server) = tokio::join!(client, server);
    let (client, server) = (client?.0, server?);
    let (mut closing, mut closed) = match closer {
        End::Client => (client, server),
        End::Backend => (server, client),
    };
    closing.send(Message::text("last")).await?;
    closing.close(frame.clone()).await?;
    let expected = Message::Close(frame);
    // Each end drops its socket when it has seen the end: tungstenite leaves TCP to its owner.
    let heard = async {
        let last = closed.next().await.context("no message")??;
        ensure!(last == Message::text("last"), "{last:?}");
        let heard = closed.next().await.context("no Close")??;
        ensure!(heard == expected, "{heard:?}");
        let end = closed.next().await.transpose()?;
        drop(closed);
        ensure!(end.is_none(), "{end:?}");
        anyhow::Ok(())
    };
    let answered = async {
        let answer = closing.next().await.context("no answer to the Close")??;
        ensure!(answer == expected, "answered {answer:?}");
        let end = closing.next().await.transpose()?;
        drop(closing);
        ensure!(end.is_none(), "{end:?}");
        anyhow::Ok(())
    };
    tokio::try_join!(heard, answered)?;
    Ok(())
}
