//! Rules by which a balancer picks a server for a source address: what they are called, and what each would pick.
//!
//! Pure. Never here: a rule, or a condition of one, that a lab case has not held against the real balancer
//! (`tests/lab/cases/predicted.rs`).

mod map;
mod octets;
mod points;
mod pool;
mod ring;
#[cfg(test)]
mod tests;

pub use pool::{Pool, Server};

use map::Slots;
use octets::Octets;
use points::Points;
use ring::Ring;
use std::net::IpAddr;

/// A rule, by the balancer and the lines of its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// HAProxy `balance source`.
    HaproxySource,
    /// HAProxy `balance source` with `hash-type map-based sdbm avalanche`.
    HaproxySourceAvalanche,
    /// HAProxy `balance source` with `hash-type consistent`.
    HaproxySourceConsistent,
    /// nginx `ip_hash`.
    NginxIpHash,
    /// nginx `hash $remote_addr consistent`.
    NginxHashConsistent,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::HaproxySource,
        Self::HaproxySourceAvalanche,
        Self::HaproxySourceConsistent,
        Self::NginxIpHash,
        Self::NginxHashConsistent,
    ];

    /// Its name, as `--balancer` takes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::HaproxySource => "haproxy-source",
            Self::HaproxySourceAvalanche => "haproxy-source-avalanche",
            Self::HaproxySourceConsistent => "haproxy-source-consistent",
            Self::NginxIpHash => "nginx-ip-hash",
            Self::NginxHashConsistent => "nginx-hash-consistent",
        }
    }

    /// Reads `--balancer`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words = Self::ALL.map(Self::word).join(", ");
        let found = Self::ALL.into_iter().find(|rule| rule.word() == text);
        found.ok_or_else(|| {
            format!(
                "no rule that swarm can predict: {words}. Others (leastconn, roundrobin, cookies, cloud balancers) do not \
                 go by the source address, or are not published"
            )
        })
    }

    /// The lines of the configuration that it stands for.
    pub fn lines(self) -> &'static str {
        match self {
            Self::HaproxySource => "balance source",
            Self::HaproxySourceAvalanche => "balance source, hash-type map-based sdbm avalanche",
            Self::HaproxySourceConsistent => "balance source, hash-type consistent",
            Self::NginxIpHash => "ip_hash",
            Self::NginxHashConsistent => "hash $remote_addr consistent",
        }
    }

    /// What its predictions were held against.
    pub fn verified(self) -> &'static str {
        match self {
            Self::HaproxySource | Self::HaproxySourceAvalanche | Self::HaproxySourceConsistent => "HAProxy 2.6",
            Self::NginxIpHash | Self::NginxHashConsistent => "nginx 1.22",
        }
    }

    /// The rule over these servers, or why it cannot be known for them.
    pub fn over(self, pool: &Pool) -> Result<Dealer, String> {
        Ok(match self {
            Self::HaproxySource => Dealer::Slots(Slots::new(pool, false)),
            Self::HaproxySourceAvalanche => Dealer::Slots(Slots::new(pool, true)),
            Self::HaproxySourceConsistent => Dealer::Ring(Ring::new(pool)),
            Self::NginxIpHash => Dealer::Octets(Octets::new(pool)),
            Self::NginxHashConsistent if !pool.is_named() => {
                return Err(format!(
                    "{} hangs on the servers as nginx's configuration writes them: --backends 10.0.0.4:3000,10.0.0.5:3000",
                    self.word()
                ));
            }
            Self::NginxHashConsistent => Dealer::Points(Points::new(pool)),
        })
    }

    /// What of an address the rule looks at: addresses with the same key reach the same server.
    pub fn key(self, address: IpAddr) -> IpAddr {
        match (self, address) {
            (Self::NginxIpHash, IpAddr::V4(v4)) => {
                let [a, b, c, _] = v4.octets();
                IpAddr::from([a, b, c, 0])
            }
            _ => address,
        }
    }
}

/// A rule over a pool of servers.
#[derive(Debug, Clone)]
pub enum Dealer {
    /// A map of slots.
    Slots(Slots),
    /// HAProxy's consistent hash.
    Ring(Ring),
    /// nginx's `ip_hash`.
    Octets(Octets),
    /// nginx's consistent hash.
    Points(Points),
}

impl Dealer {
    /// The server (its place in the pool) that a source reaches; `None`: those that are up take turns, as nginx gives up
    /// after twenty tries at servers that are down.
    pub fn server(&self, source: IpAddr) -> Option<usize> {
        match self {
            Self::Slots(slots) => Some(slots.server(source)),
            Self::Ring(ring) => Some(ring.server(source)),
            Self::Octets(octets) => octets.server(source),
            Self::Points(points) => points.server(source),
        }
    }

    /// The part of all possible sources that each server gets.
    pub fn shares(&self) -> Vec<f64> {
        match self {
            Self::Slots(slots) => slots.shares(),
            Self::Ring(ring) => ring.shares(),
            Self::Octets(octets) => octets.shares(),
            Self::Points(points) => points.shares(),
        }
    }

    /// Why a server got none of the sources: `no source is 2 mod 3`.
    pub fn why_idle(&self, server: usize) -> String {
        match self {
            Self::Slots(slots) => slots.why_idle(server),
            Self::Ring(ring) => ring.why_idle(server),
            Self::Octets(_) => {
                "no source has a network (its first three octets; of IPv6 the whole address) that leads there"
                    .to_owned()
            }
            Self::Points(points) => points.why_idle(server),
        }
    }
}

/// The servers' parts of a circle of 2^32, by how much of it belongs to each.
fn parts(servers: usize, arcs: impl Iterator<Item = (usize, f64)>) -> Vec<f64> {
    let mut shares = vec![0.0; servers];
    for (server, arc) in arcs {
        shares[server] += arc / (u32::MAX as f64 + 1.0);
    }
    shares
}
