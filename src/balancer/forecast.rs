//! What a rule makes of a list of sources: who reaches what, who stays idle, and which addresses would fill the gaps. Pure.

use super::chance;
use super::rule::{Dealer, Pool, Rule};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses of one /64 that are looked at for a gap.
const OF_A_NET: u32 = 4096;
/// Networks of a /16 that are looked at beside the hosts' own.
const NETS: u8 = 255;
/// Addresses that are named at most.
const NAMED: u64 = 1024;

/// A rule over servers.
#[derive(Debug, Clone)]
pub struct Balancer {
    /// The rule.
    pub rule: Rule,
    /// The servers.
    pub pool: Pool,
    dealer: Dealer,
    /// It listens on IPv6 for both families, and sees IPv4 sources as `::ffff:a.b.c.d`.
    mapped: bool,
}

impl Balancer {
    /// Refuses what the rule cannot be known for.
    pub fn new(rule: Rule, pool: Pool) -> Result<Self, String> {
        let dealer = rule.over(&pool)?;
        Ok(Self {
            rule,
            pool,
            dealer,
            mapped: false,
        })
    }

    /// The same where it listens on IPv6 for both families.
    pub fn on_both_families(self) -> Self {
        Self { mapped: true, ..self }
    }

    /// Whether it does.
    pub fn is_on_both_families(&self) -> bool {
        self.mapped
    }

    /// The same with one server out.
    pub fn without(&self, name: &str) -> Result<Self, String> {
        let without = Self::new(self.rule, self.pool.without(name)?)?;
        Ok(Self {
            mapped: self.mapped,
            ..without
        })
    }

    /// The server (its place in the pool) that a source reaches; `None`: those that are up take turns.
    pub fn server(&self, source: IpAddr) -> Option<usize> {
        self.dealer.server(self.as_seen(source))
    }

    /// What of a source the rule goes by: sources of one key reach one server.
    pub fn key(&self, source: IpAddr) -> IpAddr {
        self.rule.key(self.as_seen(source))
    }

    fn as_seen(&self, source: IpAddr) -> IpAddr {
        match source {
            IpAddr::V4(v4) if self.mapped => v4.to_ipv6_mapped().into(),
            other => other,
        }
    }

    /// The part of all possible sources that each server gets.
    pub fn shares(&self) -> Vec<f64> {
        self.dealer.shares()
    }

    /// Why a server got none of the sources.
    pub fn why_idle(&self, server: usize) -> String {
        let seen = if self.mapped { " (seen as ::ffff:a.b.c.d)" } else { "" };
        self.dealer.why_idle(server) + seen
    }

    /// The name of a server.
    pub fn name(&self, server: usize) -> &str {
        &self.pool.servers()[server].name
    }
}

/// The sources of a run, by backend.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// Server of each source; `None`: they take turns.
    pub servers: Vec<Option<usize>>,
    /// Sources of each server.
    pub counts: Vec<u64>,
    /// Servers that are up and get nothing.
    pub idle: Vec<usize>,
    /// The fullest server's sources over what its weight lets expect, all that are up counted. Absent without sources.
    pub busiest_over_mean: Option<f64>,
}

/// What would fill a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// More sources.
    pub sources: u64,
    /// The first of them, in the hosts' own networks, with the server that each reaches.
    pub addresses: Vec<(IpAddr, usize)>,
    /// Whether some are in networks beside the hosts' own.
    pub elsewhere: bool,
    /// Servers for which not enough addresses were found.
    pub unfilled: Vec<usize>,
}

/// More hosts whose addresses nobody chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawn {
    /// So that all are reached with 50 %; `None`: more than can be said.
    pub p50: Option<usize>,
    /// 90 %.
    pub p90: Option<usize>,
    /// 99 %.
    pub p99: Option<usize>,
}

