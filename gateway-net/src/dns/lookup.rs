//! One question: the addresses of a name, and for how long they hold.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::RecordType;

/// What the system's resolver is made from.
const SYSTEM_FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// More than the resolver's own attempts take; a backstop.
const PATIENCE: Duration = Duration::from_secs(30);

/// A good answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// Sorted, without duplicates, never empty.
    pub(super) addresses: Vec<IpAddr>,
    /// The smallest of the records' TTLs.
    pub(super) ttl: Duration,
}

/// Asks questions. Keeps no answers: that is the keeper's business.
#[derive(Debug)]
pub(super) struct Lookup {
    resolver: Arc<TokioResolver>,
    /// What the resolver was made from; `None` where it is fixed.
    made_from: Option<[Stamp; 2]>,
}

/// Tells one version of a file from another.
type Stamp = Option<(SystemTime, u64)>;

impl Lookup {
    /// Asks as the machine does.
    pub(super) fn system() -> Self {
        // Stamped before they are read: a change in between is seen as one, not missed.
        let stamps = SYSTEM_FILES.map(stamp);
        Self {
            resolver: Arc::new(system_resolver()),
            made_from: Some(stamps),
        }
    }

    /// Asks the name servers of `config`.
    pub(super) fn fixed(config: ResolverConfig) -> io::Result<Self> {
        Ok(Self {
            resolver: Arc::new(build(config, ResolverOpts::default()).map_err(io::Error::other)?),
            made_from: None,
        })
    }

    /// The resolver for the next question, made anew when the machine's files have changed.
    pub(super) fn resolver(&mut self) -> Arc<TokioResolver> {
        if self
            .made_from
            .is_some_and(|stamps| stamps != SYSTEM_FILES.map(stamp))
        {
            *self = Self::system();
        }
        Arc::clone(&self.resolver)
    }
}

/// The addresses of `name`: IPv4 where it has any, else IPv6. A host with both is one target, not
/// two of which one may be out of reach.
pub(super) async fn addresses(resolver: &TokioResolver, name: &str) -> Result<Answer, String> {
    let asking = async {
        match ask(resolver, name, RecordType::A).await {
            // Only a name that has no IPv4 for certain: after a silent or failing name server,
            // the last good answer is better than another family's.
            Err(error) if error.is_no_records_found() => {
                ask(resolver, name, RecordType::AAAA).await
            }
            answer => answer,
        }
    };
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(answer) => answer.map_err(|error| reason(&error)),
        Err(_) => Err(reason(&NetError::Timeout)),
    }
}

async fn ask(resolver: &TokioResolver, name: &str, family: RecordType) -> Result<Answer, NetError> {
    let found = resolver.lookup(name, family).await?;
    let mut addresses: Vec<IpAddr> = found
        .answers()
        .iter()
        .filter_map(|record| record.data.ip_addr())
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(NetError::Message("the answer holds no address"));
    }
    Ok(Answer {
        addresses,
        ttl: found
            .valid_until()
            .saturating_duration_since(Instant::now()),
    })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum")]
fn reason(error: &NetError) -> String {
    match error {
        NetError::Timeout => "no name server answers".to_owned(),
        NetError::Dns(DnsError::NoRecordsFound(_)) if error.is_nx_domain() => {
            "no such name".to_owned()
        }
        NetError::Dns(DnsError::NoRecordsFound(_)) => "the name has no address".to_owned(),
        NetError::Dns(DnsError::ResponseCode(code)) => {
            format!("the name server answers {code}")
        }
        other => other.to_string(),
    }
}

/// From the machine's files; where they are missing or name no server, as the C library does it:
/// a name server on this machine.
fn system_resolver() -> TokioResolver {
    let (config, options) =
        hickory_resolver::system_conf::read_system_conf().unwrap_or_else(|error| {
            tracing::debug!(%error, "/etc/resolv.conf names no name server; asking 127.0.0.1");
            let here = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
            (
                ResolverConfig::from_name_servers(vec![here]),
                ResolverOpts::default(),
            )
        });
    build(config, options).expect("plain UDP and TCP need nothing that could be missing")
}

fn build(config: ResolverConfig, mut options: ResolverOpts) -> Result<TokioResolver, NetError> {
    options.cache_size = 0;
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options)
        .build()
}

fn stamp(path: impl AsRef<Path>) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
