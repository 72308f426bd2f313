//! The frames that the gateway says itself, towards backends: there it is a client.

use std::collections::HashSet;

use anyhow::{Result, ensure};

use super::ByHand;
use crate::harness::PATIENCE;
use crate::harness::frames::{CLOSE, End, frame};
use crate::scenario::{Stage, Told};

/// With 32 bits at random, two of these are the same once in two hundred million runs.
const TUNNELS: usize = 6;

/// Each tunnel is ended by a frame that no client may send; the Close that the backend gets is masked.
pub(super) async fn keys(stage: Stage) -> Result<Told> {
    let site = ByHand::open(&stage).await?;
    let told = async {
        let mut keys = HashSet::new();
        for _ in 0..TUNNELS {
            let (mut client, mut backend) = site.tunnel().await?;
            client
                .send(&frame(0x3, "bad").written_by(End::Client))
                .await?;
            let head = backend.exactly(6, PATIENCE).await?;
            ensure!(head[0] == 0x80 | CLOSE, "no Close: {head:x?}");
            ensure!(head[1] & 0x80 != 0, "it is not masked: {head:x?}");
            ensure!(
                keys.insert(head[2..].to_vec()),
                "a key comes twice: {keys:x?}"
            );
        }
        Ok(Told::Whole)
    };
    site.relay.tell(told.await)
}
