//! Messages of 64 MiB. What goes through is far more than the gateway may hold.

use anyhow::{Context, Result, ensure};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::{ByHand, MIB, Relay};
use crate::harness::backend::TestBackend;
use crate::harness::frames::{End, Length, binary};
use crate::scenario::{Stage, Told};

const LENGTH: usize = 64 * MIB;
/// What the whole process may grow by, in KiB.
const MAX_GROWTH: u64 = 4 * 1024;

/// One frame each way, byte for byte.
pub(super) async fn frames(stage: Stage) -> Result<Told> {
    let site = ByHand::open(&stage).await?;
    let told = async {
        let (mut client, mut backend) = site.sockets().await?;
        let gateway = &site.relay.gateway;
        let before = gateway.resident_kib()?;
        let mut grown = 0;
        for end in [End::Client, End::Backend] {
            let (from, to) = match end {
                End::Client => (&mut client, &mut backend),
                End::Backend => (&mut backend, &mut client),
            };
            let (head, block) = long_frame(end);
            let write = async {
                from.write_all(&head).await?;
                for _ in 0..LENGTH / block.len() {
                    from.write_all(&block).await?;
                }
                anyhow::Ok(())
            };
            let read = async {
                let mut got = vec![0; head.len()];
                to.read_exact(&mut got).await?;
                ensure!(got == head, "the header is {got:x?}, not {head:x?}");
                let mut got = vec![0; block.len()];
                for number in 0..LENGTH / block.len() {
                    to.read_exact(&mut got).await?;
                    ensure!(got == block, "block {number} is not what was sent");
                    grown = grown.max(gateway.resident_kib()?.saturating_sub(before));
                }
                anyhow::Ok(())
            };
            tokio::try_join!(write, read)?;
        }
        ensure!(grown < MAX_GROWTH, "the gateway grew by {grown} KiB");
        Ok(Told::Measured(format!(
            "2 frames of {LENGTH} bytes; the gateway grew by {grown} KiB at most"
        )))
    };
    site.relay.tell(told.await)
}

/// The header of a frame of [`LENGTH`] bytes, and a block that its payload repeats. The block is a
/// whole number of masking keys long, so that masked it repeats, too.
fn long_frame(end: End) -> (Vec<u8>, Vec<u8>) {
    let block: Vec<u8> = (0..MIB).map(|index| (index % 251) as u8).collect();
    let length = Length::Claimed(LENGTH as u64);
    let mut head = binary(block).length(length).written_by(end);
    let block = head.split_off(head.len() - MIB);
    (head, block)
}

/// 64 fragments to a server that reads one message, and answers with it in one frame.
pub(super) async fn fragments(stage: Stage) -> Result<Told> {
    let backend = TestBackend::start(&stage, "b1").await?;
    let site = Relay::open(&stage, backend.address).await?;
    let told = async {
        let tcp = TcpStream::connect(site.front).await?;
        let url = format!("ws://{}/echo", site.front);
        let client = tokio_tungstenite::client_async_with_config(url, tcp, Some(unlimited()));
        let (client, _) = client.await?;
        let before = site.gateway.resident_kib()?;
        let (mut sink, mut stream) = client.split();
        let part: Vec<u8> = (0..MIB).map(|index| (index % 253) as u8).collect();
        let write = async {
            for number in 0..64 {
                let kind = if number == 0 {
                    Data::Binary
                } else {
                    Data::Continue
                };
                let is_last = number == 63;
                let frame = Frame::message(part.clone(), OpCode::Data(kind), is_last);
                sink.send(Message::Frame(frame)).await?;
            }
            anyhow::Ok(())
        };
        let read = async {
            let message = stream.next().await.context("no echo")??;
            Ok(message.into_data())
        };
        let ((), echoed) = tokio::try_join!(write, read)?;
        ensure!(echoed.len() == LENGTH, "{} bytes came back", echoed.len());
        for (number, block) in echoed.chunks(MIB).enumerate() {
            ensure!(block == part, "block {number} is not what was sent");
        }
        let grown = site.gateway.resident_kib()?.saturating_sub(before);
        ensure!(grown < MAX_GROWTH, "the gateway grew by {grown} KiB");
        Ok(Told::Measured(format!("the gateway grew by {grown} KiB")))
    };
    site.tell(told.await)
}

fn unlimited() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(None)
        .max_frame_size(None)
}
