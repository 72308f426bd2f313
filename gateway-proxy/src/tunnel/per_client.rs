//! Counts tunnels by client address for `maxTunnelsPerClient`, all workers together.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Open tunnels, and handshakes under way, of each client address.
///
/// Asked once a handshake and only where a limit is set, so one lock for all workers is cheap.
#[derive(Debug, Default)]
pub(crate) struct TunnelsByClient {
    counts: Mutex<HashMap<IpAddr, u32>>,
}

/// One tunnel's share of its client's limit; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct ClientPermit {
    client: IpAddr,
    table: Arc<TunnelsByClient>,
}

impl TunnelsByClient {
    /// Takes a share for `client`, unless it holds `limit` already. To be called before the
    /// handshake is sent on, so that many at once do not slip through together.
    pub(crate) fn admit(self: &Arc<Self>, client: IpAddr, limit: u32) -> Option<ClientPermit> {
        let client = client.to_canonical();
        let mut counts = self.counts();
        let held = counts.get(&client).copied().unwrap_or(0);
        if held >= limit {
            return None;
        }
        counts.insert(client, held + 1);
        Some(ClientPermit {
            client,
            table: Arc::clone(self),
        })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        // No code that can panic runs under the lock, so a poisoned one is as good as any.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ClientPermit {
    fn drop(&mut self) {
        let mut counts = self.table.counts();
        if let Some(held) = counts.get_mut(&self.client) {
            *held -= 1;
            if *held == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_holds_at_most_its_limit_and_gets_back_what_it_drops() {
        let table = Arc::new(TunnelsByClient::default());
        let client: IpAddr = "192.0.2.1".parse().unwrap();
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        let first = table.admit(client, 2).unwrap();
        let _second = table.admit(mapped, 2).unwrap();
        assert!(table.admit(client, 2).is_none());
        assert!(table.admit("192.0.2.2".parse().unwrap(), 2).is_some());
        drop(first);
        assert!(table.admit(client, 2).is_some());
    }

    #[test]
    fn nothing_is_kept_of_a_client_without_tunnels() {
        let table = Arc::new(TunnelsByClient::default());
        drop(table.admit("192.0.2.1".parse().unwrap(), 1));
        assert!(table.counts().is_empty());
    }
}
