//! As whom the sources are seen by the other side: what several of them share, and what one of them changes.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// Sources that are told by name; of the rest only how many.
const NAMED: usize = 4;

/// One source.
#[derive(Debug, Clone, Copy)]
pub struct SeenAs<'a> {
    /// Host.
    pub host: &'a str,
    /// Its own address.
    pub address: IpAddr,
    /// As what it was seen.
    pub seen: &'a [IpAddr],
}

/// Addresses that several sources share, in words: to a balancer that goes by addresses they are one. Those that really are
/// one address, on one machine, are not told.
pub fn shared(sources: &[SeenAs<'_>]) -> Vec<String> {
    let mut by_address: BTreeMap<IpAddr, Vec<&SeenAs<'_>>> = BTreeMap::new();
    for source in sources {
        for seen in source.seen {
            by_address.entry(*seen).or_default().push(source);
        }
    }
    by_address
        .into_iter()
        .filter(|(seen, those)| those.len() > 1 && those.iter().any(|source| source.address != *seen))
        .map(|(seen, those)| {
            let names: Vec<String> = those
                .iter()
                .take(NAMED)
                .map(|source| format!("{} of {}", source.address, source.host))
                .collect();
            let rest = those.len() - names.len();
            let names = match rest {
                0 => {
                    let (last, first) = names.split_last().expect("there are two at least");
                    format!("{} and {last}", first.join(", "))
                }
                rest => format!("{} and {rest} more", names.join(", ")),
            };
            format!("{names} are seen as one address, {seen}: there is a translation (NAT) or a relay in the way")
        })
        .collect()
}

/// Sources that are seen as several addresses, in words.
pub fn changing(sources: &[SeenAs<'_>]) -> Vec<String> {
    sources
        .iter()
        .filter(|source| source.seen.len() > 1)
        .map(|source| {
            let addresses: Vec<String> = source.seen.iter().take(NAMED).map(IpAddr::to_string).collect();
            let more = if source.seen.len() > NAMED { " and others" } else { "" };
            format!(
                "{} of {} is seen as different addresses: {}{more}",
                source.address,
                source.host,
                addresses.join(", ")
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn what_is_shared_or_changes_is_told() {
        let nat = [ip(99)];
        let many = [ip(5), ip(6)];
        let own = [ip(1)];
        let source = |host: &'static str, address: u8, seen: &'static [IpAddr]| SeenAs {
            host,
            address: ip(address),
            seen,
        };
        let (nat, many, own): (&'static [IpAddr], &'static [IpAddr], &'static [IpAddr]) = (
            Box::leak(Box::new(nat)),
            Box::leak(Box::new(many)),
            Box::leak(Box::new(own)),
        );
        // as itself, unknown, and two agents of one machine: nothing to tell
        let quiet = [source("h1", 1, own), source("h1", 2, &[]), source("local-2", 1, own)];
        assert!(shared(&quiet).is_empty() && changing(&quiet).is_empty());
        let shared_by = shared(&[source("h1", 1, nat), source("h2", 2, nat), source("h3", 3, many)]);
        assert_eq!(
            shared_by,
            [
                "10.0.0.1 of h1 and 10.0.0.2 of h2 are seen as one address, 10.0.0.99: there is a translation (NAT) or a \
              relay in the way"
            ]
        );
        // one of them is the relay itself
        assert_eq!(shared(&[source("h1", 1, own), source("h2", 2, own)]).len(), 1);
        // equal private addresses behind one NAT
        assert_eq!(shared(&[source("h1", 1, nat), source("h2", 1, nat)]).len(), 1);
        let crowd: Vec<SeenAs<'_>> = (1..8).map(|n| source("h", n, nat)).collect();
        assert!(
            shared(&crowd)[0].contains("10.0.0.4 of h and 3 more are seen"),
            "{:?}",
            shared(&crowd)
        );
        assert_eq!(
            changing(&[source("h3", 3, many), source("h1", 1, nat)]),
            ["10.0.0.3 of h3 is seen as different addresses: 10.0.0.5, 10.0.0.6"]
        );
    }
}
