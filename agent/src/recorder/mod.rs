//! Counts and histograms of one worker thread. No lock, no clock of its own: instants are handed in.
//!
//! Whole-run and interval distributions are recorded side by side, so that the controller can prove that the intervals
//! add up to the whole. Never here: sockets, protocols.

pub mod cast;
mod connections;
pub mod counts;
mod departures;
pub mod flows;
mod messages;
mod observed;
pub mod pages;
mod recording;
pub mod rows;

pub use departures::Away;
pub use flows::StepId;
pub use recording::Recording;
pub use rows::{BackendId, SourceId};

use crate::wire::fault::Fault;
use crate::wire::observed::Strays;
use crate::wire::report::{Heartbeats, Latency, Tally};
use cast::Casts;
use departures::Departures;
use flows::Flows;
use pages::Pages;
use rows::Rows;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A hit is late when it is sent more than this after it was due.
pub const LATE: Duration = Duration::from_millis(1);

/// One hit on its way: what is known when it is sent.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    /// When it was due; `None` in a closed loop.
    pub due: Option<Instant>,
    /// When it was taken up to be sent.
    pub sent: Instant,
    /// From where.
    pub source: SourceId,
    /// To which target.
    pub target: u16,
    epoch: u32,
}

/// How long the stages of a connect took.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConnectTimes {
    /// TCP.
    pub tcp: Duration,
    /// TLS.
    pub tls: Option<Duration>,
    /// Engine.IO's open packet.
    pub open: Option<Duration>,
    /// The first namespace.
    pub namespace: Option<Duration>,
    /// Upgrade or Engine.IO open and namespace connect.
    pub handshake: Option<Duration>,
}

/// What one worker recorded.
pub struct Recorder {
    start: Instant,
    epoch: u32,
    tally: Tally,
    warmup: Option<Tally>,
    statuses: BTreeMap<u16, u64>,
    rows: Rows,
    whole: [Option<Box<Pages>>; Latency::ALL.len()],
    interval: [Option<Box<Pages>>; Latency::ALL.len()],
    redirected: u64,
    location: Option<String>,
    stayed: Option<String>,
    first: Option<(Instant, Instant)>,
    row_latency: RowLatency,
    flows: Flows,
    casts: Option<Box<Casts>>,
    strays: Strays,
    departures: Departures,
}

/// Which latency stands in the rows by source, backend and target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RowLatency {
    Hits,
    Handshakes,
    /// Hits from when they were sent: a playbook's have a due time here and none there.
    Service,
}

impl Recorder {
    /// A recorder whose instants count from `start`; `held` runs put handshakes into the rows while nothing is sent.
    pub fn new(start: Instant, held_without_messages: bool, targets: usize) -> Self {
        let mut rows = Rows::default();
        rows.targets.resize_with(targets, rows::Target::default);
        Self {
            start,
            epoch: 0,
            tally: Tally::default(),
            warmup: None,
            statuses: BTreeMap::new(),
            rows,
            whole: Default::default(),
            interval: Default::default(),
            redirected: 0,
            location: None,
            stayed: None,
            first: None,
            row_latency: if held_without_messages {
                RowLatency::Handshakes
            } else {
                RowLatency::Hits
            },
            flows: Flows::default(),
            casts: None,
            strays: Strays::default(),
            departures: Departures::default(),
        }
    }

    /// Ends the warm-up: what was counted so far is kept apart, and what is in flight belongs to it.
    pub fn end_warmup(&mut self) {
        let connections = &self.tally.connections;
        let (open, unfinished) = (connections.open, connections.unfinished);
        let mut fresh = Self::new(
            self.start,
            self.row_latency == RowLatency::Handshakes,
            self.rows.targets.len(),
        );
        // ids that connections hold must stay valid
        for source in &self.rows.sources {
            let id = fresh.rows.source(source.address);
            // what a kept connection was told once it is not told again
            source.seen_as.iter().for_each(|seen| fresh.rows.seen(id, *seen));
        }
        for backend in &self.rows.backends {
            fresh.rows.backend(
                backend.name.as_bytes(),
                self.rows.backend_by.first().map_or("", String::as_str),
            );
        }
        fresh.tally.connections.open = open;
        fresh.tally.connections.unfinished = unfinished;
        fresh.tally.connections.attempted = unfinished;
        fresh.epoch = self.epoch + 1;
        fresh.warmup = Some(std::mem::take(&mut self.tally));
        *self = fresh;
    }

    /// The id of a source address.
    pub fn source(&mut self, address: IpAddr) -> SourceId {
        self.rows.source(address)
    }

    /// The id of a backend name found at `by`; `None` when too many were seen.
    pub fn backend(&mut self, name: &[u8], by: &str) -> Option<BackendId> {
        self.rows.backend(name, by)
    }

    /// Bytes that crossed sockets.
    #[inline]
    pub fn bytes(&mut self, sent: u64, received: u64) {
        self.tally.bytes_sent += sent;
        self.tally.bytes_received += received;
    }

    /// A hit goes out now.
    #[inline]
    pub fn hit_sent(&mut self, due: Option<Instant>, sent: Instant, source: SourceId, target: u16) -> Mark {
        self.tally.requests += 1;
        self.tally.unfinished += 1;
        if self.first.is_none() {
            self.first = Some((due.unwrap_or(self.start), sent));
        }
        if let Some(due) = due {
            let lateness = sent.saturating_duration_since(due);
            self.tally.late += u64::from(lateness > LATE);
            self.latency(Latency::Lateness, lateness);
        }
        Mark {
            due,
            sent,
            source,
            target,
            epoch: self.epoch,
        }
    }

