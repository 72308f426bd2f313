//! The target that a client's address belongs to: weighted rendezvous hashing.
//!
//! Each target draws a number from the client's address and its own, and the least number wins. So a
//! target that comes or goes takes or leaves its own clients and moves nobody else's, whatever place
//! it has in the list, and every gateway in front of the same targets decides alike.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;

use super::Eligible;
use crate::snapshot::{Backend, Target};

/// The odd number nearest to 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The eligible target that `client` belongs to.
pub(super) fn choose<'s>(
    backend: &'s Backend,
    client: IpAddr,
    eligible: &Eligible<'_>,
) -> Option<&'s Arc<Target>> {
    let client = fold(GOLDEN, client);
    let mut nearest: Option<(&Arc<Target>, f64)> = None;
    for (index, target) in backend.targets.iter().enumerate() {
        if !eligible.allows(index, target) {
            continue;
        }
        let distance = distance(client, target.address, target.weight);
        if nearest.is_none_or(|(_, least)| distance < least) {
            nearest = Some((target, distance));
        }
    }
    nearest.map(|(target, _)| target)
}

/// How far a client is from a target: exponentially distributed, with the weight as its rate. Of
/// several such numbers each is the least as often as its rate is of the sum of rates.
fn distance(client: u64, target: SocketAddr, weight: NonZeroU16) -> f64 {
    let drawn = mix(fold(client, target.ip()) ^ u64::from(target.port()));
    // 53 bits are what a float holds; above 0, so that the logarithm is finite.
    let uniform = ((drawn >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    -uniform.ln() / f64::from(weight.get())
}

/// An IPv4 address is the same one when it comes mapped into IPv6.
fn fold(seed: u64, address: IpAddr) -> u64 {
    let bits = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    };
    mix(mix(seed ^ bits as u64) ^ (bits >> 64) as u64)
}

/// Spreads what a word says over all its bits (the finaliser of SplitMix64). The constants are part
/// of what clients rely on: other ones would move them all.
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(GOLDEN);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn nearest(client: IpAddr, targets: &[(SocketAddr, u16)]) -> SocketAddr {
        let client = fold(GOLDEN, client);
        let distance = |&(target, weight): &(SocketAddr, u16)| {
            distance(client, target, NonZeroU16::new(weight).unwrap())
        };
        let least = |a: &&_, b: &&_| distance(a).total_cmp(&distance(b));
        targets.iter().min_by(least).unwrap().0
    }

    fn client(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0a00_0000 + number).into()
    }

    fn targets(weights: &[u16]) -> Vec<(SocketAddr, u16)> {
        let address = |last| SocketAddr::from(([192, 168, 0, last], 80));
        (1..).map(address).zip(weights.iter().copied()).collect()
    }

    /// Neighbours in one network are the usual case, and the one that a weak hash would spoil.
    #[test]
    fn each_target_gets_the_clients_of_its_weight() {
        let targets = targets(&[1, 2, 5]);
        let mut counted = [0_u32; 3];
        for number in 0..16_000 {
            let winner = nearest(client(number), &targets);
            let at = targets.iter().position(|(target, _)| *target == winner);
            counted[at.unwrap()] += 1;
        }
        for (count, wanted) in counted.into_iter().zip([2_000_u32, 4_000, 10_000]) {
            assert!(count.abs_diff(wanted) < 200, "{counted:?}");
        }
    }

    #[test]
    fn ports_of_one_host_are_targets_of_their_own() {
        let on = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let targets = [(on(8080), 1), (on(8081), 1)];
        let first = (0..1_000).filter(|&number| nearest(client(number), &targets) == on(8080));
        assert!(first.count().abs_diff(500) < 80);
    }

    #[test]
    fn an_address_means_the_same_in_both_families() {
        let targets = targets(&[1; 8]);
        for number in 0..100 {
            let IpAddr::V4(plain) = client(number) else {
                unreachable!("clients are IPv4 here")
            };
            let mapped: Ipv6Addr = plain.to_ipv6_mapped();
            let both = [plain.into(), mapped.into()].map(|client| nearest(client, &targets));
            assert_eq!(both[0], both[1]);
        }
    }

    /// Another version of the gateway must not move every client: recorded when this was written.
    #[test]
    fn who_belongs_where_stays_from_version_to_version() {
        let targets = targets(&[1, 1, 2, 3]);
        let mut clients: Vec<IpAddr> = (0..6).map(client).collect();
        clients.push("2001:db8::1".parse().unwrap());
        clients.push("2001:db8:0:1::1".parse().unwrap());
        let octets: Vec<u8> = clients
            .into_iter()
            .map(|client| match nearest(client, &targets).ip() {
                IpAddr::V4(address) => address.octets()[3],
                IpAddr::V6(_) => unreachable!("targets are IPv4 here"),
            })
            .collect();
        assert_eq!(octets, [2, 4, 4, 3, 3, 4, 2, 3]);
    }
}
