//! Source addresses: what `--source-ips` names, which of it a host owns, and which of that leads nowhere. Pure.

use crate::plan::SourceRange;
use std::net::IpAddr;
use swarm_agent::wire::message::{DroppedSource, Hello};
use swarm_agent::wire::share::Target;

/// Addresses that one host uses at most.
const MOST: usize = 4096;

/// The addresses that `ranges` name, each once, without asking a host; or why they cannot be told.
pub fn named(ranges: &[SourceRange]) -> Result<Vec<IpAddr>, String> {
    let mut found: Vec<IpAddr> = Vec::new();
    for range in ranges {
        let more: Box<dyn Iterator<Item = IpAddr>> = match range {
            SourceRange::One(address) => Box::new(std::iter::once(*address)),
            SourceRange::Net(net) => Box::new(net.hosts()),
            SourceRange::Range(first, last) => Box::new(between(*first, *last)),
            SourceRange::Interface(name) => {
                return Err(format!(
                    "iface:{name}: no host is asked for its addresses here; name them"
                ));
            }
        };
        // one more than may be tells that there are too many
        let more: Vec<IpAddr> = more.take(MOST + 1).collect();
        found.extend(more);
        if found.len() > MOST {
            return Err(format!("more than {MOST} addresses"));
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|address| seen.insert(*address));
    Ok(found)
}

/// The addresses of `ranges` that the host owns: those of its interfaces, and all of 127.0.0.0/8. Network and broadcast
/// addresses of an IPv4 network are left out.
pub fn owned(ranges: &[SourceRange], hello: &Hello) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    for range in ranges {
        let more: Vec<IpAddr> = match range {
            SourceRange::One(address) => owns(hello, *address).then_some(*address).into_iter().collect(),
            SourceRange::Net(net) => inside(hello, |address| net.contains(&address), net.hosts()),
            SourceRange::Range(first, last) => inside(
                hello,
                |address| (*first..=*last).contains(&address),
                between(*first, *last),
            ),
            SourceRange::Interface(name) => hello
                .interfaces
                .iter()
                .filter(|(n, a)| n == name && !is_link_local(a))
                .map(|(_, a)| *a)
                .collect(),
        };
        for address in more.into_iter().take(MOST.saturating_sub(found.len())) {
            if !found.contains(&address) {
                found.push(address);
            }
        }
    }
    found
}

/// The addresses that a host uses: of its own ranges, where its list names some, else of the run's. `None`: it owns none of
/// those named, or has not said what it owns.
pub fn of_host(own: &[SourceRange], of_run: &[SourceRange], hello: Option<&Hello>) -> Option<Vec<IpAddr>> {
    let ranges = if own.is_empty() { of_run } else { own };
    let owned = hello.map(|hello| owned(ranges, hello));
    owned.filter(|owned| ranges.is_empty() || !owned.is_empty())
}

/// An address that was named singly and is none of those in use: it must be somebody's.
pub fn unowned(of_run: &[SourceRange], in_use: &[IpAddr]) -> Option<IpAddr> {
    of_run.iter().find_map(|range| match range {
        SourceRange::One(address) if !in_use.contains(address) => Some(*address),
        _ => None,
    })
}

/// One sentence for each target and cause that made an agent drop sources, with their addresses and the way out.
pub fn without_path(targets: &[Target], dropped: &[DroppedSource]) -> Vec<String> {
    let mut alike: Vec<(&DroppedSource, Vec<String>)> = Vec::new();
    for one in dropped {
        let same = |(known, _): &&mut (&DroppedSource, Vec<String>)| {
            (known.target, known.address, &known.why) == (one.target, one.address, &one.why)
        };
        match alike.iter_mut().find(same) {
            Some((_, sources)) => sources.push(one.source.to_string()),
            None => alike.push((one, vec![one.source.to_string()])),
        }
    }
    let sentence = |(one, sources): (&DroppedSource, Vec<String>)| {
        let (has, is, give) = if sources.len() == 1 {
            (
                "has",
                "is",
                "it an Elastic IP (swarm up --source-eips), or leave it out",
            )
        } else {
            (
                "have",
                "are",
                "each an Elastic IP (swarm up --source-eips), or leave them out",
            )
        };
        let url = targets
            .get(usize::from(one.target))
            .map_or("?", |target| target.url.as_str());
        format!(
            "source {} {has} no path to {url} at {} ({}) and {is} not used: in EC2 give {give} of --source-ips",
            sources.join(", "),
            one.address,
            one.why
        )
    };
    alike.into_iter().map(sentence).collect()
}

fn owns(hello: &Hello, address: IpAddr) -> bool {
    let loopback = matches!(address, IpAddr::V4(v4) if v4.is_loopback());
    loopback || hello.interfaces.iter().any(|(_, own)| *own == address)
}

