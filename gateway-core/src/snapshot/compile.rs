//! From a checked configuration to a snapshot; carries over the cells of what did not change.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::{Generation, Revision, Snapshot};
use crate::config::Config;

/// What DNS says of each FQDN in the configuration.
pub type Resolutions = BTreeMap<Arc<str>, Resolution>;

/// What DNS last said of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// The last good answer, sorted; never empty.
    Addresses(Vec<IpAddr>),
    /// There has been no good answer yet; why.
    Failed(String),
}

/// What the command line adds to the document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompileOptions {
    /// `--map-port`: the document's port to the one bound.
    pub port_map: BTreeMap<u16, u16>,
    /// `--map-address`: the document's address to the one bound.
    pub address_map: BTreeMap<IpAddr, IpAddr>,
    /// How many workers the cells are for.
    pub workers: usize,
}

/// Compiles `config`. Ids and cells of what `previous` already had are carried over.
pub fn compile(
    config: &Config,
    resolutions: &Resolutions,
    options: &CompileOptions,
    previous: Option<&Snapshot>,
    generation: Generation,
    revision: Revision,
) -> Snapshot {
    let _ = (config, resolutions, options, previous, generation, revision);
    unimplemented!()
}
