//! The rows of a recorder: by source, backend, target and failure, and the names they are kept under.
//!
//! Names are interned once, so that a hit costs an index. Their number is bounded: what a server sends must not grow
//! memory without end. Never here: clocks, locks.

use super::pages::Pages;
use crate::wire::fault::{Fault, FaultKind};
use crate::wire::observed::Span;
use crate::wire::report::{BackendRow, Example, FaultRow, SourceRow, TargetRow};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

/// Backend names kept at most; answers beyond are counted and not named.
pub const BACKENDS_KEPT: usize = 64;
/// Addresses that one source is seen as, kept at most.
const SEEN_KEPT: usize = 8;
const DETAILS_KEPT: usize = 48;
const EXAMPLES_KEPT: usize = 3;

/// A source address, by its place in the recorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceId(pub u16);

/// A backend, by its place in the recorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackendId(pub u16);

/// Counts of one source.
pub struct Source {
    /// Its address.
    pub address: IpAddr,
    /// Opened from it.
    pub connections: u64,
    /// Hits answered.
    pub requests: u64,
    /// Failures.
    pub errors: u64,
    /// By backend id.
    pub backends: Vec<Option<Cell>>,
    /// The addresses that it was seen as.
    pub seen_as: Vec<IpAddr>,
    /// Main latency.
    pub latency: Pages,
}

/// What one source saw of one backend.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    count: u64,
    first: Instant,
    last: Instant,
}

/// Counts of one backend.
pub struct Backend {
    /// Its name.
    pub name: String,
    /// Opened to it.
    pub connections: u64,
    /// Lost on it.
    pub dropped: u64,
    /// Hits it answered.
    pub requests: u64,
    /// Failed ones, connections refused and lost.
    pub errors: u64,
    /// Requests of its clients that poll.
    pub polls: u64,
    /// Main latency.
    pub latency: Pages,
}

/// Counts of one target.
#[derive(Default)]
pub struct Target {
    /// Hits answered.
    pub requests: u64,
    /// Failures.
    pub errors: u64,
    /// Opened connections by address.
    pub addresses: BTreeMap<IpAddr, u64>,
    /// Main latency.
    pub latency: Pages,
}

/// All rows of one recorder.
#[derive(Default)]
pub struct Rows {
    /// Sources, by id.
    pub sources: Vec<Source>,
    /// Backends, by id.
    pub backends: Vec<Backend>,
    /// Targets, by number.
    pub targets: Vec<Target>,
    /// Where names were found.
    pub backend_by: Vec<String>,
    /// Answers with a name that was not kept.
    pub backend_overflow: u64,
    faults: BTreeMap<(FaultKind, String), FaultRow>,
}

impl Rows {
    /// The id of a source address.
    pub fn source(&mut self, address: IpAddr) -> SourceId {
        let at = self
            .sources
            .iter()
            .position(|s| s.address == address)
            .unwrap_or_else(|| {
                self.sources.push(Source {
                    address,
                    connections: 0,
                    requests: 0,
                    errors: 0,
                    backends: Vec::new(),
                    seen_as: Vec::new(),
                    latency: Pages::default(),
                });
                self.sources.len() - 1
            });
        SourceId(at as u16)
    }

    /// The id of a backend name; `None` when there are too many names already.
    pub fn backend(&mut self, name: &[u8], by: &str) -> Option<BackendId> {
        if let Some(at) = self.backends.iter().position(|b| b.name.as_bytes() == name) {
            return Some(BackendId(at as u16));
        }
        if self.backends.len() >= BACKENDS_KEPT || name.len() > 128 {
            self.backend_overflow += 1;
            return None;
        }
        let name = String::from_utf8_lossy(name).into_owned();
        if let Some(at) = self.backends.iter().position(|b| b.name == name) {
            return Some(BackendId(at as u16));
        }
        self.backends.push(Backend {
            name,
            connections: 0,
            dropped: 0,
            requests: 0,
            errors: 0,
            polls: 0,
            latency: Pages::default(),
        });
        if !self.backend_by.iter().any(|known| known == by) {
            self.backend_by.push(by.to_owned());
        }
        Some(BackendId((self.backends.len() - 1) as u16))
    }

