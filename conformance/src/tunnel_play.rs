//! Plays a tunnel: both ends by hand, so that every byte on either side of the gateway is the
//! scenario's. Knows frames only where the gateway itself speaks.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::harness::PATIENCE;
use crate::harness::frames::{CLOSE, End, PONG, frame};
use crate::harness::recorder::Recorder;
use crate::harness::wire::{Wire, escape};

/// The end comes at once, or nearly.
const SOON: Duration = Duration::from_secs(3);

/// What one end of a tunnel does, or sees.
#[derive(Debug, Clone)]
pub(crate) enum Move {
    /// Sends these bytes.
    Sends(Vec<u8>),
    /// Sends these bytes, each in a segment of its own that the gateway has read before the next.
    SendsByteByByte(Vec<u8>),
    /// Sends these bytes in two parts, once for each place where they can be cut; each time the other
    /// end gets all of them.
    SendsCutEverywhere(Vec<u8>),
    /// Gets exactly these bytes.
    Gets(Vec<u8>),
    /// Gets a Close frame with this code that the gateway itself says.
    GetsCloseOfGateway(u16),
    /// Ends its stream in order (FIN).
    Finishes,
    /// Ends TCP without the `close_notify` that TLS wants before it.
    BreaksTls,
    /// Resets its connection.
    Resets,
    /// Sees the other stream end in order, without another byte.
    SeesFinish,
    /// The same, after a wait of so long at most.
    SeesFinishWithin(Duration),
    /// Sees a reset, without another byte.
    SeesReset,
}

impl Move {
    /// The move as the report names it: long bytes are cut.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Sends(bytes) => format!("sends {}", escape(bytes)),
            Self::SendsByteByByte(bytes) => format!("sends byte by byte {}", escape(bytes)),
            Self::SendsCutEverywhere(bytes) => format!("sends in two parts {}", escape(bytes)),
            Self::Gets(bytes) => format!("gets {}", escape(bytes)),
            Self::GetsCloseOfGateway(_)
            | Self::Finishes
            | Self::BreaksTls
            | Self::Resets
            | Self::SeesFinish
            | Self::SeesFinishWithin(_)
            | Self::SeesReset => format!("{self:?}"),
        }
    }
}

/// Both ends of one tunnel.
pub(crate) struct Ends<'w> {
    pub(crate) client: &'w mut Wire,
    /// The backend's, as soon as it is asked for.
    pub(crate) backend: &'w mut Option<Wire>,
}

impl Ends<'_> {
    /// Lets one end make a move. The backend's connection comes from `recorder`.
    pub(crate) async fn play(&mut self, end: End, what: &Move, recorder: &Recorder) -> Result<()> {
        if self.backend.is_none() {
            *self.backend = Some(recorder.handed_over().await?);
        }
        match what {
            Move::Sends(bytes) => self.at(end)?.send(bytes).await,
            Move::SendsByteByByte(bytes) => {
                for byte in bytes {
                    self.at(end)?.send(&[*byte]).await?;
                    self.let_gateway_read(end).await?;
                }
                Ok(())
            }
            Move::SendsCutEverywhere(bytes) => self.send_cut_everywhere(end, bytes).await,
            Move::Gets(expected) => self.get(end, expected).await,
            Move::GetsCloseOfGateway(code) => self.get_close(end, *code).await,
            Move::Finishes => self.at(end)?.finish().await,
            Move::BreaksTls => self.at(end)?.break_tls(),
            Move::Resets => self.at(end)?.reset(),
            Move::SeesFinish => self.at(end)?.is_finished(SOON).await,
            Move::SeesFinishWithin(limit) => self.at(end)?.is_finished(*limit).await,
            Move::SeesReset => self.at(end)?.is_reset(SOON).await,
        }
    }

    fn at(&mut self, end: End) -> Result<&mut Wire> {
        match end {
            End::Client => Ok(self.client),
            End::Backend => self.backend.as_mut().context("there is no backend"),
        }
    }

    async fn get(&mut self, end: End, expected: &[u8]) -> Result<()> {
        let received = self.at(end)?.exactly(expected.len(), PATIENCE).await?;
        ensure!(received == expected, "received {}", escape(&received));
        Ok(())
    }

    /// What the gateway had been sent by `end`, it has read before it passes on what the other end
    /// sends afterwards: both wait for the same look at the sockets.
    async fn let_gateway_read(&mut self, end: End) -> Result<()> {
        let mark = frame(PONG, "").written_by(end.other());
        self.at(end.other())?.send(&mark).await?;
        self.get(end, &mark).await
    }

    async fn send_cut_everywhere(&mut self, end: End, bytes: &[u8]) -> Result<()> {
        for cut in 1..bytes.len() {
            let (first, second) = bytes.split_at(cut);
            let sent = async {
                self.at(end)?.send(first).await?;
                self.let_gateway_read(end).await?;
                self.at(end)?.send(second).await?;
                self.get(end.other(), bytes).await
            };
            sent.await
                .with_context(|| format!("cut after {cut} bytes"))?;
        }
        Ok(())
    }

    /// Towards the client it is not masked; towards the backend it is, by a key of the gateway's own
    /// (RFC 6455 section 5.1).
    async fn get_close(&mut self, end: End, code: u16) -> Result<()> {
        let head = self.at(end)?.exactly(2, PATIENCE).await?;
        let opcode = head[0];
        ensure!(opcode == 0x80 | CLOSE, "no Close: {}", escape(&head));
        let (is_masked, length) = (head[1] & 0x80 != 0, usize::from(head[1] & 0x7f));
        ensure!(
            is_masked == (end == End::Backend),
            "its mask bit is {is_masked}"
        );
        let key = match end {
            End::Client => vec![0; 4],
            End::Backend => self.at(end)?.exactly(4, PATIENCE).await?,
        };
        let masked = self.at(end)?.exactly(length, PATIENCE).await?;
        let body = masked.iter().zip(key.iter().cycle());
        let body: Vec<u8> = body.map(|(byte, key)| byte ^ key).collect();
        ensure!(
            body.starts_with(&code.to_be_bytes()),
            "its body is {}, not {code}",
            escape(&body)
        );
        ensure!(
            std::str::from_utf8(&body[2..]).is_ok(),
            "its reason is no UTF-8: {}",
            escape(&body[2..])
        );
        Ok(())
    }
}
