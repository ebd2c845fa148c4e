//! The addresses of this host's interfaces, from `/proc/net`. glibc's `getifaddrs` would read the wall clock (it numbers
//! its netlink requests by it), which the agent never does. Without `/proc` there are none.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Interfaces and their addresses; one whose interface cannot be told has the name `?`.
pub fn read() -> Vec<(String, IpAddr)> {
    let text = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let routes = routes(&text("/proc/net/route"));
    let v4 = locals(&text("/proc/net/fib_trie"))
        .into_iter()
        .map(|address| (interface(&routes, address), IpAddr::V4(address)));
    v4.chain(v6(&text("/proc/net/if_inet6"))).collect()
}

/// Addresses that the routing trie holds as this host's own: `|-- ADDRESS` followed by `/32 host LOCAL`.
fn locals(trie: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut last = None;
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
        } else if let (true, Some(address)) = (line.starts_with("/32 host LOCAL"), last)
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

/// A route of a network that an interface is in.
struct Route {
    interface: String,
    network: u32,
    mask: u32,
}

/// Routes without a gateway: `Iface Destination Gateway Flags RefCnt Use Metric Mask ...`, numbers in hexadecimal as
/// they lie in memory.
fn routes(table: &str) -> Vec<Route> {
    let number = |word: &str| {
        u32::from_str_radix(word, 16)
            .ok()
            .map(|n| u32::from_be_bytes(n.to_le_bytes()))
    };
    let route = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (network, gateway, mask) = (number(words.get(1)?)?, number(words.get(2)?)?, number(words.get(7)?)?);
        (gateway == 0).then(|| Route {
            interface: words[0].to_owned(),
            network,
            mask,
        })
    };
    table.lines().skip(1).filter_map(route).collect()
}

/// The interface whose network holds the address, the smallest network first.
fn interface(routes: &[Route], address: Ipv4Addr) -> String {
    if address.is_loopback() {
        return "lo".to_owned();
    }
    let holds = |route: &&Route| u32::from(address) & route.mask == route.network && route.mask != 0;
    routes
        .iter()
        .filter(holds)
        .max_by_key(|route| route.mask)
        .map_or_else(|| "?".to_owned(), |route| route.interface.clone())
}

/// `00000000000000000000000000000001 01 80 10 80 lo`
fn v6(table: &str) -> Vec<(String, IpAddr)> {
    let address = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = u128::from_str_radix(words.first()?, 16).ok()?;
        Some(((*words.get(5)?).to_owned(), IpAddr::V6(Ipv6Addr::from(number))))
    };
    table.lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_told_from_networks_and_broadcasts() {
        let trie = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 10.77.0.1\n        /32 host LOCAL\n     |-- 10.77.0.255\n        /32 link BROADCAST\n     |-- 127.0.0.0\n        /8 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 10.77.0.1\n        /32 host LOCAL\n";
        assert_eq!(locals(trie), [Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::LOCALHOST]);
    }

    #[test]
    fn the_smallest_network_names_the_interface() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\nwide\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\neth0\t00004D0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\neth0\t00000000\tFE004D0A\t0003\t0\t0\t0\t00000000\n";
        let routes = routes(table);
        assert_eq!(interface(&routes, Ipv4Addr::new(10, 77, 0, 9)), "eth0");
        assert_eq!(interface(&routes, Ipv4Addr::new(10, 9, 0, 9)), "wide");
        assert_eq!(interface(&routes, Ipv4Addr::new(192, 0, 2, 1)), "?");
        assert_eq!(interface(&routes, Ipv4Addr::LOCALHOST), "lo");
    }

    #[test]
    fn version_6_addresses_have_their_interface() {
        assert_eq!(
            v6("fd000000000000000000000000000001 02 40 00 80 eth0\n"),
            [("eth0".to_owned(), "fd00::1".parse().unwrap())]
        );
    }
}
