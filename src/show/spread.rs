//! A predicted spread as text and as JSON, schema `swarm.spread/1`. Pure. Absent means not known, never zero.

use super::tables::{ROWS, table};
use super::{clean, figures};
use crate::balancer::Balancer;
use crate::balancer::forecast::{Drawn, Forecast, Gap};
use crate::balancer::rule::Rule;
use serde::Serialize;
use std::net::IpAddr;

/// Addresses in a line.
const LISTED: usize = 8;

/// Where connections come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its address.
    pub address: IpAddr,
    /// The host that owns it, where that is known.
    pub host: Option<String>,
    /// Clients that it brings.
    pub clients: Option<u64>,
}

/// All that is said.
pub struct Spread<'a> {
    /// What is to be attacked.
    pub url: Option<&'a str>,
    /// Rule and servers.
    pub balancer: &'a Balancer,
    /// In the order of the hosts.
    pub sources: &'a [Source],
    /// Who reaches what.
    pub seen: &'a Forecast,
    /// What lacks for all to be reached.
    pub reach: Gap,
    /// What lacks for each to have its weight's part.
    pub even: Gap,
    /// The same by chance.
    pub drawn: Drawn,
    /// Doubts.
    pub notes: &'a [String],
}

impl Spread<'_> {
    /// As text.
    pub fn text(&self) -> String {
        let blocks = [self.heading(), self.by_source(), self.by_backend(), self.words()];
        let told: Vec<String> = blocks.into_iter().filter(|block| !block.is_empty()).collect();
        told.join("\n")
    }

    fn heading(&self) -> String {
        let rule = self.balancer.rule;
        let both = match self.balancer.is_on_both_families() {
            true => "; it listens on IPv6 for both families and sees ::ffff:a.b.c.d",
            false => "",
        };
        let before = self
            .url
            .map(|url| format!("{}: ", clean::line(url)))
            .unwrap_or_default();
        format!(
            "{before}{} ({}{both}) over {} backends; prediction verified against {}, nothing is sent\n",
            rule.word(),
            rule.lines(),
            self.balancer.pool.size(),
            rule.verified()
        )
    }

    fn name(&self, server: Option<usize>) -> String {
        server.map_or_else(|| "in turn".to_owned(), |at| clean::line(self.balancer.name(at)))
    }

    fn by_source(&self) -> String {
        if self.sources.is_empty() {
            return String::new();
        }
        let with_host = self.sources.iter().any(|source| source.host.is_some());
        let with_clients = self.sources.iter().any(|source| source.clients.is_some());
        let mut head = vec!["source"];
        head.extend(with_host.then_some("host"));
        head.push("backend");
        head.extend(with_clients.then_some("clients"));
        let row = |(source, server): (&Source, &Option<usize>)| {
            let mut row = vec![source.address.to_string()];
            row.extend(with_host.then(|| source.host.as_deref().map(clean::line).unwrap_or_default()));
            row.push(self.name(*server));
            row.extend(with_clients.then(|| source.clients.map(figures::count).unwrap_or_default()));
            row
        };
        let rows: Vec<Vec<String>> = self
            .sources
            .iter()
            .zip(&self.seen.servers)
            .take(ROWS)
            .map(row)
            .collect();
        let left = self.sources.len() - rows.len();
        let texts: &[usize] = if with_host { &[1, 2] } else { &[1] };
        let more = match left {
            0 => String::new(),
            n => format!("and {n} more sources: see --json\n"),
        };
        table(&head, rows, texts) + &more
    }

    /// Clients of each server; `None` without `-c`, or where some go in turn.
    fn clients(&self, server: usize) -> Option<u64> {
        let own = self
            .sources
            .iter()
            .zip(&self.seen.servers)
            .filter(|(_, at)| **at == Some(server));
        let known = self.sources.first()?.clients.is_some() && self.seen.servers.iter().all(Option::is_some);
        known.then(|| own.filter_map(|(source, _)| source.clients).sum())
    }

    fn by_backend(&self) -> String {
        let servers = self.balancer.pool.servers();
        let weighted = servers.iter().any(|server| server.weight != servers[0].weight);
        let with_clients = self.clients(0).is_some();
        let mut head = vec!["backend"];
        head.extend(weighted.then_some("weight"));
        head.extend(["sources", "share of all addresses"]);
        head.extend(with_clients.then_some("clients"));
        let shares = self.balancer.shares();
        let rows: Vec<Vec<String>> = servers
            .iter()
            .enumerate()
            .map(|(at, server)| {
                let mut row = vec![clean::line(&server.name)];
                row.extend(weighted.then(|| server.weight.to_string()));
                row.push(match server.up {
                    true => figures::count(self.seen.counts[at]),
                    false => "down".to_owned(),
                });
                row.push(format!("{:.1} %", shares[at] * 100.0));
                row.extend(with_clients.then(|| self.clients(at).map(figures::count).unwrap_or_default()));
                row
            })
            .collect();
        table(&head, rows, &[])
    }

    fn words(&self) -> String {
        let n = self.sources.len();
        let up = self.balancer.pool.up().count();
        let mut lines = Vec::new();
        if n > 0 {
            let busiest = self
                .seen
                .busiest_over_mean
                .map(|over| format!("; busiest over mean {over:.2}"));
            lines.push(format!(
                "{} of {up} backends {} reached{}",
                up - self.seen.idle.len(),
                if up - self.seen.idle.len() == 1 { "is" } else { "are" },
                busiest.unwrap_or_default()
            ));
            for at in self.seen.idle.iter().take(LISTED) {
                let why = self.balancer.why_idle(*at);
                lines.push(format!("{} gets nothing: {why}", self.name(Some(*at))));
            }
            if self.seen.idle.len() > LISTED {
                lines.push(format!("{} more get nothing", self.seen.idle.len() - LISTED));
            }
            match self.even.sources {
                0 => lines.push("every backend gets its part".to_owned()),
                _ => {
                    if self.reach.sources > 0 {
                        lines.push(self.gap("for all to be reached", &self.reach));
                    }
                    lines.push(self.gap("for all to be reached evenly", &self.even));
                }
            }
        }
        lines.extend(self.by_chance(n));
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        lines.join("\n") + "\n"
    }

    /// `for all to be reached: 1 more source: 10.0.0.7 (s3)`
    fn gap(&self, what_for: &str, gap: &Gap) -> String {
        let each = |(address, server): &(IpAddr, usize)| format!("{address} ({})", self.name(Some(*server)));
        let mut named: Vec<String> = gap.addresses.iter().take(LISTED).map(each).collect();
        if gap.addresses.len() > LISTED {
            named.push(format!("{} more in --json", gap.addresses.len() - LISTED));
        }
        let lacking = match gap.unfilled.is_empty() {
            true => "",
            false => "; no address near the hosts' reaches the others",
        };
        let elsewhere = match (gap.elsewhere, self.balancer.rule) {
            (true, Rule::NginxIpHash) if !self.balancer.is_on_both_families() => {
                "; in other networks: one /24 is one source to ip_hash"
            }
            (true, _) => "; some of them in networks beside the hosts' own",
            (false, _) => "",
        };
        format!(
            "{what_for}: {} more {}: {}{elsewhere}{lacking}",
            figures::count(gap.sources),
            if gap.sources == 1 { "source" } else { "sources" },
            named.join(", ")
        )
    }

    fn by_chance(&self, known: usize) -> Option<String> {
        let Drawn { p50, p90, p99 } = self.drawn;
        if p99 == Some(0) {
            return None;
        }
        let hosts = |n: Option<usize>| n.map_or_else(|| "too many".to_owned(), |n| figures::count(n as u64));
        let more = if known > 0 { " more" } else { "" };
        Some(format!(
            "hosts with addresses that EC2 picks, for all to be reached: {}{more} for 50 %, {}{more} for 90 %, {}{more} for 99 %",
            hosts(p50),
            hosts(p90),
            hosts(p99)
        ))
    }

    /// As JSON, with a line feed at its end.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        let shares = self.balancer.shares();
        let servers = self.balancer.pool.servers();
        let name = |at: usize| servers[at].name.clone();
        let report = Report {
            schema: "swarm.spread/1",
            url: self.url.map(str::to_owned),
            balancer: self.balancer.rule.word(),
            lines: self.balancer.rule.lines(),
            verified: self.balancer.rule.verified(),
            v4v6: self.balancer.is_on_both_families(),
            sources: self
                .sources
                .iter()
                .zip(&self.seen.servers)
                .map(|(source, server)| SourceJson {
                    address: source.address,
                    host: source.host.clone(),
                    backend: server.map(name),
                    clients: source.clients,
                })
                .collect(),
            backends: servers
                .iter()
                .enumerate()
                .map(|(at, server)| BackendJson {
                    name: server.name.clone(),
                    weight: server.weight,
                    up: server.up,
                    sources: self.seen.counts[at],
                    share: shares[at],
                    clients: self.clients(at),
                })
                .collect(),
            reached: servers.iter().filter(|server| server.up).count() - self.seen.idle.len(),
            idle: self.seen.idle.iter().map(|at| name(*at)).collect(),
            busiest_over_mean: self.seen.busiest_over_mean,
            to_reach_all: GapJson::of(&self.reach, &name),
            to_be_even: GapJson::of(&self.even, &name),
            hosts_by_chance: ChanceJson {
                p50: self.drawn.p50,
                p90: self.drawn.p90,
                p99: self.drawn.p99,
            },
            notes: self.notes.to_vec(),
        };
        serde_json::to_string_pretty(&report).map(|text| text + "\n")
    }
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    balancer: &'static str,
    lines: &'static str,
    verified: &'static str,
    v4v6: bool,
    sources: Vec<SourceJson>,
    backends: Vec<BackendJson>,
    reached: usize,
    idle: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    busiest_over_mean: Option<f64>,
    to_reach_all: GapJson,
    to_be_even: GapJson,
    hosts_by_chance: ChanceJson,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct SourceJson {
    address: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    /// Absent: those that are up take turns.
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clients: Option<u64>,
}

#[derive(Serialize)]
struct BackendJson {
    name: String,
    weight: u32,
    up: bool,
    sources: u64,
    /// Of all possible sources.
    share: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    clients: Option<u64>,
}

#[derive(Serialize)]
struct GapJson {
    sources: u64,
    addresses: Vec<NextJson>,
    elsewhere: bool,
    unfilled: Vec<String>,
}

#[derive(Serialize)]
struct NextJson {
    address: IpAddr,
    backend: String,
}

/// More hosts, for all to be reached with so many percent. Absent: too many to tell.
#[derive(Serialize)]
struct ChanceJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    p50: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p90: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99: Option<usize>,
}

impl GapJson {
    fn of(gap: &Gap, name: &impl Fn(usize) -> String) -> Self {
        let next = |(address, server): &(IpAddr, usize)| NextJson {
            address: *address,
            backend: name(*server),
        };
        Self {
            sources: gap.sources,
            addresses: gap.addresses.iter().map(next).collect(),
            elsewhere: gap.elsewhere,
            unfilled: gap.unfilled.iter().map(|at| name(*at)).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
