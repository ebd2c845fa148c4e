//! The name: its addresses on each host, and whether each of them answers. Judged from what was seen.

use super::aim::Aim;
use super::finding::{Code, Finding, Step};
use super::scout::{Origin, Scout};
use super::walk::list;
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use swarm_agent::wire::fault::{Fault, FaultKind};
use swarm_agent::wire::look::{Order, Sight, Way};

/// A connection to one address may take so long: one lost SYN is sent again after 1 s.
const LONGEST: Duration = Duration::from_secs(3);
/// Addresses that are tried from one host.
const MOST: usize = 16;

/// What the name stands for, host by host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Places of hosts and their names.
    pub hosts: Vec<(usize, String)>,
    /// Addresses, or why there are none; in the order of `hosts`.
    pub found: Vec<Result<Vec<IpAddr>, String>>,
}

impl Resolved {
    /// All addresses, each once.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let all: BTreeSet<IpAddr> = self.found.iter().flatten().flatten().copied().collect();
        all.into_iter().collect()
    }
}

/// Asks every host. `fallback`: what this machine knows, for hosts without a resolver.
pub async fn resolve<S: Scout>(scout: &S, aim: &Aim, origins: &[Origin]) -> Resolved {
    let mut firsts: Vec<&Origin> = Vec::new();
    for origin in origins {
        if firsts.iter().all(|known| known.place != origin.place) {
            firsts.push(origin);
        }
    }
    let host = dialed(aim);
    let asked = firsts.iter().map(|origin| async {
        let order = Order::Resolve { host: host.clone() };
        match scout.look(origin, aim.limit, order).await {
            Ok(Sight::Resolved(addresses)) if !addresses.is_empty() => Ok(addresses),
            Ok(_) if !aim.target.fallback.is_empty() => Ok(aim.target.fallback.clone()),
            Err(_) if !aim.target.fallback.is_empty() => Ok(aim.target.fallback.clone()),
            Ok(_) => Err("it has no address".to_owned()),
            Err(fault) => Err(fault.detail),
        }
    });
    Resolved {
        found: join_all(asked).await,
        hosts: firsts
            .iter()
            .map(|origin| (origin.place, origin.host.clone()))
            .collect(),
    }
}

fn dialed(aim: &Aim) -> String {
    let bent = aim.target.connect_to.as_ref();
    bent.map_or(aim.target.host.clone(), |(host, _)| host.clone())
}

/// One address tried from one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The host's name.
    pub host: String,
    /// The address.
    pub address: SocketAddr,
    /// `None`: it answered.
    pub fault: Option<Fault>,
}

/// What came of it.
pub struct Ground {
    /// What is to be told.
    pub findings: Vec<Finding>,
    /// Origins that reach the target, and the address that each of them uses.
    pub ways: Vec<(Origin, IpAddr)>,
    /// Connections that were made.
    pub asked: u32,
}

