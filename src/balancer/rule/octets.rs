//! nginx's `ip_hash`: the first three octets of an IPv4 address, or all sixteen of an IPv6 one, picked again where a server is
//! down. Pure.

use super::pool::Pool;
use std::net::IpAddr;

/// The hash takes so many values.
const VALUES: u32 = 6271;
/// After so many tries nginx lets the servers take turns.
const TRIES: u32 = 20;

/// The rule over its servers.
#[derive(Debug, Clone)]
pub struct Octets {
    pool: Pool,
    /// Of all servers: one that is down keeps its part, and whoever falls on it is dealt again.
    total: u32,
}

impl Octets {
    pub(super) fn new(pool: &Pool) -> Self {
        Self {
            pool: pool.clone(),
            total: pool.servers().iter().map(|server| server.weight).sum(),
        }
    }

    pub(super) fn server(&self, source: IpAddr) -> Option<usize> {
        let mut hash = 89;
        for _ in 0..=TRIES {
            hash = match source {
                IpAddr::V4(v4) => stirred(hash, &v4.octets()[..3]),
                IpAddr::V6(v6) => stirred(hash, &v6.octets()),
            };
            let at = self.at(hash);
            if self.pool.servers()[at].up {
                return Some(at);
            }
        }
        self.pool.only_up()
    }

    fn at(&self, hash: u32) -> usize {
        let mut left = hash % self.total;
        let mut at = 0;
        for (i, server) in self.pool.servers().iter().enumerate() {
            at = i;
            match left.checked_sub(server.weight) {
                Some(less) => left = less,
                None => break,
            }
        }
        at
    }

    pub(super) fn shares(&self) -> Vec<f64> {
        let mut shares = vec![0.0; self.pool.size()];
        (0..VALUES).for_each(|hash| shares[self.at(hash)] += 1.0);
        // what falls on servers that are down is dealt again among all
        for (share, server) in shares.iter_mut().zip(self.pool.servers()) {
            if !server.up {
                *share = 0.0;
            }
        }
        let all: f64 = shares.iter().sum();
        shares.iter().map(|share| share / all).collect()
    }
}

fn stirred(hash: u32, octets: &[u8]) -> u32 {
    octets
        .iter()
        .fold(hash, |hash, octet| (hash * 113 + u32::from(*octet)) % VALUES)
}