/// Who reaches what.
pub fn forecast(balancer: &Balancer, sources: &[IpAddr]) -> Forecast {
    let servers: Vec<Option<usize>> = sources.iter().map(|source| balancer.server(*source)).collect();
    let mut counts = vec![0; balancer.pool.size()];
    servers.iter().flatten().for_each(|server| counts[*server] += 1);
    let total: u32 = balancer.pool.up().map(|(_, server)| server.weight).sum();
    let due = |weight: u32| sources.len() as f64 * f64::from(weight) / f64::from(total);
    let loads = balancer
        .pool
        .up()
        .map(|(at, server)| counts[at] as f64 / due(server.weight));
    Forecast {
        idle: balancer
            .pool
            .up()
            .map(|(at, _)| at)
            .filter(|at| counts[*at] == 0)
            .collect(),
        busiest_over_mean: (!sources.is_empty()).then(|| loads.fold(0.0, f64::max)),
        servers,
        counts,
    }
}

impl Forecast {
    /// Which sources would let each idle server have one.
    pub fn to_reach_all(&self, balancer: &Balancer, sources: &[IpAddr]) -> Gap {
        let need = (0..self.counts.len())
            .map(|at| u64::from(self.idle.contains(&at)))
            .collect();
        fill(balancer, sources, need)
    }

    /// Which sources would give each server its weight's part.
    pub fn to_be_even(&self, balancer: &Balancer, sources: &[IpAddr]) -> Gap {
        let weights = balancer.pool.reduced_weights();
        let rounds = balancer
            .pool
            .up()
            .map(|(at, _)| self.counts[at].div_ceil(u64::from(weights[at])));
        let rounds = rounds.max().unwrap_or(0).max(1);
        let mut need = vec![0; self.counts.len()];
        for (at, _) in balancer.pool.up() {
            need[at] = (rounds * u64::from(weights[at])).saturating_sub(self.counts[at]);
        }
        fill(balancer, sources, need)
    }

    /// How many more hosts reach the idle servers when EC2 picks their addresses.
    pub fn drawn(&self, balancer: &Balancer) -> Drawn {
        let shares = balancer.shares();
        let wanted: Vec<f64> = self.idle.iter().map(|at| shares[*at]).collect();
        let others = 1.0 - wanted.iter().sum::<f64>();
        let hosts = |sure: f64| chance::hosts_for(others, &wanted, sure);
        Drawn {
            p50: hosts(0.5),
            p90: hosts(0.9),
            p99: hosts(0.99),
        }
    }
}

/// Looks for addresses, first in the sources' own networks (/24, /64), then, where these cannot help, in those beside.
fn fill(balancer: &Balancer, sources: &[IpAddr], mut need: Vec<u64>) -> Gap {
    let sum: u64 = need.iter().sum();
    let mut gap = Gap {
        sources: sum,
        addresses: Vec::new(),
        elsewhere: false,
        unfilled: Vec::new(),
    };
    let known: BTreeSet<IpAddr> = sources.iter().copied().collect();
    let own = nets(sources).into_iter().map(|net| (net, false));
    let beside = nets(sources).into_iter().flat_map(around).map(|net| (net, true));
    for (net, elsewhere) in own.chain(beside) {
        if need.iter().all(|n| *n == 0) || gap.addresses.len() as u64 >= NAMED {
            break;
        }
        for address in net.addresses() {
            let Some(server) = balancer.server(address) else {
                continue;
            };
            if need[server] == 0 || known.contains(&address) || gap.addresses.iter().any(|(known, _)| *known == address)
            {
                continue;
            }
            need[server] -= 1;
            gap.addresses.push((address, server));
            gap.elsewhere |= elsewhere;
            if need.iter().all(|n| *n == 0) || gap.addresses.len() as u64 >= NAMED {
                break;
            }
        }
    }
    gap.unfilled = (0..need.len())
        .filter(|at| need[*at] > 0 && (gap.addresses.len() as u64) < NAMED)
        .collect();
    gap
}

/// A network, to be looked through from an address on.
#[derive(Debug, Clone, Copy)]
enum Net {
    V4 { net: [u8; 3], from: u8 },
    V6 { from: u128 },
}