/// Tries every address from every host, then the first that answers from every origin.
pub async fn reach<S: Scout>(scout: &S, aim: &Aim, origins: &[Origin], resolved: &Resolved) -> Ground {
    let port = aim.target.dialed_port();
    let connect = |origin: Origin, address: IpAddr| async move {
        let to = SocketAddr::new(address, port);
        let way = Way {
            to,
            source: origin.source,
            tls: None,
        };
        let fault = scout.look(&origin, LONGEST, Order::Connect(way)).await.err();
        Tried {
            host: origin.host,
            address: to,
            fault,
        }
    };
    let mut tries = Vec::new();
    for ((place, _), found) in resolved.hosts.iter().zip(&resolved.found) {
        for address in found.iter().flatten().take(MOST) {
            let fits = |origin: &&Origin| origin.place == *place && of_family(origin, *address);
            if let Some(origin) = origins.iter().find(fits) {
                tries.push((origin.clone(), *address));
            }
        }
    }
    let tried = join_all(tries.iter().map(|(origin, address)| connect(origin.clone(), *address))).await;
    let mut wanted = Vec::new();
    for origin in origins {
        let answers = |(by, address): &(&(Origin, IpAddr), &Tried)| {
            by.0.place == origin.place && address.fault.is_none() && of_family(origin, by.1)
        };
        let mut usable: Vec<IpAddr> = tries.iter().zip(&tried).filter(answers).map(|(by, _)| by.1).collect();
        usable.sort_by_key(IpAddr::is_ipv6);
        if let Some(first) = usable.first() {
            wanted.push((origin.clone(), *first));
        }
    }
    let from_each = join_all(wanted.iter().map(|(origin, address)| connect(origin.clone(), *address))).await;
    let asked = u32::try_from(tried.len() + from_each.len()).unwrap_or(u32::MAX);
    let (mut ways, mut cut_off) = (Vec::new(), Vec::new());
    for (way, tried) in wanted.into_iter().zip(&from_each) {
        match &tried.fault {
            None => ways.push(way),
            Some(fault) => cut_off.push(format!("{}: {}", way.0, fault.detail)),
        }
    }
    Ground {
        findings: judge(&dialed(aim), resolved, &tried, &cut_off),
        ways,
        asked,
    }
}

fn of_family(origin: &Origin, address: IpAddr) -> bool {
    origin.source.is_none_or(|source| source.is_ipv4() == address.is_ipv4())
}

/// What is said of it.
pub fn judge(name: &str, resolved: &Resolved, tried: &[Tried], cut_off: &[String]) -> Vec<Finding> {
    let missing: Vec<String> = resolved
        .hosts
        .iter()
        .zip(&resolved.found)
        .filter_map(|((_, host), found)| found.as_ref().err().map(|why| format!("{host}: {why}")))
        .collect();
    if !missing.is_empty() {
        let seen = format!("{name} has no address on {}", list(&missing, 3));
        let why = if missing.len() < resolved.hosts.len() {
            "the other hosts know it: their resolvers differ"
        } else {
            "clients can't find the service at all"
        };
        return vec![Finding::fail(Step::Dns, Code::NameNotFound, seen).because(why)];
    }
    // a host without a route of that family says nothing about the address
    let told: Vec<&Tried> = tried
        .iter()
        .filter(|one| !is_hosts_own(one) && !is_other_loopback(one, tried))
        .collect();
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for tried in &told {
        if !addresses.contains(&tried.address) {
            addresses.push(tried.address);
        }
    }
    let dead: Vec<String> = told
        .iter()
        .filter_map(|tried| {
            let fault = tried.fault.as_ref()?;
            let from = if resolved.hosts.len() > 1 {
                format!(" from {}", tried.host)
            } else {
                String::new()
            };
            Some(format!("{}{from}: {}", tried.address, fault.detail))
        })
        .collect();
    let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    if told.is_empty() {
        let seen = format!("{name}: no address that this host has a way to");
        return vec![Finding::fail(Step::Dns, Code::UnreachableAddress, seen)];
    }
    if !dead.is_empty() {
        let seen = format!(
            "{} of {} answer; {}",
            told.iter().filter(|tried| tried.fault.is_none()).count(),
            told.len(),
            list(&dead, 3)
        );
        let why = if told.iter().all(|tried| tried.fault.is_some()) {
            "nobody can connect"
        } else {
            "clients take the addresses of a name in turn: some of them get this one first"
        };
        return vec![Finding::fail(Step::Dns, Code::UnreachableAddress, seen).because(why)];
    }
    let mut seen = format!(
        "{} {}",
        list(&shown, 4),
        if shown.len() == 1 { "answers" } else { "answer" }
    );
    if !cut_off.is_empty() {
        seen.push_str(&format!("; left out, without a way to it: {}", list(cut_off, 3)));
    }
    vec![Finding::pass(Step::Dns, seen)]
}

