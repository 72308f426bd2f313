//! A target's health as requests see it: one byte, read often, written seldom.

use std::sync::atomic::{AtomicU8, Ordering};

/// What is known of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Health {
    /// Not probed yet: served, and probed at once.
    Unknown,
    /// Served.
    Up,
    /// Not served.
    Down,
}

impl Health {
    /// Whether requests may go there.
    pub fn is_serving(self) -> bool {
        self != Self::Down
    }
}

/// One target's health under one set of HTTP settings. Written by the prober, read by workers.
#[derive(Debug)]
pub struct HealthCell {
    /// Names the cell for as long as its (pool, settings, target) is configured.
    pub id: u64,
    state: AtomicU8,
}

impl HealthCell {
    /// A cell that knows nothing yet.
    pub fn new(id: u64) -> Self {
        Self {
            id,
            state: AtomicU8::new(Health::Unknown as u8),
        }
    }

    /// What is known now.
    pub fn health(&self) -> Health {
        match self.state.load(Ordering::Relaxed) {
            state if state == Health::Up as u8 => Health::Up,
            state if state == Health::Down as u8 => Health::Down,
            _ => Health::Unknown,
        }
    }

    /// Makes `health` known to the workers.
    pub fn set(&self, health: Health) {
        self.state.store(health as u8, Ordering::Relaxed);
    }
}