/// The host's own addresses that the range holds, in the range's order for loopback ones, which are all ours.
fn inside(hello: &Hello, holds: impl Fn(IpAddr) -> bool, all: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut own: Vec<IpAddr> = hello
        .interfaces
        .iter()
        .map(|(_, a)| *a)
        .filter(|a| holds(*a) && !a.is_loopback())
        .collect();
    own.sort();
    own.extend(all.take(MOST).take_while(|address| address.is_loopback()));
    own
}

fn between(first: IpAddr, last: IpAddr) -> impl Iterator<Item = IpAddr> {
    let mut next = Some(first);
    std::iter::from_fn(move || {
        let now = next?;
        next = match (now < last, now) {
            (true, IpAddr::V4(v4)) => u32::from(v4).checked_add(1).map(|n| IpAddr::V4(n.into())),
            (true, IpAddr::V6(v6)) => u128::from(v6).checked_add(1).map(|n| IpAddr::V6(n.into())),
            (false, _) => None,
        };
        Some(now)
    })
}

fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        let interfaces = [
            ("lo", "127.0.0.1"),
            ("eth0", "10.0.0.5"),
            ("eth0", "10.0.0.9"),
            ("eth0", "fe80::1"),
        ];
        Hello {
            build: String::new(),
            pid: 1,
            cores: 1,
            memory: 0,
            files: 1024,
            ports: (1, 2),
            interfaces: interfaces
                .iter()
                .map(|(n, a)| ((*n).to_owned(), a.parse().unwrap()))
                .collect(),
        }
    }

    fn addresses(words: &[&str]) -> Vec<IpAddr> {
        words.iter().map(|word| word.parse().unwrap()).collect()
    }

    #[test]
    fn a_host_uses_what_it_owns() {
        let range = |a: &str, b: &str| SourceRange::Range(a.parse().unwrap(), b.parse().unwrap());
        let table = [
            (
                range("127.0.0.2", "127.0.0.4"),
                vec!["127.0.0.2", "127.0.0.3", "127.0.0.4"],
            ),
            (range("10.0.0.1", "10.0.0.7"), vec!["10.0.0.5"]),
            (
                SourceRange::Net("10.0.0.0/24".parse().unwrap()),
                vec!["10.0.0.5", "10.0.0.9"],
            ),
            (
                SourceRange::Net("127.0.0.8/30".parse().unwrap()),
                vec!["127.0.0.9", "127.0.0.10"],
            ),
            (SourceRange::One("10.0.0.6".parse().unwrap()), vec![]),
            (SourceRange::Interface("eth0".into()), vec!["10.0.0.5", "10.0.0.9"]),
        ];
        for (range, expected) in table {
            assert_eq!(
                owned(std::slice::from_ref(&range), &hello()),
                addresses(&expected),
                "{range:?}"
            );
        }
    }

    #[test]
    fn named_addresses_are_those_of_all_ranges_once() {
        let net = |text: &str| SourceRange::Net(text.parse().unwrap());
        let one = SourceRange::One("10.0.0.2".parse().unwrap());
        assert_eq!(
            named(&[one, net("10.0.0.0/30"), net("2001:db8::/127")]),
            Ok(addresses(&["10.0.0.2", "10.0.0.1", "2001:db8::", "2001:db8::1"]))
        );
        assert!(named(&[net("10.0.0.0/8")]).unwrap_err().contains("more than 4096"));
        assert!(
            named(&[SourceRange::Interface("eth0".into())])
                .unwrap_err()
                .contains("iface:eth0")
        );
    }

    #[test]
    fn sources_without_a_path_are_told_together_by_target_and_cause() {
        use swarm_agent::wire::message::NoPath;
        let dropped = |source: &str, why: NoPath| DroppedSource {
            source: source.parse().unwrap(),
            target: 0,
            address: "192.0.2.1:443".parse().unwrap(),
            why,
        };
        let target = Target {
            url: "https://app.test/".into(),
            tls: true,
            host: "app.test".into(),
            port: 443,
            path: "/".into(),
            authority: "app.test".into(),
            weight: 1,
            connect_to: None,
            fallback: Vec::new(),
        };
        let all = [
            dropped("10.0.0.6", NoPath::Silent { after_ms: 5000 }),
            dropped("10.0.0.7", NoPath::Unreachable("Network is unreachable".into())),
            dropped("10.0.0.8", NoPath::Silent { after_ms: 5000 }),
        ];
        assert_eq!(
            without_path(&[target], &all),
            [
                "source 10.0.0.6, 10.0.0.8 have no path to https://app.test/ at 192.0.2.1:443 (no answer within 5.0 s) and are not used: in EC2 give each an Elastic IP (swarm up --source-eips), or leave them out of --source-ips",
                "source 10.0.0.7 has no path to https://app.test/ at 192.0.2.1:443 (unreachable: Network is unreachable) and is not used: in EC2 give it an Elastic IP (swarm up --source-eips), or leave it out of --source-ips",
            ]
        );
        assert!(without_path(&[], &[]).is_empty());
    }
}