fn is_hosts_own(tried: &Tried) -> bool {
    let Some(fault) = &tried.fault else { return false };
    let no_route = fault.kind == FaultKind::ConnectFailed && fault.detail.contains("Network is unreachable");
    let unusable = matches!(
        fault.kind,
        FaultKind::PortExhausted | FaultKind::FilesExhausted | FaultKind::Local
    );
    (tried.address.is_ipv6() && no_route) || unusable
}

/// `localhost` stands for ::1 as well, on which hardly anything listens: every client knows that.
fn is_other_loopback(one: &Tried, all: &[Tried]) -> bool {
    let loopback = |tried: &Tried| tried.address.ip().is_loopback();
    let answers = |tried: &Tried| tried.fault.is_none() && loopback(tried) && tried.address.is_ipv4();
    one.fault.is_some() && loopback(one) && one.address.is_ipv6() && all.iter().any(answers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::Verdict;

    fn resolved(found: &[Result<&[&str], &str>]) -> Resolved {
        Resolved {
            hosts: (0..found.len())
                .map(|place| (place, format!("h{}", place + 1)))
                .collect(),
            found: found
                .iter()
                .map(|one| match one {
                    Ok(addresses) => Ok(addresses.iter().map(|a| a.parse().unwrap()).collect()),
                    Err(why) => Err((*why).to_owned()),
                })
                .collect(),
        }
    }

    fn tried(address: &str, fault: Option<FaultKind>) -> Tried {
        let detail = match fault {
            Some(FaultKind::ConnectFailed) => "Network is unreachable (os error 101)",
            _ => "Connection refused",
        };
        Tried {
            host: "h1".into(),
            address: address.parse().unwrap(),
            fault: fault.map(|kind| Fault::new(kind, detail)),
        }
    }

    #[test]
    fn names_and_addresses_are_judged() {
        let two: &[&str] = &["127.0.0.1", "127.0.0.9"];
        let refused = Some(FaultKind::ConnectRefused);
        let table = [
            (
                resolved(&[Ok(two)]),
                vec![tried("127.0.0.1:80", None), tried("127.0.0.9:80", None)],
                (Verdict::Pass, None),
            ),
            (
                resolved(&[Ok(two)]),
                vec![tried("127.0.0.1:80", None), tried("127.0.0.9:80", refused)],
                (Verdict::Fail, Some(Code::UnreachableAddress)),
            ),
            (
                resolved(&[Ok(&["127.0.0.1", "::1"])]),
                vec![tried("127.0.0.1:80", None), tried("[::1]:80", refused)],
                (Verdict::Pass, None),
            ),
            (
                resolved(&[Err("no record")]),
                vec![],
                (Verdict::Fail, Some(Code::NameNotFound)),
            ),
            (
                resolved(&[Ok(two), Err("no record")]),
                vec![tried("127.0.0.1:80", None)],
                (Verdict::Fail, Some(Code::NameNotFound)),
            ),
            (
                resolved(&[Ok(&["127.0.0.1", "2001:db8::1"])]),
                vec![
                    tried("127.0.0.1:80", None),
                    tried("[2001:db8::1]:80", Some(FaultKind::ConnectFailed)),
                ],
                (Verdict::Pass, None),
            ),
        ];
        for (resolved, tried, (verdict, code)) in table {
            let findings = judge("chat.test", &resolved, &tried, &[]);
            assert_eq!(findings.len(), 1);
            assert_eq!((findings[0].verdict, findings[0].code), (verdict, code), "{tried:?}");
        }
    }

    #[test]
    fn a_dead_address_is_named() {
        let all = [
            tried("127.0.0.1:80", None),
            tried("127.0.0.9:80", Some(FaultKind::ConnectRefused)),
        ];
        let seen = judge("x", &resolved(&[Ok(&["127.0.0.1", "127.0.0.9"])]), &all, &[])[0]
            .seen
            .clone();
        assert_eq!(seen, "1 of 2 answer; 127.0.0.9:80: Connection refused");
    }
}
