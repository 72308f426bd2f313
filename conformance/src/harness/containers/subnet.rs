//! The addresses of a private network: the lower half is given away by us, the upper one by Docker.

use std::collections::VecDeque;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};

/// An IPv4 subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subnet {
    base: u32,
    prefix: u32,
}

impl Subnet {
    fn size(self) -> u32 {
        1 << (32 - self.prefix)
    }

    pub(super) fn upper_half(self) -> Self {
        Self {
            base: self.base + self.size() / 2,
            prefix: self.prefix + 1,
        }
    }

    /// The host's own address.
    pub(super) fn host(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base + 1)
    }

    /// The `number`th address of the lower half, counted from 1. The first two of the subnet are the
    /// network's own and the host's.
    pub(super) fn address(self, number: u16) -> Option<Ipv4Addr> {
        let offset = u32::from(number) + 1;
        (offset < self.size() / 2).then(|| Ipv4Addr::from_bits(self.base + offset))
    }
}

/// Who has which address of our half. An address that is free again is given away when no fresh one
/// is left, the one that has rested longest first.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    given: u16,
    free: VecDeque<Ipv4Addr>,
}

impl Addresses {
    pub(super) fn take(&mut self, subnet: Subnet) -> Option<Ipv4Addr> {
        let Some(fresh) = subnet.address(self.given + 1) else {
            return self.free.pop_front();
        };
        self.given += 1;
        Some(fresh)
    }

    pub(super) fn give_back(&mut self, address: Option<Ipv4Addr>) {
        self.free.extend(address);
    }
}

impl FromStr for Subnet {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (base, prefix) = text.split_once('/').context("no prefix")?;
        let (base, prefix) = (base.parse::<Ipv4Addr>()?.to_bits(), prefix.parse()?);
        ensure!((8..=28).contains(&prefix), "no room in {text}");
        Ok(Self { base, prefix })
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.base), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_subnet_is_ours() {
        let subnet: Subnet = "172.18.0.0/16".parse().unwrap();
        assert_eq!(subnet.to_string(), "172.18.0.0/16");
        assert_eq!(subnet.upper_half().to_string(), "172.18.128.0/17");
        assert_eq!(subnet.host(), Ipv4Addr::new(172, 18, 0, 1));
        assert_eq!(subnet.address(1), Some(Ipv4Addr::new(172, 18, 0, 2)));
        let small: Subnet = "192.168.7.0/28".parse().unwrap();
        assert_eq!(small.upper_half().to_string(), "192.168.7.8/29");
        assert_eq!(small.address(6), Some(Ipv4Addr::new(192, 168, 7, 7)));
        assert_eq!(small.address(7), None);
    }

    #[test]
    fn addresses_come_back_when_there_is_no_fresh_one() {
        let subnet: Subnet = "192.168.7.0/28".parse().unwrap();
        let host = |last| Some(Ipv4Addr::new(192, 168, 7, last));
        let mut addresses = Addresses::default();
        assert_eq!(addresses.take(subnet), host(2));
        addresses.give_back(host(2));
        let fresh: Vec<_> = (0..5).map(|_| addresses.take(subnet)).collect();
        assert_eq!(fresh, (3..=7).map(host).collect::<Vec<_>>());
        addresses.give_back(host(5));
        addresses.give_back(None);
        assert_eq!(addresses.take(subnet), host(2));
        assert_eq!(addresses.take(subnet), host(5));
        assert_eq!(addresses.take(subnet), None);
    }

    #[test]
    fn what_is_no_subnet_is_refused() {
        for text in ["172.18.0.0", "fd00::/64", "10.0.0.0/31", "10.0.0.0/x"] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }
}
