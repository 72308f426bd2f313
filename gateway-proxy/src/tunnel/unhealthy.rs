//! How tunnels end whose target has turned unhealthy, where their HTTP settings have them end.

use std::net::SocketAddr;
use std::time::Duration;

use gateway_core::config::OnUnhealthy;
use gateway_core::name::HttpSettingsName;
use gateway_core::tunnels::DrainKind;

use super::drains::DrainOrder;
use super::set::pace::Pace;

/// What `Close` leaves for the closing handshake. The backend may take no part in it: it is down.
const LAST_WORDS: Duration = Duration::from_secs(5);

impl DrainOrder {
    /// What becomes of the tunnels to `target` that were opened under `settings`; `None` where they
    /// go on.
    pub fn unhealthy(
        then: OnUnhealthy,
        pool: &str,
        target: SocketAddr,
        settings: &HttpSettingsName,
    ) -> Option<Self> {
        let (pace, time) = match then {
            OnUnhealthy::Keep => return None,
            OnUnhealthy::Drain => (Pace::Settings, None),
            OnUnhealthy::Close => (Pace::AtOnce, Some(LAST_WORDS)),
        };
        Some(Self {
            kind: DrainKind::TargetUnhealthy,
            what: format!("{pool}/{target} by {settings}"),
            code: None,
            reason: "the backend is unhealthy".to_owned(),
            pace,
            time,
        })
    }
}
