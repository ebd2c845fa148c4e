//! Adding up the rows of several hosts: statuses, failures, sources, backends, targets, distributions. Pure.

use super::summary::{BackendRow, ErrorRow, ExampleRow, Latencies, SourceRow, TargetRow};
use std::collections::BTreeMap;
use std::net::IpAddr;
use swarm_agent::wire::histogram::Histogram;
use swarm_agent::wire::observed::Span;
use swarm_agent::wire::report::{Connections, Counts, FlowRow, Heartbeats, Latency, Messages, StepRow, Tally};
use swarm_agent::wire::share::{Load, Target};

/// Examples kept of each kind of failure.
const EXAMPLES: usize = 3;

/// Distributions by name; a name said twice is added up.
pub fn latencies(list: &[(Latency, Histogram)]) -> Latencies {
    let mut by_name = Latencies::new();
    for (name, histogram) in list {
        by_name.entry(*name).or_default().add(histogram);
    }
    by_name
}

/// Adds distributions to others.
pub fn add_latencies(into: &mut Latencies, other: &Latencies) {
    for (name, histogram) in other {
        into.entry(*name).or_default().add(histogram);
    }
}

/// Which latency the rows by source, backend and target hold: handshakes where clients say nothing, else hits from
/// their due time where there is one, else from when they were sent. With a playbook (`played`) some hits have a due time
/// and some have none, so it is from when they were sent.
pub fn row_latency(load: &Load, played: bool, whole: &Latencies) -> Latency {
    let due = whole.get(&Latency::Request).is_some_and(|h| h.count > 0);
    match load {
        Load::Held(_) if played => Latency::Service,
        Load::Held(held) if held.cadence.is_none() => Latency::Handshake,
        Load::Open(_) => Latency::Request,
        Load::Held(_) if due => Latency::Request,
        Load::Held(_) | Load::Closed(_) => Latency::Service,
    }
}

/// Adds every counter; one that is not named here does not compile.
pub fn add_tally(into: &mut Tally, other: &Tally) {
    let Tally {
        requests,
        ok,
        failed,
        unfinished,
        not_started,
        late,
        bytes_sent,
        bytes_received,
        connections,
        messages,
        heartbeats,
        stayed_polling,
    } = other;
    into.requests += requests;
    into.ok += ok;
    into.failed += failed;
    into.unfinished += unfinished;
    into.not_started += not_started;
    into.late += late;
    into.bytes_sent += bytes_sent;
    into.bytes_received += bytes_received;
    into.stayed_polling += stayed_polling;
    add_connections(&mut into.connections, connections);
    add_messages(&mut into.messages, messages);
    let Heartbeats { seen, missed } = heartbeats;
    into.heartbeats.seen += seen;
    into.heartbeats.missed += missed;
}

fn add_connections(into: &mut Connections, other: &Connections) {
    let Connections {
        attempted,
        opened,
        failed,
        unfinished,
        dropped,
        stormed,
        reconnected,
        gave_up,
        away,
        open,
    } = other;
    into.attempted += attempted;
    into.opened += opened;
    into.failed += failed;
    into.unfinished += unfinished;
    into.dropped += dropped;
    into.stormed += stormed;
    into.reconnected += reconnected;
    into.gave_up += gave_up;
    into.away += away;
    into.open += open;
}

fn add_messages(into: &mut Messages, other: &Messages) {
    let Messages {
        sent,
        received,
        expected,
        acked,
        lost,
        unfinished,
    } = other;
    into.sent += sent;
    into.received += received;
    into.expected += expected;
    into.acked += acked;
    into.lost += lost;
    into.unfinished += unfinished;
}

/// Answers by status, rising.
pub fn statuses(hosts: &[(&str, &Counts)]) -> Vec<(u16, u64)> {
    let mut rows: BTreeMap<u16, u64> = BTreeMap::new();
    for (status, n) in hosts.iter().flat_map(|(_, counts)| &counts.statuses) {
        *rows.entry(*status).or_default() += n;
    }
    rows.into_iter().collect()
}

/// Failures by kind and detail, the most frequent first, the earliest examples of each.
pub fn errors(hosts: &[(&str, &Counts)]) -> Vec<ErrorRow> {
    let mut rows: BTreeMap<_, ErrorRow> = BTreeMap::new();
    for (host, fault) in hosts
        .iter()
        .flat_map(|(host, c)| c.faults.iter().map(move |f| (*host, f)))
    {
        let row = rows
            .entry((fault.kind, fault.detail.clone()))
            .or_insert_with(|| ErrorRow {
                kind: fault.kind,
                detail: fault.detail.clone(),
                count: 0,
                first_at_us: fault.first_at_us,
                examples: Vec::new(),
            });
        row.count += fault.count;
        row.first_at_us = row.first_at_us.min(fault.first_at_us);
        row.examples.extend(fault.examples.iter().map(|example| ExampleRow {
            at_us: example.at_us,
            host: host.to_owned(),
            source: example.source,
            backend: example.backend.clone(),
            status: example.status,
            body: String::from_utf8_lossy(&example.excerpt).into_owned(),
        }));
        row.examples.sort_by_key(|example| example.at_us);
        row.examples.truncate(EXAMPLES);
    }
    let mut rows: Vec<ErrorRow> = rows.into_values().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.count));
    rows
}