    /// The hit was answered well. `matrix`: it counts in the source-to-backend matrix (http).
    #[inline]
    pub fn hit_ok(&mut self, mark: &Mark, done: Instant, backend: Option<BackendId>, status: Option<u16>) {
        if mark.epoch != self.epoch {
            return self.warmup_answered(true);
        }
        self.tally.unfinished -= 1;
        self.tally.ok += 1;
        let service = done.saturating_duration_since(mark.sent);
        self.latency(Latency::Service, service);
        let main = match mark.due {
            Some(due) => {
                let whole = done.saturating_duration_since(due);
                self.latency(Latency::Request, whole);
                whole
            }
            None => service,
        };
        self.answered(mark, done, backend, status, (micros(main), micros(service)));
    }

    /// The hit failed. `fault` is `None` when its connection's failure was counted already.
    pub fn hit_failed(
        &mut self,
        mark: &Mark,
        done: Instant,
        backend: Option<BackendId>,
        status: Option<u16>,
        fault: Option<&Fault>,
    ) {
        if mark.epoch != self.epoch {
            return self.warmup_answered(false);
        }
        self.tally.unfinished -= 1;
        self.tally.failed += 1;
        self.latency(
            Latency::RequestFailed,
            done.saturating_duration_since(mark.due.unwrap_or(mark.sent)),
        );
        if let Some(status) = status {
            *self.statuses.entry(status).or_default() += 1;
        }
        self.rows.sources[usize::from(mark.source.0)].requests += 1;
        self.rows.target(mark.target).requests += 1;
        if let Some(backend) = backend {
            let row = &mut self.rows.backends[usize::from(backend.0)];
            row.requests += 1;
            row.errors += 1;
            if status.is_some() {
                self.rows.cross(mark.source, backend, done);
            }
        }
        if let Some(fault) = fault {
            self.fault(fault, done, Some(mark.source), backend, mark.target);
        }
    }

    /// Polls and posts of a client of this backend.
    pub fn polled(&mut self, backend: BackendId, requests: u64) {
        self.rows.backends[usize::from(backend.0)].polls += requests;
    }

    /// Heartbeats of an Engine.IO session.
    pub fn heartbeats(&mut self, more: Heartbeats) {
        self.tally.heartbeats.seen += more.seen;
        self.tally.heartbeats.missed += more.missed;
    }

    /// A client stays on polling, as its upgrade failed.
    pub fn stays_polling(&mut self, fault: &Fault) {
        self.tally.stayed_polling += 1;
        self.stayed.get_or_insert_with(|| fault.to_string());
    }

    /// Hits that were due and were never sent.
    pub fn not_started(&mut self, hits: u64) {
        self.tally.not_started += hits;
    }

    /// A redirect that was not followed.
    pub fn redirected(&mut self, location: &str) {
        self.redirected += 1;
        self.location
            .get_or_insert_with(|| location.chars().take(512).collect());
    }

    /// Records one duration.
    #[inline]
    pub fn latency(&mut self, name: Latency, took: Duration) {
        let us = micros(took);
        let at = name as usize;
        self.whole[at].get_or_insert_default().record(us);
        self.interval[at].get_or_insert_default().record(us);
    }

    #[inline]
    fn answered(
        &mut self,
        mark: &Mark,
        done: Instant,
        backend: Option<BackendId>,
        status: Option<u16>,
        (main, service): (u64, u64),
    ) {
        self.rows.sources[usize::from(mark.source.0)].requests += 1;
        self.rows.target(mark.target).requests += 1;
        if let Some(status) = status {
            *self.statuses.entry(status).or_default() += 1;
        }
        if let Some(backend) = backend {
            self.rows.backends[usize::from(backend.0)].requests += 1;
            if status.is_some() {
                self.rows.cross(mark.source, backend, done);
            }
        }
        match self.row_latency {
            RowLatency::Hits => self.row(mark.source, backend, mark.target, main),
            RowLatency::Service => self.row(mark.source, backend, mark.target, service),
            RowLatency::Handshakes => {}
        }
    }

    #[inline]
    fn row(&mut self, source: SourceId, backend: Option<BackendId>, target: u16, us: u64) {
        self.rows.sources[usize::from(source.0)].latency.record(us);
        self.rows.target(target).latency.record(us);
        if let Some(backend) = backend {
            self.rows.backends[usize::from(backend.0)].latency.record(us);
        }
    }

    fn fault(
        &mut self,
        fault: &Fault,
        now: Instant,
        source: Option<SourceId>,
        backend: Option<BackendId>,
        target: u16,
    ) {
        if let Some(source) = source {
            self.rows.sources[usize::from(source.0)].errors += 1;
        }
        self.rows.target(target).errors += 1;
        let at_us = micros(now.saturating_duration_since(self.start));
        self.rows.fault(fault, at_us, source, backend);
    }

    fn warmup_answered(&mut self, ok: bool) {
        if let Some(warmup) = &mut self.warmup {
            warmup.unfinished = warmup.unfinished.saturating_sub(1);
            *(if ok { &mut warmup.ok } else { &mut warmup.failed }) += 1;
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
