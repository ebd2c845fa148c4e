//! Adding the recordings of a host's threads into one. Pure.

use super::Recording;
use crate::wire::broadcast::Casts;
use crate::wire::histogram::Histogram;
use crate::wire::observed::together;
use crate::wire::report::{BackendRow, Counts, FaultRow, FlowRow, Latency, SourceRow, Tally, TargetRow};
use std::collections::BTreeMap;

/// Adds one tally to another, every counter.
pub fn add_tally(into: &mut Tally, other: &Tally) {
    into.requests += other.requests;
    into.ok += other.ok;
    into.failed += other.failed;
    into.unfinished += other.unfinished;
    into.not_started += other.not_started;
    into.late += other.late;
    into.bytes_sent += other.bytes_sent;
    into.bytes_received += other.bytes_received;
    let (c, o) = (&mut into.connections, &other.connections);
    c.attempted += o.attempted;
    c.opened += o.opened;
    c.failed += o.failed;
    c.unfinished += o.unfinished;
    c.dropped += o.dropped;
    c.stormed += o.stormed;
    c.reconnected += o.reconnected;
    c.gave_up += o.gave_up;
    c.away += o.away;
    c.open += o.open;
    let (m, o) = (&mut into.messages, &other.messages);
    m.sent += o.sent;
    m.received += o.received;
    m.expected += o.expected;
    m.acked += o.acked;
    m.lost += o.lost;
    m.unfinished += o.unfinished;
    into.heartbeats.seen += other.heartbeats.seen;
    into.heartbeats.missed += other.heartbeats.missed;
    into.stayed_polling += other.stayed_polling;
}

/// Adds up what the threads of a host recorded.
pub fn add_up(parts: &[Recording]) -> Recording {
    let mut counts = Counts::default();
    let mut statuses: BTreeMap<u16, u64> = BTreeMap::new();
    let mut latency: BTreeMap<Latency, Histogram> = BTreeMap::new();
    let mut warmup: Option<Tally> = None;
    let mut casts: Option<Box<Casts>> = None;
    for part in parts {
        add_tally(&mut counts.tally, &part.counts.tally);
        for (status, n) in &part.counts.statuses {
            *statuses.entry(*status).or_default() += n;
        }
        for (name, histogram) in &part.latency {
            latency.entry(*name).or_default().add(histogram);
        }
        if let Some(tally) = &part.warmup {
            add_tally(warmup.get_or_insert_default(), tally);
        }
        if let Some(more) = &part.casts {
            casts.get_or_insert_default().add(more);
        }
        add_rows(&mut counts, &part.counts);
    }
    counts.departures = together(std::mem::take(&mut counts.departures));
    counts.statuses = statuses.into_iter().collect();
    Recording {
        counts,
        latency: latency.into_iter().collect(),
        warmup,
        casts,
        first: parts.iter().filter_map(|p| p.first).min_by_key(|(_, sent)| *sent),
    }
}

fn add_rows(into: &mut Counts, other: &Counts) {
    for row in &other.sources {
        match into.sources.iter_mut().find(|known| known.address == row.address) {
            Some(known) => add_source(known, row),
            None => into.sources.push(row.clone()),
        }
    }
    for row in &other.backends {
        match into.backends.iter_mut().find(|known| known.name == row.name) {
            Some(known) => add_backend(known, row),
            None => into.backends.push(row.clone()),
        }
    }
    if into.targets.len() < other.targets.len() {
        into.targets.resize_with(other.targets.len(), TargetRow::default);
    }
    for (known, row) in into.targets.iter_mut().zip(&other.targets) {
        known.requests += row.requests;
        known.errors += row.errors;
        known.latency.add(&row.latency);
        for (address, n) in &row.addresses {
            add_named(&mut known.addresses, address, *n);
        }
    }
    for row in &other.faults {
        match into
            .faults
            .iter_mut()
            .find(|known| known.kind == row.kind && known.detail == row.detail)
        {
            Some(known) => add_fault(known, row),
            None => into.faults.push(row.clone()),
        }
    }
    for by in &other.backend_by {
        if !into.backend_by.contains(by) {
            into.backend_by.push(by.clone());
        }
    }
    if into.flows.len() < other.flows.len() {
        into.flows = other.flows.clone();
    } else {
        for (known, row) in into.flows.iter_mut().zip(&other.flows) {
            add_flow(known, row);
        }
    }
    into.strays.add(&other.strays);
    into.departures.extend(other.departures.iter().cloned());
    into.backend_overflow += other.backend_overflow;
    into.redirected += other.redirected;
    into.location = into.location.take().or_else(|| other.location.clone());
    into.stayed = into.stayed.take().or_else(|| other.stayed.clone());
}

fn add_source(known: &mut SourceRow, row: &SourceRow) {
    known.connections += row.connections;
    known.requests += row.requests;
    known.errors += row.errors;
    known.latency.add(&row.latency);
    for (name, n) in &row.backends {
        add_named(&mut known.backends, name, *n);
    }
    for span in &row.spans {
        match known.spans.iter_mut().find(|known| known.backend == span.backend) {
            Some(known) => {
                known.first_us = known.first_us.min(span.first_us);
                known.last_us = known.last_us.max(span.last_us);
            }
            None => known.spans.push(span.clone()),
        }
    }
    for seen in &row.seen_as {
        if !known.seen_as.contains(seen) {
            known.seen_as.push(*seen);
        }
    }
}

fn add_backend(known: &mut BackendRow, row: &BackendRow) {
    known.connections += row.connections;
    known.dropped += row.dropped;
    known.requests += row.requests;
    known.errors += row.errors;
    known.polls += row.polls;
    known.latency.add(&row.latency);
}

fn add_fault(known: &mut FaultRow, row: &FaultRow) {
    known.count += row.count;
    known.first_at_us = known.first_at_us.min(row.first_at_us);
    known.examples.extend(row.examples.iter().cloned());
    known.examples.sort_by_key(|example| example.at_us);
    known.examples.truncate(3);
}

fn add_flow(known: &mut FlowRow, row: &FlowRow) {
    known.clients += row.clients;
    for (known, step) in known.steps.iter_mut().zip(&row.steps) {
        known.requests += step.requests;
        known.ok += step.ok;
        known.failed += step.failed;
        known.unfinished += step.unfinished;
        known.latency.add(&step.latency);
    }
}

fn add_named<K: PartialEq + Clone>(rows: &mut Vec<(K, u64)>, key: &K, more: u64) {
    match rows.iter_mut().find(|(known, _)| known == key) {
        Some((_, n)) => *n += more,
        None => rows.push((key.clone(), more)),
    }
}