impl Net {
    fn addresses(self) -> Box<dyn Iterator<Item = IpAddr>> {
        match self {
            // neither the network's own address nor that for all
            Self::V4 { net: [a, b, c], from } => Box::new(
                (from..255)
                    .chain(1..from)
                    .filter(|d| *d > 0)
                    .map(move |d| Ipv4Addr::new(a, b, c, d).into()),
            ),
            Self::V6 { from } => {
                let low = from as u64;
                let low = (0..u64::from(OF_A_NET)).map_while(move |n| low.checked_add(n));
                Box::new(low.map(move |low| Ipv6Addr::from(from >> 64 << 64 | u128::from(low)).into()))
            }
        }
    }
}

/// The networks that the sources are in, each from behind its last source on.
fn nets(sources: &[IpAddr]) -> Vec<Net> {
    let mut found: Vec<Net> = Vec::new();
    for source in sources {
        match *source {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                let after = d.saturating_add(1);
                let same = found.iter_mut().find_map(|known| match known {
                    Net::V4 { net, from } if *net == [a, b, c] => Some(from),
                    _ => None,
                });
                match same {
                    Some(from) => *from = after.max(*from),
                    None => found.push(Net::V4 {
                        net: [a, b, c],
                        from: after,
                    }),
                }
            }
            IpAddr::V6(v6) => {
                let after = u128::from(v6).wrapping_add(1);
                let same = found.iter_mut().find_map(|known| match known {
                    Net::V6 { from } if *from >> 64 == after >> 64 => Some(from),
                    _ => None,
                });
                match same {
                    Some(from) => *from = after.max(*from),
                    None => found.push(Net::V6 { from: after }),
                }
            }
        }
    }
    found
}

