//! Whole subnets of which nothing answers: told once, and not for each of their devices.
//!
//! While a subnet is away its devices are not told of. When it is back, those that stay away are.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Tested;
use super::judgement::{LOST, RECOVERED, Status};
use crate::domain::id::InventoryId;

/// The network that a machine is in, as networks are mostly cut: /24, and /64 of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subnet(IpAddr);

impl Subnet {
    /// The one of an address; none of a name.
    pub(super) fn of(address: &str) -> Option<Self> {
        let address: IpAddr = address.parse().ok()?;
        Some(Self(match address.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                Ipv4Addr::new(a, b, c, 0).into()
            }
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
        }))
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = if self.0.is_ipv4() { 24 } else { 64 };
        write!(f, "{}/{bits}", self.0)
    }
}

/// A subnet of which nothing answers, and how many devices are in it.
pub(super) type Away = (Subnet, usize);

/// Finds subnets with `devices_min` devices and more of which none answers, and leaves of the news what is to be told of single
/// devices. `was_away` says whether a subnet was told of before.
pub(super) fn settle(
    tested: &mut [Tested],
    devices_min: usize,
    was_away: impl Fn(Subnet) -> bool,
) -> Vec<Away> {
    let mut subnets: BTreeMap<Subnet, (HashSet<InventoryId>, bool)> = BTreeMap::new();
    for one in tested.iter() {
        let Some(subnet) = one.subnet else { continue };
        let (devices, silent) = subnets.entry(subnet).or_insert((HashSet::new(), true));
        devices.insert(one.device);
        *silent &= one.judged.status == Some(Status::Down);
    }
    let is_away = |subnet: &Subnet| {
        subnets
            .get(subnet)
            .is_some_and(|(devices, silent)| *silent && devices.len() >= devices_min)
    };
    for one in tested.iter_mut() {
        let Some(subnet) = one.subnet else { continue };
        let news = &mut one.judged.news;
        if is_away(&subnet) {
            news.retain(|kind| *kind != LOST);
        } else if was_away(subnet) {
            news.retain(|kind| *kind != RECOVERED);
            if one.judged.status == Some(Status::Down) && !news.contains(&LOST) {
                news.push(LOST);
            }
        }
    }
    let away = subnets.iter().filter(|(subnet, _)| is_away(subnet));
    away.map(|(subnet, (devices, _))| (*subnet, devices.len()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::judgement::tests::{down, up};
    use super::*;

    fn tested(id: i64, address: &str, is_up: bool, news: &[&'static str]) -> Tested {
        let (way, mut judged) = if is_up { up() } else { down() };
        judged.news = news.to_vec();
        Tested {
            device: InventoryId(id),
            subnet: Subnet::of(address),
            way,
            judged,
        }
    }

    fn told(tested: &[Tested]) -> Vec<(i64, Vec<&'static str>)> {
        let told = tested.iter().filter(|one| !one.judged.news.is_empty());
        told.map(|one| (one.device.0, one.judged.news.clone()))
            .collect()
    }

    #[test]
    fn addresses_are_in_their_subnets() {
        for (address, subnet) in [
            ("192.0.2.7", Some("192.0.2.0/24")),
            ("::ffff:192.0.2.9", Some("192.0.2.0/24")),
            ("2001:db8:1:2:3::4", Some("2001:db8:1:2::/64")),
            ("web-1.example.org", None),
        ] {
            let found = Subnet::of(address).map(|subnet| subnet.to_string());
            assert_eq!(found.as_deref(), subnet, "{address}");
        }
    }

    #[test]
    fn a_subnet_that_went_is_told_once_and_what_stays_away_after_it() {
        let mut round = [
            tested(1, "192.0.2.1", false, &[LOST]),
            tested(2, "192.0.2.2", false, &[LOST]),
            tested(3, "192.0.2.3", false, &[]),
            tested(4, "198.51.100.1", false, &[LOST]),
            tested(5, "198.51.100.2", false, &[LOST]),
            tested(6, "198.51.100.3", true, &[]),
            tested(7, "203.0.113.1", false, &[LOST]),
            tested(8, "a.example.org", false, &[LOST]),
        ];
        let away = settle(&mut round, 3, |_| false);
        let names: Vec<_> = away
            .iter()
            .map(|(net, many)| (net.to_string(), *many))
            .collect();
        assert_eq!(names, [("192.0.2.0/24".to_owned(), 3)]);
        let one = |id| (id, vec![LOST]);
        assert_eq!(told(&round), [one(4), one(5), one(7), one(8)]);

        let was = Subnet::of("192.0.2.0").unwrap();
        let mut round = [
            tested(1, "192.0.2.1", true, &[RECOVERED]),
            tested(2, "192.0.2.2", false, &[]),
            tested(3, "192.0.2.3", true, &[RECOVERED]),
            tested(4, "198.51.100.1", true, &[RECOVERED]),
        ];
        assert!(settle(&mut round, 3, |subnet| subnet == was).is_empty());
        assert_eq!(told(&round), [(2, vec![LOST]), (4, vec![RECOVERED])]);
    }
}
