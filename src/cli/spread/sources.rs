//! The sources of a prediction: what flags, lists, names and the ledger say about addresses. Never here: hosts themselves, AWS.

use super::SpreadCommand;
use crate::cli::crew_args::source_ranges;
use crate::error::{Error, Exit};
use crate::fleet::host::Host;
use crate::fleet::ledger::{FleetFolder, Ledger};
use crate::show::spread::Source;
use crate::source;
use crate::split;
use crate::state::State;
use std::net::IpAddr;
use std::time::Duration;

/// How long a name may take.
const LOOK_UP: Duration = Duration::from_secs(5);

/// The sources, and what is in doubt about them.
pub(super) async fn sources(command: &SpreadCommand) -> Result<(Vec<Source>, Vec<String>), Error> {
    let hosts = command.from.hosts()?;
    let mut groups: Vec<Group> = Vec::new();
    let mut notes = Vec::new();
    if !command.ranges.is_empty() {
        let addresses =
            source::named(&command.ranges).map_err(|error| Error::Usage(format!("--source-ips: {error}").into()))?;
        groups.push(Group::of(None, 1, addresses));
        if !hosts.is_empty() || command.from.fleet.is_some() {
            notes.push("only --source-ips counts: no host is asked which of these addresses it owns".to_owned());
        }
    } else {
        if let Some(name) = &command.from.fleet {
            groups.extend(of_fleet(name)?);
        }
        for host in &hosts {
            groups.push(of_host(host).await?);
        }
    }
    if groups.iter().flat_map(|group| &group.addresses).any(is_private) {
        notes.push(
            "private addresses are translated (NAT) on their way to a public balancer, which then sees others: what is \
             said here holds for a balancer that sees these"
                .to_owned(),
        );
    }
    Ok((dealt(groups, command.clients), notes))
}

/// The sources of one host.
struct Group {
    host: Option<String>,
    weight: u32,
    addresses: Vec<IpAddr>,
}

impl Group {
    fn of(host: Option<String>, weight: u32, addresses: Vec<IpAddr>) -> Self {
        Self {
            host,
            weight,
            addresses,
        }
    }
}

/// Deals the clients as an attack does: over the hosts by weight, then over each host's sources in turn.
fn dealt(groups: Vec<Group>, clients: Option<u64>) -> Vec<Source> {
    let weights: Vec<u32> = groups.iter().map(|group| group.weight).collect();
    let deals = split::deals_within(&weights, u64::MAX);
    let mut all: Vec<Source> = Vec::new();
    for (group, deal) in groups.iter().zip(deals) {
        let mine = clients.map(|n| deal.count(n));
        let several = group.addresses.len() as u64;
        for (at, address) in group.addresses.iter().enumerate() {
            let part = mine.map(|n| n / several + u64::from((at as u64) < n % several));
            match all.iter_mut().find(|source| source.address == *address) {
                // two hosts of one address are one source
                Some(known) => {
                    known.clients = known.clients.zip(part).map(|(a, b)| a + b);
                    if let (Some(name), Some(more)) = (&mut known.host, &group.host) {
                        name.push_str(&format!(", {more}"));
                    }
                }
                None => all.push(Source {
                    address: *address,
                    host: group.host.clone(),
                    clients: part,
                }),
            }
        }
    }
    all
}

async fn of_host(host: &Host) -> Result<Group, Error> {
    let addresses = match &host.sources {
        Some(typed) => {
            let named = source_ranges(typed).and_then(|ranges| source::named(&ranges));
            named.map_err(|error| Error::Hosts(format!("{}: sources={typed}: {error}", host.origin).into()))?
        }
        None => vec![resolved(host).await?],
    };
    Ok(Group::of(Some(host.name.clone()), host.weight, addresses))
}