/// Sources, host by host.
pub fn sources(hosts: &[(&str, &Counts)]) -> Vec<SourceRow> {
    let mut rows = Vec::new();
    for (host, counts) in hosts {
        let mut of_host: BTreeMap<IpAddr, SourceRow> = BTreeMap::new();
        for source in &counts.sources {
            let row = of_host.entry(source.address).or_insert_with(|| SourceRow {
                host: (*host).to_owned(),
                address: source.address,
                connections: 0,
                requests: 0,
                errors: 0,
                backends: Vec::new(),
                spans: Vec::new(),
                seen_as: Vec::new(),
                latency: Histogram::default(),
            });
            row.connections += source.connections;
            row.requests += source.requests;
            row.errors += source.errors;
            row.latency.add(&source.latency);
            row.backends.extend(source.backends.iter().cloned());
            row.spans.extend(source.spans.iter().cloned());
            row.seen_as.extend(&source.seen_as);
        }
        rows.extend(of_host.into_values().map(|mut row| {
            row.seen_as.sort();
            row.seen_as.dedup();
            SourceRow {
                backends: summed(row.backends),
                spans: spanned(row.spans),
                ..row
            }
        }));
    }
    rows
}

/// Backends by name. `clients`: shares are of clients, else of hits.
pub fn backends(hosts: &[(&str, &Counts)], clients: bool) -> Vec<BackendRow> {
    let mut rows: BTreeMap<&str, BackendRow> = BTreeMap::new();
    for backend in hosts.iter().flat_map(|(_, counts)| &counts.backends) {
        let row = rows.entry(&backend.name).or_insert_with(|| BackendRow {
            name: backend.name.clone(),
            connections: 0,
            dropped: 0,
            requests: 0,
            errors: 0,
            polls: 0,
            share: None,
            latency: Histogram::default(),
        });
        row.connections += backend.connections;
        row.dropped += backend.dropped;
        row.requests += backend.requests;
        row.errors += backend.errors;
        row.polls += backend.polls;
        row.latency.add(&backend.latency);
    }
    let load = |row: &BackendRow| {
        if clients { row.connections } else { row.requests }
    };
    let all: u64 = rows.values().map(load).sum();
    rows.into_values()
        .map(|row| BackendRow {
            share: (all > 0).then(|| load(&row) as f64 / all as f64),
            ..row
        })
        .collect()
}

/// Targets in the plan's order.
pub fn targets(plan: &[Target], hosts: &[(&str, &Counts)]) -> Vec<TargetRow> {
    plan.iter()
        .enumerate()
        .map(|(at, target)| {
            let mut row = TargetRow {
                url: target.url.clone(),
                requests: 0,
                errors: 0,
                addresses: Vec::new(),
                latency: Histogram::default(),
            };
            let mut addresses = Vec::new();
            for part in hosts.iter().filter_map(|(_, counts)| counts.targets.get(at)) {
                row.requests += part.requests;
                row.errors += part.errors;
                row.latency.add(&part.latency);
                addresses.extend(part.addresses.iter().copied());
            }
            row.addresses = summed(addresses);
            row
        })
        .collect()
}

/// Flows of the playbook in its order, steps added up; every host has the same.
pub fn flows(hosts: &[(&str, &Counts)]) -> Vec<FlowRow> {
    let mut rows: Vec<FlowRow> = Vec::new();
    for (at, flow) in hosts.iter().flat_map(|(_, counts)| counts.flows.iter().enumerate()) {
        let Some(row) = rows.get_mut(at) else {
            rows.push(flow.clone());
            continue;
        };
        let FlowRow {
            name: _,
            clients,
            steps,
        } = flow;
        row.clients += clients;
        for (into, step) in row.steps.iter_mut().zip(steps) {
            let StepRow {
                label: _,
                connects: _,
                requests,
                ok,
                failed,
                unfinished,
                latency,
            } = step;
            into.requests += requests;
            into.ok += ok;
            into.failed += failed;
            into.unfinished += unfinished;
            into.latency.add(latency);
        }
    }
    rows
}

/// Where the backends' names were found, all hosts together.
pub fn backend_by(hosts: &[(&str, &Counts)]) -> Vec<String> {
    let mut by: Vec<String> = hosts.iter().flat_map(|(_, c)| c.backend_by.clone()).collect();
    by.sort();
    by.dedup();
    by
}

/// Of each backend the earliest and the latest time.
fn spanned(spans: Vec<Span>) -> Vec<Span> {
    let mut by_name: BTreeMap<String, Span> = BTreeMap::new();
    for span in spans {
        let known = by_name.entry(span.backend.clone()).or_insert_with(|| span.clone());
        known.first_us = known.first_us.min(span.first_us);
        known.last_us = known.last_us.max(span.last_us);
    }
    by_name.into_values().collect()
}

fn summed<K: Ord>(pairs: Vec<(K, u64)>) -> Vec<(K, u64)> {
    let mut sums: BTreeMap<K, u64> = BTreeMap::new();
    for (key, n) in pairs {
        *sums.entry(key).or_default() += n;
    }
    sums.into_iter().collect()
}