/// The other /24s of an IPv4 network's /16, the next ones first.
fn around(net: Net) -> impl Iterator<Item = Net> {
    let beside = match net {
        Net::V4 { net: [a, b, c], .. } => Some((1..=NETS).map(move |n| Net::V4 {
            net: [a, b, c.wrapping_add(n)],
            from: 1,
        })),
        Net::V6 { .. } => None,
    };
    beside.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balancer(rule: Rule, backends: &str) -> Balancer {
        Balancer::new(rule, Pool::parse(backends).unwrap()).unwrap()
    }

    fn addresses(words: &str) -> Vec<IpAddr> {
        words.split_whitespace().map(|word| word.parse().unwrap()).collect()
    }

    fn named(gap: &Gap) -> Vec<String> {
        gap.addresses.iter().map(|(address, _)| address.to_string()).collect()
    }

    #[test]
    fn the_gap_is_named_by_the_next_addresses_of_the_hosts_own_network() {
        let three = balancer(Rule::HaproxySource, "3");
        // 10.0.0.x mod 3 is (x + 1) mod 3
        let sources = addresses("10.0.0.2 10.0.0.3 10.0.0.5 10.0.0.6");
        let seen = forecast(&three, &sources);
        assert_eq!(seen.counts, [2, 2, 0]);
        assert_eq!(seen.idle, [2]);
        assert!((seen.busiest_over_mean.unwrap() - 1.5).abs() < 1e-12);
        let reach = seen.to_reach_all(&three, &sources);
        assert_eq!((reach.sources, named(&reach)), (1, vec!["10.0.0.7".to_owned()]));
        let even = seen.to_be_even(&three, &sources);
        assert_eq!(named(&even), ["10.0.0.7", "10.0.0.10"]);
        assert!(!even.elsewhere && even.unfilled.is_empty());
    }

    #[test]
    fn weights_want_their_part() {
        let four = balancer(Rule::HaproxySource, "4:2,1,1,1");
        let sources = addresses("10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5");
        let seen = forecast(&four, &sources);
        assert_eq!(seen.counts, [2, 1, 1, 1]);
        assert_eq!(seen.to_be_even(&four, &sources).sources, 0);
        assert!((seen.busiest_over_mean.unwrap() - 1.0).abs() < 1e-12);
        let fewer = forecast(&four, &sources[..4]);
        assert_eq!(fewer.to_be_even(&four, &sources[..4]).sources, 1);
    }

    #[test]
    fn one_24_is_one_source_for_ip_hash() {
        let three = balancer(Rule::NginxIpHash, "3");
        let sources = addresses("10.0.0.1 10.0.0.2 10.0.0.200");
        let seen = forecast(&three, &sources);
        assert_eq!(seen.idle.len(), 2);
        let gap = seen.to_reach_all(&three, &sources);
        assert!(gap.elsewhere, "another network is wanted: {gap:?}");
        let mut together = sources.clone();
        together.extend(gap.addresses.iter().map(|(address, _)| *address));
        assert!(forecast(&three, &together).idle.is_empty());
    }

    #[test]
    fn what_is_named_fills_the_gap() {
        for rule in Rule::ALL {
            for backends in ["a:1,b:2", "a:1=3,b:2,c:3", "a:1,b:2,c:3,d:4,e:5"] {
                for hosts in [
                    "10.1.2.3",
                    "10.1.2.254 10.1.3.9",
                    "2001:db8::1",
                    "127.0.0.1 2001:db8::ffff",
                ] {
                    let balancer = balancer(rule, backends);
                    let mut sources = addresses(hosts);
                    for even in [false, true] {
                        let seen = forecast(&balancer, &sources);
                        let gap = match even {
                            true => seen.to_be_even(&balancer, &sources),
                            false => seen.to_reach_all(&balancer, &sources),
                        };
                        assert!(gap.unfilled.is_empty(), "{rule:?} {backends} {hosts}: {gap:?}");
                        assert_eq!(gap.addresses.len() as u64, gap.sources);
                        assert!(gap.addresses.iter().all(|(address, _)| !sources.contains(address)));
                        sources.extend(gap.addresses.iter().map(|(address, _)| *address));
                    }
                    let seen = forecast(&balancer, &sources);
                    assert!(seen.idle.is_empty());
                    assert!(
                        (seen.busiest_over_mean.unwrap() - 1.0).abs() < 1e-9,
                        "{rule:?} {backends} {hosts}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_socket_for_both_families_sees_other_addresses() {
        // seen at a real HAProxy (bind :::80 v4v6) and a real nginx (listen [::]:80 ipv6only=off)
        let sources = addresses("127.0.0.1 127.0.0.2 127.0.0.3 127.0.0.4");
        for (rule, seen) in [(Rule::HaproxySource, [0, 2, 1, 0]), (Rule::NginxIpHash, [2, 0, 1, 2])] {
            let both = balancer(rule, "3").on_both_families();
            assert_eq!(forecast(&both, &sources).servers, seen.map(Some), "{rule:?}");
            assert_ne!(
                forecast(&balancer(rule, "3"), &sources).servers,
                seen.map(Some),
                "{rule:?}"
            );
        }
        let both = balancer(Rule::HaproxySource, "3").on_both_families();
        assert_eq!(both.why_idle(2), "no source is 2 mod 3 (seen as ::ffff:a.b.c.d)");
        assert!(both.without("s2").unwrap().is_on_both_families());
    }

    #[test]
    fn servers_that_are_down_want_nothing() {
        let two = balancer(Rule::HaproxySource, "3").without("s2").unwrap();
        let sources = addresses("10.0.0.1");
        let seen = forecast(&two, &sources);
        assert_eq!(seen.idle.len(), 1);
        assert!(!seen.idle.contains(&1));
        assert_eq!(seen.to_be_even(&two, &sources).sources, 1);
    }

    #[test]
    fn with_no_address_known_hosts_are_drawn() {
        let four = balancer(Rule::HaproxySource, "4");
        let drawn = forecast(&four, &[]).drawn(&four);
        assert_eq!((drawn.p50, drawn.p90, drawn.p99), (Some(7), Some(13), Some(21)));
        let seen = forecast(&four, &addresses("10.0.0.1 10.0.0.2 10.0.0.3"));
        // one of four is idle: (3/4)^n
        assert_eq!(seen.drawn(&four).p90, Some(9));
    }
}
