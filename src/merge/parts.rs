//! A summary cut into parts, by host, group, backend, source or target: what requirements `by ...` are judged on. Pure.

use super::summary::{HostStatus, Part, Summary};
use std::net::IpAddr;
use swarm_agent::wire::histogram::Histogram;
use swarm_agent::wire::report::Latency;

/// One line of a table of parts, for requirements `by host|group|backend|source|target`.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Name of the part.
    pub name: &'a str,
    /// Host, for a source: its address is in `source`.
    pub source: Option<IpAddr>,
    /// Hits answered.
    pub requests: u64,
    /// Failures.
    pub errors: u64,
    /// Connections opened.
    pub connections: u64,
    /// Counters, where all are kept (hosts and groups).
    pub part: Option<&'a Part>,
    main: (Latency, &'a Histogram),
}

impl<'a> Row<'a> {
    /// The distribution of that name, where this part has samples of it.
    pub fn latency(&self, name: Latency) -> Option<&'a Histogram> {
        match self.part {
            Some(part) => part.latency.get(&name).filter(|h| h.count > 0),
            None => Some(self.main.1).filter(|h| self.main.0 == name && h.count > 0),
        }
    }
}

/// What the rows of [`Summary::rows`] stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Hosts that started.
    Host,
    /// Groups of hosts.
    Group,
    /// Backends.
    Backend,
    /// Source addresses.
    Source,
    /// Targets.
    Target,
}

impl Summary {
    /// The run cut into parts.
    pub fn rows(&self, by: By) -> Vec<Row<'_>> {
        let of_part = |name, part| part_row(name, part, self.row_latency);
        let main = |histogram| (self.row_latency, histogram);
        match by {
            By::Host => self
                .hosts
                .iter()
                .filter(|h| !matches!(h.status, HostStatus::Refused { .. }))
                .map(|h| of_part(h.name.as_str(), &h.part))
                .collect(),
            By::Group => self.groups.iter().map(|g| of_part(g.name.as_str(), &g.part)).collect(),
            By::Backend => self
                .backends
                .iter()
                .map(|b| Row {
                    name: &b.name,
                    source: None,
                    requests: b.requests,
                    errors: b.errors,
                    connections: b.connections,
                    part: None,
                    main: main(&b.latency),
                })
                .collect(),
            By::Source => self
                .sources
                .iter()
                .map(|s| Row {
                    name: &s.host,
                    source: Some(s.address),
                    requests: s.requests,
                    errors: s.errors,
                    connections: s.connections,
                    part: None,
                    main: main(&s.latency),
                })
                .collect(),
            By::Target => self
                .targets
                .iter()
                .map(|t| Row {
                    name: &t.url,
                    source: None,
                    requests: t.requests,
                    errors: t.errors,
                    connections: t.addresses.iter().map(|(_, n)| n).sum(),
                    part: None,
                    main: main(&t.latency),
                })
                .collect(),
        }
    }
}

fn part_row<'a>(name: &'a str, part: &'a Part, main: Latency) -> Row<'a> {
    const NOTHING: &Histogram = &Histogram {
        count: 0,
        saturated: 0,
        min: 0,
        max: 0,
        sum: 0,
        sum_of_squares: 0,
        buckets: Vec::new(),
    };
    let tally = &part.tally;
    Row {
        name,
        source: None,
        requests: tally.ok + tally.failed,
        errors: tally.failed + tally.connections.failed + tally.connections.dropped,
        connections: tally.connections.opened,
        part: Some(part),
        main: (main, NOTHING),
    }
}