async fn resolved(host: &Host) -> Result<IpAddr, Error> {
    if let Ok(address) = host.address.parse() {
        return Ok(address);
    }
    let unknown = |why: String| {
        Error::Hosts(
            format!(
                "{}: {} has no address here ({why}): an alias of your ssh configuration? name the address, or --source-ips",
                host.origin, host.name
            )
            .into(),
        )
    };
    let looked = tokio::time::timeout(LOOK_UP, tokio::net::lookup_host((host.address.as_str(), 0))).await;
    let found: Vec<IpAddr> = looked
        .map_err(|_| unknown("no answer in 5 s".to_owned()))?
        .map_err(|error| unknown(error.to_string()))?
        .map(|address| address.ip())
        .collect();
    let preferred = found.iter().find(|address| address.is_ipv4()).or(found.first());
    preferred.copied().ok_or_else(|| unknown("none".to_owned()))
}

/// A fleet's hosts as the ledger has them: the addresses that a public balancer sees.
fn of_fleet(name: &str) -> Result<Vec<Group>, Error> {
    let state = State::real()?;
    let folder = FleetFolder(state.fleet(name)?);
    let ledger = Ledger::read(&folder)?.ok_or_else(|| Error::Fleet {
        text: format!("--fleet {name}: not known on this machine: `swarm status` lists what there is"),
        exit: Exit::Usage,
    })?;
    let groups: Vec<Group> = ledger
        .public_sources()
        .into_iter()
        .map(|(id, addresses)| Group::of(Some(id), 1, addresses))
        .collect();
    match groups.is_empty() {
        true => Err(Error::Fleet {
            text: format!(
                "--fleet {name}: none of its hosts has an address yet: `swarm up -s N --fleet {name}` makes some"
            ),
            exit: Exit::Usage,
        }),
        false => Ok(groups),
    }
}

fn is_private(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private(),
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_dealt_over_hosts_and_then_over_their_sources() {
        let group = |host: &str, weight, addresses: &[&str]| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
            Group::of(Some(host.to_owned()), weight, addresses)
        };
        let clients = |groups: Vec<Group>, n| -> Vec<(String, u64)> {
            let sources = dealt(groups, Some(n));
            sources
                .into_iter()
                .map(|source| (source.address.to_string(), source.clients.unwrap()))
                .collect()
        };
        let row = |address: &str, n: u64| (address.to_owned(), n);
        assert_eq!(
            clients(
                vec![group("a", 1, &["10.0.0.1", "10.0.0.2"]), group("b", 1, &["10.0.0.3"])],
                7
            ),
            [row("10.0.0.1", 2), row("10.0.0.2", 2), row("10.0.0.3", 3)]
        );
        assert_eq!(
            clients(vec![group("a", 2, &["10.0.0.1"]), group("b", 1, &["10.0.0.3"])], 9),
            [row("10.0.0.1", 6), row("10.0.0.3", 3)]
        );
        // two hosts behind one address are one source
        let both = dealt(
            vec![group("a", 1, &["10.0.0.1"]), group("b", 1, &["10.0.0.1"])],
            Some(10),
        );
        assert_eq!(both.len(), 1);
        assert_eq!((both[0].clients, both[0].host.as_deref()), (Some(10), Some("a, b")));
    }

    #[tokio::test]
    async fn names_and_lists_of_sources_become_addresses() {
        use crate::fleet::hostlist;
        let hosts = hostlist::from_text(
            "localhost\nroot@h sources=10.0.0.1-10.0.0.3\n[::1]:2222\nh2 sources=iface:eth1",
            "f",
        )
        .unwrap();
        let group = of_host(&hosts[0]).await.unwrap();
        assert!(group.addresses[0].is_loopback());
        assert_eq!(of_host(&hosts[1]).await.unwrap().addresses.len(), 3);
        assert_eq!(
            of_host(&hosts[2]).await.unwrap().addresses,
            ["::1".parse::<IpAddr>().unwrap()]
        );
        let error = of_host(&hosts[3]).await.err().unwrap().chain();
        assert!(
            error.contains("f, line 4: sources=iface:eth1: iface:eth1: no host is asked"),
            "{error}"
        );
    }
}
