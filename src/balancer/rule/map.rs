//! HAProxy's map-based source hash: a map with one slot a unit of weight; the address picks the slot. Pure.

use super::pool::Pool;
use std::net::IpAddr;

/// Slots that are listed by number.
const LISTED: usize = 6;

/// The map.
#[derive(Debug, Clone)]
pub struct Slots {
    /// Server of each slot.
    slots: Vec<usize>,
    servers: usize,
    avalanche: bool,
}

impl Slots {
    /// Lays out the map over the servers that are up: each slot goes to whom it is most overdue, the earlier one first.
    pub(super) fn new(pool: &Pool, avalanche: bool) -> Self {
        // the weights of all servers have their common factor taken out, whoever is up
        let weights = pool.reduced_weights();
        let up: Vec<(usize, i64)> = pool.up().map(|(at, _)| (at, i64::from(weights[at]))).collect();
        let total: i64 = up.iter().map(|(_, weight)| weight).sum();
        let mut scores = vec![0; up.len()];
        let mut slots = Vec::new();
        for _ in 0..total {
            let mut best: (usize, Option<i64>) = (0, None);
            for (i, (_, weight)) in up.iter().enumerate() {
                scores[i] += weight;
                let due = Some((scores[i] + total) / total);
                if due > best.1 {
                    best = (i, due);
                }
            }
            slots.push(up[best.0].0);
            scores[best.0] -= total;
        }
        Self {
            slots,
            servers: pool.size(),
            avalanche,
        }
    }

    pub(super) fn server(&self, source: IpAddr) -> usize {
        let hash = match self.avalanche {
            true => scattered(number(source)),
            false => number(source),
        };
        self.slots[hash as usize % self.slots.len()]
    }

    pub(super) fn shares(&self) -> Vec<f64> {
        let mut shares = vec![0.0; self.servers];
        self.slots
            .iter()
            .for_each(|server| shares[*server] += 1.0 / self.slots.len() as f64);
        shares
    }

    pub(super) fn why_idle(&self, server: usize) -> String {
        let own: Vec<String> = (0..self.slots.len())
            .filter(|slot| self.slots[*slot] == server)
            .map(|slot| slot.to_string())
            .collect();
        let all = self.slots.len();
        let whose = if self.avalanche {
            "no source's hash"
        } else {
            "no source"
        };
        match own.split_last() {
            None => "it is down".to_owned(),
            Some((only, [])) => format!("{whose} is {only} mod {all}"),
            Some((last, others)) if own.len() <= LISTED => {
                format!("{whose} is {} or {last} mod {all}", others.join(", "))
            }
            Some(_) => format!("{whose} is, mod {all}, one of its {} slots", own.len()),
        }
    }
}

/// The address as HAProxy's source hash begins with it: IPv4 as a number, the four words of IPv6 xored.
pub(super) fn number(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(v4) => u32::from(v4),
        IpAddr::V6(v6) => {
            let whole = u128::from(v6);
            [96, 64, 32, 0]
                .iter()
                .fold(0, |hash, shift| hash ^ (whole >> shift) as u32)
        }
    }
}

/// Bob Jenkins' integer hash with full avalanche, times a large prime: HAProxy's `full_hash`.
pub(super) fn scattered(n: u32) -> u32 {
    let mut a = n;
    a = a.wrapping_add(0x7ed5_5d16).wrapping_add(a << 12);
    a = (a ^ 0xc761_c23c) ^ (a >> 19);
    a = a.wrapping_add(0x1656_67b1).wrapping_add(a << 5);
    a = a.wrapping_add(0xd3a2_646c) ^ (a << 9);
    a = a.wrapping_add(0xfd70_46c5).wrapping_add(a << 3);
    a = (a ^ 0xb55a_4f09) ^ (a >> 16);
    a.wrapping_mul(3_221_225_473)
}
