//! nginx's `hash $remote_addr consistent`: 160 points on a circle for each unit of weight, made of the server as it is written;
//! the next one from the text of the address on has the source. Pure.

use super::parts;
use super::pool::Pool;
use std::net::{IpAddr, Ipv6Addr};

/// Points of a unit of weight.
const POINTS: u32 = 160;
/// After so many points of servers that are down nginx lets the others take turns.
const TRIES: usize = 20;

/// The circle.
#[derive(Debug, Clone)]
pub struct Points {
    /// Place and server, rising, those of servers that are down included; of several at one place only the first.
    points: Vec<(u32, usize)>,
    pool: Pool,
}

impl Points {
    pub(super) fn new(pool: &Pool) -> Self {
        let mut points = Vec::new();
        for (at, server) in pool.servers().iter().enumerate() {
            let (host, port) = host_and_port(&server.name);
            let begun = crc(crc(crc(!0, host.as_bytes()), &[0]), port.as_bytes());
            let mut before = 0u32;
            for _ in 0..server.weight * POINTS {
                before = !crc(begun, &before.to_le_bytes());
                points.push((before, at));
            }
        }
        points.sort_by_key(|(place, _)| *place);
        points.dedup_by_key(|(place, _)| *place);
        Self {
            points,
            pool: pool.clone(),
        }
    }

    pub(super) fn server(&self, source: IpAddr) -> Option<usize> {
        let hash = !crc(!0, text(source).as_bytes());
        let first = self.points.partition_point(|(place, _)| *place < hash);
        self.from(first)
    }

    /// The first server that is up from a point on.
    fn from(&self, first: usize) -> Option<usize> {
        let mut tried = (first..=first + TRIES).map(|at| self.points[at % self.points.len()].1);
        tried
            .find(|at| self.pool.servers()[*at].up)
            .or_else(|| self.pool.only_up())
    }

    pub(super) fn shares(&self) -> Vec<f64> {
        let n = self.points.len();
        let arcs = (0..n).filter_map(|at| {
            let way = self.points[at].0.wrapping_sub(self.points[(at + n - 1) % n].0);
            Some((self.from(at)?, f64::from(way)))
        });
        let shares = parts(self.pool.size(), arcs);
        // what is left of the circle is dealt in turn
        let all: f64 = shares.iter().sum();
        shares.iter().map(|share| share / all).collect()
    }

    pub(super) fn why_idle(&self, server: usize) -> String {
        if !self.pool.servers()[server].up {
            return "it is down".to_owned();
        }
        let own = self.points.iter().filter(|(_, whose)| *whose == server).count();
        format!(
            "no source's hash comes before one of its {own} of {} points",
            self.points.len()
        )
    }
}

/// A port is what stands behind the last colon, when it is a number; a socket's path has none.
fn host_and_port(written: &str) -> (&str, &str) {
    let begins_with_unix = written
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case("unix:"));
    if begins_with_unix {
        return (&written[5..], "");
    }
    match written.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (host, port),
        _ => (written, ""),
    }
}

/// `$remote_addr`: as everybody writes it, but for IPv6 addresses that hold an IPv4 one.
pub(super) fn text(address: IpAddr) -> String {
    match address {
        IpAddr::V6(v6) if holds_v4(v6) => {
            let [.., a, b, c, d] = v6.octets();
            format!("::{a}.{b}.{c}.{d}")
        }
        other => other.to_string(),
    }
}

/// The ones that nginx writes with dots and no `ffff`.
fn holds_v4(address: Ipv6Addr) -> bool {
    let octets = address.octets();
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    match zeros {
        12 | 13 => true,
        14 => octets[14] != 0 && octets[15] != 1,
        _ => false,
    }
}

/// CRC-32 as Ethernet has it, without its last complement.
pub(super) fn crc(begun: u32, bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| {
        if crc & 1 == 1 {
            (crc >> 1) ^ 0xedb8_8320
        } else {
            crc >> 1
        }
    };
    bytes
        .iter()
        .fold(begun, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), bit))
}