    /// Row of a target, made when it is new.
    pub fn target(&mut self, number: u16) -> &mut Target {
        let number = usize::from(number);
        if self.targets.len() <= number {
            self.targets.resize_with(number + 1, Target::default);
        }
        &mut self.targets[number]
    }

    /// Counts one more from `source` on `backend` in the matrix.
    pub fn cross(&mut self, source: SourceId, backend: BackendId, now: Instant) {
        let backends = &mut self.sources[usize::from(source.0)].backends;
        let at = usize::from(backend.0);
        if backends.len() <= at {
            backends.resize(at + 1, None);
        }
        let cell = backends[at].get_or_insert(Cell {
            count: 0,
            first: now,
            last: now,
        });
        cell.count += 1;
        cell.last = now;
    }

    /// The other side sees connections of this source as coming from there.
    pub fn seen(&mut self, source: SourceId, as_: IpAddr) {
        let seen = &mut self.sources[usize::from(source.0)].seen_as;
        if !seen.contains(&as_) && seen.len() < SEEN_KEPT {
            seen.push(as_);
        }
    }

    /// Counts a failure and keeps the first few whole.
    pub fn fault(&mut self, fault: &Fault, at_us: u64, source: Option<SourceId>, backend: Option<BackendId>) {
        let known = self.faults.contains_key(&(fault.kind, fault.detail.clone()));
        let full = self.faults.len() >= DETAILS_KEPT;
        let detail = if known || !full {
            fault.detail.clone()
        } else {
            "other".to_owned()
        };
        let row = self
            .faults
            .entry((fault.kind, detail.clone()))
            .or_insert_with(|| FaultRow {
                kind: fault.kind,
                detail,
                count: 0,
                first_at_us: at_us,
                examples: Vec::new(),
            });
        row.count += 1;
        if row.examples.len() < EXAMPLES_KEPT {
            row.examples.push(Example {
                at_us,
                source: source.map(|s| self.sources[usize::from(s.0)].address),
                backend: backend.map(|b| self.backends[usize::from(b.0)].name.clone()),
                status: fault.status,
                excerpt: fault.excerpt.clone(),
            });
        }
    }

    /// Rows as they are reported; `whole` with their histograms. Times are told as us by `at`.
    pub fn report(
        &self,
        whole: bool,
        at: impl Fn(Instant) -> u64,
    ) -> (Vec<SourceRow>, Vec<BackendRow>, Vec<TargetRow>, Vec<FaultRow>) {
        let latency = |pages: &Pages| {
            if whole { pages.snapshot() } else { Default::default() }
        };
        let sources = self.sources.iter().map(|s| SourceRow {
            address: s.address,
            connections: s.connections,
            requests: s.requests,
            errors: s.errors,
            backends: cells(s, &self.backends)
                .map(|(cell, name)| (name.to_owned(), cell.count))
                .collect(),
            spans: cells(s, &self.backends)
                .map(|(cell, name)| Span {
                    backend: name.to_owned(),
                    first_us: at(cell.first),
                    last_us: at(cell.last),
                })
                .collect(),
            seen_as: s.seen_as.clone(),
            latency: latency(&s.latency),
        });
        let backends = self.backends.iter().map(|b| BackendRow {
            name: b.name.clone(),
            connections: b.connections,
            dropped: b.dropped,
            requests: b.requests,
            errors: b.errors,
            polls: b.polls,
            latency: latency(&b.latency),
        });
        let targets = self.targets.iter().map(|t| TargetRow {
            requests: t.requests,
            errors: t.errors,
            addresses: t.addresses.iter().map(|(a, n)| (*a, *n)).collect(),
            latency: latency(&t.latency),
        });
        (
            sources.collect(),
            backends.collect(),
            targets.collect(),
            self.faults.values().cloned().collect(),
        )
    }
}

/// What a source saw, with the names of where.
fn cells<'a>(source: &'a Source, backends: &'a [Backend]) -> impl Iterator<Item = (&'a Cell, &'a str)> {
    let named = source.backends.iter().zip(backends);
    named.filter_map(|(cell, backend)| Some((cell.as_ref()?, backend.name.as_str())))
}
