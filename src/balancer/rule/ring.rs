//! HAProxy's consistent source hash: sixteen points on a circle for each unit of weight; the nearest one has the source. Pure.

use super::map::{number, scattered};
use super::parts;
use super::pool::Pool;
use std::net::IpAddr;

/// Points of a unit of weight.
const POINTS: u32 = 16;
/// Between the points of one server and those of the next one: room for the largest weight.
const APART: u32 = 256 * POINTS;

/// The circle.
#[derive(Debug, Clone)]
pub struct Ring {
    /// Place and server, rising. No two places are the same: the hash is one to one.
    points: Vec<(u32, usize)>,
    servers: usize,
}

impl Ring {
    /// Puts the points of those that are up: they hang on a server's number (its place from 1) alone.
    pub(super) fn new(pool: &Pool) -> Self {
        let of_server = |at: usize, weight: u32| {
            let first = (at as u32 + 1) * APART;
            (first..first + weight * POINTS).map(move |n| (scattered(n), at))
        };
        let mut points: Vec<(u32, usize)> = pool
            .up()
            .flat_map(|(at, server)| of_server(at, server.weight))
            .collect();
        points.sort_unstable();
        Self {
            points,
            servers: pool.size(),
        }
    }

    pub(super) fn server(&self, source: IpAddr) -> usize {
        let hash = scattered(number(source));
        let after = self.points.partition_point(|(place, _)| *place < hash);
        let next = self.points[after % self.points.len()];
        let before = self.points[(after + self.points.len() - 1) % self.points.len()];
        // half way belongs to the one before
        match hash.wrapping_sub(before.0) <= next.0.wrapping_sub(hash) {
            true => before.1,
            false => next.1,
        }
    }

    pub(super) fn shares(&self) -> Vec<f64> {
        let n = self.points.len();
        let arcs = (0..n).flat_map(|at| {
            let (here, there) = (self.points[at], self.points[(at + 1) % n]);
            // the way round from the only point to itself is the whole circle
            let way = match there.0.wrapping_sub(here.0) {
                0 => u32::MAX as f64 + 1.0,
                way => f64::from(way),
            };
            [(here.1, way / 2.0), (there.1, way / 2.0)]
        });
        parts(self.servers, arcs)
    }

    pub(super) fn why_idle(&self, server: usize) -> String {
        match self.points.iter().filter(|(_, whose)| *whose == server).count() {
            0 => "it is down".to_owned(),
            n => format!(
                "no source's hash lies nearest to one of its {n} of {} points",
                self.points.len()
            ),
        }
    }
}
