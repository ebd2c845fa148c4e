//! What a recorder counts of connections: tried, opened, failed, lost, back again. Never here: hits and messages.

use super::{BackendId, ConnectTimes, Recorder, RowLatency, SourceId, micros};
use crate::wire::fault::Fault;
use crate::wire::report::Latency;
use std::net::IpAddr;
use std::time::Instant;

impl Recorder {
    /// A connection is tried. Every try ends in [`Recorder::opened`] or [`Recorder::attempt_failed`], or is unfinished.
    pub fn attempted(&mut self, due: Option<Instant>, now: Instant) {
        self.tally.connections.attempted += 1;
        self.tally.connections.unfinished += 1;
        self.first.get_or_insert((due.unwrap_or(self.start), now));
    }

    /// The connection stands. `since`: from then on it counts in the matrix (websocket and socketio).
    pub fn opened(
        &mut self,
        source: SourceId,
        backend: Option<BackendId>,
        target: u16,
        remote: IpAddr,
        since: Option<Instant>,
        times: ConnectTimes,
    ) {
        self.tally.connections.unfinished -= 1;
        self.tally.connections.opened += 1;
        self.tally.connections.open += 1;
        self.connect_times(times);
        if let (RowLatency::Handshakes, Some(handshake)) = (self.row_latency, times.handshake) {
            self.row(source, backend, target, micros(handshake));
        }
        self.rows.sources[usize::from(source.0)].connections += 1;
        *self.rows.target(target).addresses.entry(remote).or_default() += 1;
        if let Some(backend) = backend {
            self.rows.backends[usize::from(backend.0)].connections += 1;
            if let Some(now) = since {
                self.rows.cross(source, backend, now);
            }
        }
    }

    /// Records the stages of a connect that is no connection of its own in the counts: a second socket of polling.
    pub fn connect_times(&mut self, times: ConnectTimes) {
        self.latency(Latency::Connect, times.tcp);
        for (name, took) in [
            (Latency::Tls, times.tls),
            (Latency::Open, times.open),
            (Latency::Namespace, times.namespace),
            (Latency::Handshake, times.handshake),
        ] {
            if let Some(took) = took {
                self.latency(name, took);
            }
        }
    }

    /// The try failed.
    pub fn attempt_failed(
        &mut self,
        source: Option<SourceId>,
        backend: Option<BackendId>,
        target: u16,
        fault: &Fault,
        now: Instant,
    ) {
        self.tally.connections.unfinished -= 1;
        self.tally.connections.failed += 1;
        if let Some(status) = fault.status {
            *self.statuses.entry(status).or_default() += 1;
        }
        if let Some(backend) = backend {
            self.rows.backends[usize::from(backend.0)].errors += 1;
        }
        self.fault(fault, now, source, backend, target);
    }

    /// An open connection went without our closing it.
    pub fn dropped(&mut self, source: SourceId, backend: Option<BackendId>, target: u16, fault: &Fault, now: Instant) {
        self.tally.connections.dropped += 1;
        self.tally.connections.open -= 1;
        if let Some(backend) = backend {
            let row = &mut self.rows.backends[usize::from(backend.0)];
            row.dropped += 1;
            row.errors += 1;
        }
        self.departures.left(backend, self.since_start(now), false);
        self.fault(fault, now, Some(source), backend, target);
    }

    /// We dropped an open connection in a storm.
    pub fn stormed(&mut self, backend: Option<BackendId>, now: Instant) {
        self.tally.connections.stormed += 1;
        self.tally.connections.open -= 1;
        self.departures.left(backend, self.since_start(now), true);
    }

    /// We closed an open connection, or the server did where it may (http between hits).
    pub fn closed(&mut self) {
        self.tally.connections.open -= 1;
    }
}
