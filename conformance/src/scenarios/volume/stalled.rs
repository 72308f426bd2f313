//! Readers that stall: their writers are stopped, the other direction goes on, the gateway holds
//! little, and when they read again nothing is missing.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::{join_all, try_join_all};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::ByHand;
use crate::harness::frames::{End, Length, binary, text};
use crate::harness::gateway::Gateway;
use crate::harness::{PATIENCE, until};
use crate::scenario::{Stage, Told};

const TUNNELS: usize = 20;
/// What a tunnel may hold of one direction, in KiB.
const MAX_HELD: u64 = 64;
/// What the process may grow by besides, in KiB.
const SLACK: u64 = 2 * 1024;
/// Nothing was taken for so long: every buffer on the way is full.
const STOPPED: Duration = Duration::from_millis(400);
/// More than any kernel buffers.
const ENDLESS: usize = 64 * 1024 * 1024;

pub(super) async fn backends(stage: Stage) -> Result<Told> {
    stalled(&stage, End::Backend).await
}

pub(super) async fn clients(stage: Stage) -> Result<Told> {
    stalled(&stage, End::Client).await
}

async fn stalled(stage: &Stage, reader: End) -> Result<Told> {
    let site = ByHand::open(stage).await?;
    let told = async {
        let gateway = &site.relay.gateway;
        let mut tunnels = Vec::new();
        for _ in 0..TUNNELS {
            let (client, backend) = site.sockets().await?;
            tunnels.push(match reader {
                End::Client => Tunnel::new(backend, client)?,
                End::Backend => Tunnel::new(client, backend)?,
            });
        }
        let before = settled(gateway).await?;
        let taken = join_all(tunnels.iter_mut().map(|tunnel| tunnel.fill(reader.other()))).await;
        let taken: Vec<usize> = taken.into_iter().collect::<Result<_>>()?;
        let most = taken.iter().max().context("there are no tunnels")?;
        ensure!(
            *most < ENDLESS,
            "a writer is not stopped: {most} bytes were taken"
        );
        let grown = settled(gateway).await?.saturating_sub(before);
        let tunnel_count = TUNNELS as u64;
        ensure!(
            grown <= tunnel_count * MAX_HELD + SLACK,
            "{TUNNELS} stalled tunnels: the gateway grew by {grown} KiB"
        );
        try_join_all(tunnels.iter_mut().map(|tunnel| tunnel.answer(reader))).await?;
        try_join_all(
            tunnels
                .iter_mut()
                .map(|tunnel| tunnel.resume(reader.other())),
        )
        .await?;
        Ok(Told::Measured(format!(
            "{TUNNELS} stalled tunnels: the gateway grew by {grown} KiB, {:.1} KiB a tunnel; \
             up to {} KiB were on the way in one",
            grown as f64 / tunnel_count as f64,
            most / 1024
        )))
    };
    site.relay.tell(told.await)
}

/// A tunnel by its roles; what was written is a frame's payload that repeats.
struct Tunnel {
    writer: TcpStream,
    reader: TcpStream,
    written: usize,
}

/// What the payload repeats.
fn block() -> Vec<u8> {
    (0..=255).cycle().take(64 * 1024).collect()
}

/// The header of an endless frame. Its masking key, if any, is seen in the payload, too.
fn head(writer: End) -> (Vec<u8>, Vec<u8>) {
    let length = Length::Claimed(u64::MAX >> 1);
    let mut head = binary(block()).length(length).written_by(writer);
    let block = head.split_off(head.len() - 64 * 1024);
    (head, block)
}

impl Tunnel {
    /// With little room in our own buffers: what is on the way should be in the gateway's.
    fn new(writer: TcpStream, reader: TcpStream) -> Result<Self> {
        SockRef::from(&writer).set_send_buffer_size(64 * 1024)?;
        SockRef::from(&reader).set_recv_buffer_size(64 * 1024)?;
        Ok(Self {
            writer,
            reader,
            written: 0,
        })
    }

    /// Writes one endless frame until nothing is taken any more; how many bytes were taken.
    async fn fill(&mut self, writer: End) -> Result<usize> {
        let (head, block) = head(writer);
        self.writer.write_all(&head).await?;
        while self.written < ENDLESS {
            let from = self.written % block.len();
            let write = self.writer.write(&block[from..]);
            let Ok(taken) = tokio::time::timeout(STOPPED, write).await else {
                break;
            };
            self.written += taken?;
        }
        Ok(self.written)
    }

    /// The direction that is not stalled is not stopped.
    async fn answer(&mut self, reader: End) -> Result<()> {
        let frame = text("I am not reading").written_by(reader);
        self.reader.write_all(&frame).await?;
        let mut got = vec![0; frame.len()];
        let read = tokio::time::timeout(PATIENCE, self.writer.read_exact(&mut got)).await;
        read.context("the other direction is stopped, too")??;
        ensure!(got == frame, "got {got:x?}");
        Ok(())
    }

    /// Everything that was taken comes, in order.
    async fn resume(&mut self, writer: End) -> Result<()> {
        let (head, block) = head(writer);
        let mut got = vec![0; head.len()];
        self.reader.read_exact(&mut got).await?;
        ensure!(got == head, "the header is {got:x?}");
        let mut left = self.written;
        while left > 0 {
            let part = left.min(block.len());
            let mut got = vec![0; part];
            let read = tokio::time::timeout(PATIENCE, self.reader.read_exact(&mut got)).await;
            read.with_context(|| format!("{left} bytes are missing"))??;
            ensure!(got == block[..part], "bytes came back otherwise");
            left -= part;
        }
        Ok(())
    }
}

/// Memory is looked at when it is the same for a while.
async fn settled(gateway: &Gateway) -> Result<u64> {
    let mut last = (0, 0);
    until("memory settles", PATIENCE, async || {
        let now = gateway.resident_kib()?;
        last = if last.0 == now {
            (now, last.1 + 1)
        } else {
            (now, 0)
        };
        Ok((last.1 > 10).then_some(now))
    })
    .await
}
