//! The compiled form of a configuration: everything a request needs, resolved to indexes and `Arc`s.
//!
//! A snapshot is immutable but for its cells (health, load, drain), which are carried over to the next
//! snapshot for whatever did not change. What outlives a request keeps an id, never an index.

mod cells;
mod compile;
mod identities;
mod published;

pub use cells::{CacheAligned, DrainCell, LoadCell, PerWorker};
pub use compile::{CompileOptions, Resolution, Resolutions, compile};
pub use published::{
    Backend, Endpoint, EndpointId, EndpointProtocol, Generation, HostRoute, ListenerId, Revision,
    Route, Snapshot, Target, TargetId, UnresolvedMember, UnservedListener,
};
