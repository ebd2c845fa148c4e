//! What a recorder counts of connections: tried, opened, failed, lost, back again. Never here: hits and messages.

use super::{BackendId, ConnectTimes, Recorder, RowLatency, SourceId, micros};
use crate::wire::fault::Fault;
use crate::wire::report::Latency;
use std::net::IpAddr;
use std::time::{Duration, Instant};

impl Recorder {
    /// A connection is tried. Every try ends in [`Recorder::opened`] or [`Recorder::attempt_failed`], or is unfinished.
    pub fn attempted(&mut self, due: Option<Instant>, now: Instant) {
        self.tally.connections.attempted += 1;
        self.tally.connections.unfinished += 1;
        self.first.get_or_insert((due.unwrap_or(self.start), now));
    }

    /// The connection stands. `client`: it counts in the matrix (websocket and socketio).
    pub fn opened(
        &mut self,
        source: SourceId,
        backend: Option<BackendId>,
        target: u16,
        remote: IpAddr,
        client: bool,
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
            if client {
                self.rows.cross(source, backend);
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
        self.fault(fault, now, source, backend, target);
    }

    /// An open connection went without our closing it.
    pub fn dropped(&mut self, source: SourceId, backend: Option<BackendId>, target: u16, fault: &Fault, now: Instant) {
        self.tally.connections.dropped += 1;
        self.tally.connections.open -= 1;
        self.fault(fault, now, Some(source), backend, target);
    }

    /// We dropped an open connection in a storm.
    pub fn stormed(&mut self) {
        self.tally.connections.stormed += 1;
        self.tally.connections.open -= 1;
    }

    /// The client of a connection that was lost or stormed is on its way back. It ends in [`Recorder::returned`] or
    /// [`Recorder::gave_up`], or is still away at its end.
    pub fn away(&mut self) {
        self.tally.connections.away += 1;
    }

    /// It stands again, so long after the loss.
    pub fn returned(&mut self, took: Duration) {
        self.tally.connections.away -= 1;
        self.tally.connections.reconnected += 1;
        self.latency(Latency::Reconnect, took);
    }

    /// It stays lost.
    pub fn gave_up(&mut self) {
        self.tally.connections.away -= 1;
        self.tally.connections.gave_up += 1;
    }

    /// We closed an open connection, or the server did where it may (http between hits).
    pub fn closed(&mut self) {
        self.tally.connections.open -= 1;
    }
}
