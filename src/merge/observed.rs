//! What the hosts saw of the balancer, put together: breaks, moves, slow backends, addresses that sources are seen as.
//! Pure. Never here: the rules (`balancer`).

use super::identities::Proof;
use super::mismatch::{Identity, difference};
use super::summary::{Latencies, SourceRow, Summary};
use super::warning::Warning;
use crate::balancer::moves::{self, Move};
use crate::balancer::seen::{self, SeenAs};
use crate::balancer::{self, Breaks, Met, MetOne, slow};
use std::collections::BTreeMap;
use swarm_agent::wire::histogram::Histogram;
use swarm_agent::wire::observed::{Departure, together};
use swarm_agent::wire::report::{Counts, Latency};

/// Warnings of a kind that are made at most.
const TOLD: usize = 8;

/// Proves that departures are the losses and ways back of the totals, and that each source met the backends that it counts.
pub(super) fn proof(proof: &mut Proof, counts: &Counts, whole: &Latencies) {
    let c = &counts.tally.connections;
    let rows = &counts.departures;
    let sum = |of: fn(&Departure) -> u64| rows.iter().map(|row| u128::from(of(row))).sum::<u128>();
    let back = |row: &Departure| row.back.iter().map(|back| back.clients).sum();
    for (what, n, sum) in [
        ("dropped", c.dropped, sum(|row| row.lost)),
        ("stormed", c.stormed, sum(|row| row.stormed)),
        ("reconnected", c.reconnected, sum(back)),
    ] {
        proof.equal(
            Identity::Departures,
            (&format!("clients {what} by backend"), sum),
            (what, n.into()),
        );
    }
    let mut away = Histogram::default();
    rows.iter()
        .flat_map(|row| &row.back)
        .for_each(|back| away.add(&back.away));
    let nothing = Histogram::default();
    let timed = whole.get(&Latency::Reconnect).unwrap_or(&nothing);
    if let Some((what, left, right)) = difference(&away, timed) {
        proof.equal(
            Identity::Departures,
            (&format!("{what} of the ways back by backend"), left),
            ("of reconnect", right),
        );
    }
    for source in &counts.sources {
        let met = |name: &str| source.spans.iter().any(|span| span.backend == name);
        let known = source.backends.iter().filter(|(name, _)| met(name)).count();
        proof.equal(
            Identity::Departures,
            ("backends with a time", known.max(source.spans.len()) as u128),
            ("backends that a source met", source.backends.len() as u128),
        );
    }
}

/// Sources and sessions that were seen on more than one backend.
pub fn breaks(sources: &[SourceRow], counts: &[(&str, &Counts)]) -> Option<Breaks> {
    let strays: Vec<_> = counts.iter().map(|(host, counts)| (*host, &counts.strays)).collect();
    balancer::breaks(&met(sources), &strays)
}

/// Who went from one backend to another.
pub fn moves(summary: &Summary, counts: &[(&str, &Counts)], clients: bool) -> Vec<Move> {
    if !clients {
        return moves::of_sources(&met(&summary.sources));
    }
    let departures: Vec<Departure> = counts
        .iter()
        .flat_map(|(_, counts)| counts.departures.iter().cloned())
        .collect();
    let stood: BTreeMap<String, u64> = summary
        .backends
        .iter()
        .map(|row| (row.name.clone(), row.connections))
        .collect();
    moves::of_clients(&together(departures), &stood)
}

fn met(sources: &[SourceRow]) -> Vec<Met<'_>> {
    let one = |source: &'_ SourceRow, name: &str| {
        let count = source.backends.iter().find(|(known, _)| known == name);
        count.map_or(0, |(_, n)| *n)
    };
    sources
        .iter()
        .map(|source| Met {
            host: &source.host,
            address: source.address,
            backends: source
                .spans
                .iter()
                .map(|span| MetOne {
                    name: &span.backend,
                    count: one(source, &span.backend),
                    first_us: span.first_us,
                    last_us: span.last_us,
                })
                .collect(),
        })
        .collect()
}

/// The verdict where nothing but the moves broke stickiness.
pub fn sticky_until(summary: &Summary) -> Option<String> {
    let cookies = match summary.run.keep_cookies {
        true => "cookies kept",
        false => "cookies dropped",
    };
    moves::sticky_until(&met(&summary.sources), &summary.affinity.moves, cookies)
}

/// Backends that are slow among their peers.
pub fn slow_backends(summary: &Summary) -> Vec<Warning> {
    let rows: Vec<_> = summary
        .backends
        .iter()
        .map(|row| (row.name.as_str(), &row.latency))
        .collect();
    let what = summary.row_latency.word();
    slow::slow(&rows)
        .iter()
        .map(|one| {
            Warning::new("slow_backend", one.words(what))
                .advise("look at that server: its load, its memory, what else runs there; then measure again")
        })
        .collect()
}

/// Doubts about who the sources are to the other side.
pub fn seen_as(sources: &[SourceRow]) -> Vec<Warning> {
    let rows: Vec<SeenAs<'_>> = sources
        .iter()
        .map(|source| SeenAs {
            host: &source.host,
            address: source.address,
            seen: &source.seen_as,
        })
        .collect();
    let shared = seen::shared(&rows).into_iter().take(TOLD).map(|text| {
        Warning::new("sources_share_address", text).advise(
            "behind a source hash they are one source; attack from hosts that have public addresses of their own",
        )
    });
    let changing = seen::changing(&rows).into_iter().take(TOLD).map(|text| {
        Warning::new("source_seen_as_many", text).advise(
            "a source hash takes it for several sources; or what --seen-as-from names is not the client's address",
        )
    });
    shared.chain(changing).collect()
}
