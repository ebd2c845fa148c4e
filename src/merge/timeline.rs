//! Intervals of several hosts put side by side: the timeline, the peak, the common window and the rates in it.
//!
//! All hosts cut their intervals at the same instants, so interval k of one is laid beside interval k of the others.
//! The window begins when the ramp of connections and the warm-up are over on every host and ends at the planned end of
//! the load or where the first host that reported had nothing left to do, whichever is earlier; the grace period is
//! never in it. A lost host does not shorten it. A host's rate is what its intervals inside the window hold over the
//! time they cover; the whole's rate is the sum of the hosts'.

use super::summary::{Rates, Second};
use crate::conduct::outcome::{HostEnd, HostOutcome, Point};
use std::collections::BTreeMap;
use swarm_agent::wire::histogram::Histogram;
use swarm_agent::wire::share::{Level, Load, Stage};

/// How far a cut may lie beyond the end of the window and still count into it: timers and busy threads are late.
const SLACK_US: u64 = 50_000;

/// All hosts second by second.
pub fn seconds(hosts: &[&HostOutcome]) -> Vec<Second> {
    let mut rows: BTreeMap<u32, (Second, Histogram)> = BTreeMap::new();
    for point in hosts.iter().flat_map(|host| &host.progress.points) {
        let (row, latency) = rows.entry(point.seq).or_insert_with(|| (NOTHING, Histogram::default()));
        row.at_us = row.at_us.max(point.at_us);
        row.requests += point.requests;
        row.errors += point.errors;
        row.connections += point.open;
        row.messages += point.messages;
        row.hosts += 1;
        latency.add(&point.latency);
    }
    rows.into_values()
        .map(|(row, latency)| Second {
            p50: latency.quantile(0.5),
            p99: latency.quantile(0.99),
            ..row
        })
        .collect()
}

const NOTHING: Second = Second {
    at_us: 0,
    requests: 0,
    errors: 0,
    connections: 0,
    messages: 0,
    hosts: 0,
    p50: None,
    p99: None,
};

/// The largest number of connections open at one cut over all hosts. `None` when no cut saw one although `opened` says
/// that there were some: the run was over before the first cut.
pub fn peak(seconds: &[Second], opened: u64) -> Option<u64> {
    let peak = seconds.iter().map(|s| s.connections).max().unwrap_or(0);
    (peak > 0 || opened == 0).then_some(peak)
}

/// The common window, us since the start instant; `None` when nothing is left of it.
pub fn window(load: &Load, hosts: &[&HostOutcome]) -> Option<(u64, u64)> {
    let begin = warmup_us(load).max(ramp_us(load).unwrap_or(0));
    let reported = hosts.iter().filter_map(|host| match &host.end {
        HostEnd::Reported(report) => Some(report.ended_us),
        HostEnd::Lost { .. } | HostEnd::Refused { .. } => None,
    });
    let known = hosts.iter().map(|host| host.progress.until_us);
    let ended = reported.min().or_else(|| known.max())?;
    let end = planned_end_us(load).map_or(ended, |planned| planned.min(ended));
    (begin < end).then_some((begin, end))
}

/// The rates of one host.
pub fn rates(load: &Load, host: &HostOutcome, window: Option<(u64, u64)>) -> Rates {
    let points = &host.progress.points;
    let first = warmup_us(load);
    let Some((begin, end)) = window else {
        return Rates {
            connections: ramp(load, points),
            ..Rates::default()
        };
    };
    let inside = Inside::of(points, first, begin, end);
    let held = matches!(load, Load::Held(_));
    Rates {
        requests: inside.rate(|p| p.requests),
        connections: if held {
            ramp(load, points)
        } else {
            inside.rate(|p| p.opened)
        },
        messages: if held { inside.rate(|p| p.messages) } else { None },
    }
}

/// Rates of parts together.
pub fn add_rates(parts: &[Rates]) -> Rates {
    let sum = |of: fn(&Rates) -> Option<f64>| parts.iter().filter_map(of).reduce(|a, b| a + b);
    Rates {
        requests: sum(|r| r.requests),
        connections: sum(|r| r.connections),
        messages: sum(|r| r.messages),
    }
}

/// Clients opened over the ramp, for held clients.
fn ramp(load: &Load, points: &[Point]) -> Option<f64> {
    let Load::Held(_) = load else { return None };
    let end = ramp_us(load).filter(|us| *us > 0)?;
    Inside::of(points, 0, 0, end).rate(|p| p.opened)
}

/// The intervals of one host that lie inside a window.
struct Inside<'a> {
    points: Vec<&'a Point>,
    covered_us: u64,
}

impl<'a> Inside<'a> {
    /// Where no interval fits into a window that begins with the load, all of them stand for it.
    fn of(points: &'a [Point], first: u64, begin: u64, end: u64) -> Self {
        let mut inside = Self {
            points: Vec::new(),
            covered_us: 0,
        };
        let mut last = first;
        for point in points {
            if last + SLACK_US >= begin && point.at_us <= end + SLACK_US {
                inside.covered_us += point.at_us.saturating_sub(last);
                inside.points.push(point);
            }
            last = point.at_us;
        }
        if inside.points.is_empty() && !points.is_empty() && begin <= first {
            inside.points = points.iter().collect();
            inside.covered_us = end.saturating_sub(begin);
        }
        inside
    }

    fn rate(&self, count: fn(&Point) -> u64) -> Option<f64> {
        let seconds = self.covered_us as f64 / 1e6;
        let counted: u64 = self.points.iter().map(|p| count(p)).sum();
        (self.covered_us > 0).then(|| counted as f64 / seconds)
    }
}

fn warmup_us(load: &Load) -> u64 {
    match load {
        Load::Closed(closed) => closed.warmup / 1000,
        Load::Open(open) => open.warmup / 1000,
        Load::Held(_) => 0,
    }
}

/// When the ramp of connections is over; `None` where their number is what is being varied (stages).
fn ramp_us(load: &Load) -> Option<u64> {
    let level = match load {
        Load::Closed(closed) => &closed.connections,
        Load::Held(held) => &held.clients,
        Load::Open(_) => return Some(0),
    };
    match level {
        Level::Ramp { rate: None, .. } => Some(0),
        Level::Ramp {
            count,
            rate: Some(rate),
        } => {
            let us = u128::from(*count) * 1_000_000_000_000 / u128::from((*rate).max(1));
            u64::try_from(us).ok()
        }
        Level::Stages(_) => None,
    }
}

fn planned_end_us(load: &Load) -> Option<u64> {
    let length = |stages: &[Stage]| stages.iter().map(|s| s.duration).sum::<u64>();
    match load {
        Load::Closed(closed) => closed.duration.map(|d| (closed.warmup + d) / 1000),
        Load::Open(open) => Some((open.warmup + length(&open.schedule.stages)) / 1000),
        Load::Held(held) => Some(held.end / 1000),
    }
}
