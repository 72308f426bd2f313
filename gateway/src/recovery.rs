//! From the prober to the proxy: health has changed.

use std::sync::Arc;

use gateway_probe::HealthEvent;
use gateway_proxy::Proxy;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

/// Tells `proxy` of each change, until there are no more or `stop` says so.
pub(crate) async fn tell_of_health(
    mut changes: Receiver<HealthEvent>,
    proxy: Arc<Proxy>,
    stop: CancellationToken,
) {
    loop {
        let change = tokio::select! {
            change = changes.recv() => change,
            () = stop.cancelled() => return,
        };
        match change {
            // Who has missed some looks at what there is now.
            Ok(_) | Err(RecvError::Lagged(_)) => proxy.health_changed(),
            Err(RecvError::Closed) => return,
        }
    }
}
