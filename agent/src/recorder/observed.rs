//! What is noted of the balancer beside hits and connections: names that come late, sessions that stray, addresses that
//! sources are seen as. Never here: where it is found.

use super::{BackendId, Recorder, RowLatency, SourceId, micros};
use crate::wire::observed::{Stray, Strays};
use std::net::IpAddr;
use std::time::{Duration, Instant};

impl Recorder {
    /// The backend of a client that stands is known only now; its handshake took so long.
    pub fn named(&mut self, source: SourceId, backend: BackendId, handshake: Duration, now: Instant) {
        self.lands(source, backend, now);
        if self.row_latency == RowLatency::Handshakes {
            self.rows.backends[usize::from(backend.0)]
                .latency
                .record(micros(handshake));
        }
    }

    /// A client without a handshake, or one whose handshake did not name it, is on this backend.
    pub fn lands(&mut self, source: SourceId, backend: BackendId, now: Instant) {
        self.rows.backends[usize::from(backend.0)].connections += 1;
        self.rows.cross(source, backend, now);
    }

    /// The first answer on an http connection came from this backend.
    pub fn carried(&mut self, backend: BackendId) {
        self.rows.backends[usize::from(backend.0)].connections += 1;
    }

    /// A session was seen on a second backend, for the first time.
    pub fn strayed(&mut self, at: Instant, source: IpAddr, session: &str, from: &[u8], to: &[u8]) {
        let name = |name: &[u8]| String::from_utf8_lossy(&name[..name.len().min(128)]).into_owned();
        let stray = Stray {
            at_us: self.since_start(at),
            source,
            session: session.to_owned(),
            from: name(from),
            to: name(to),
        };
        self.strays.add(&Strays {
            sessions: 1,
            first: Some(stray),
        });
    }

    /// The same between two backends that have ids.
    pub fn strayed_between(&mut self, at: Instant, source: SourceId, session: &str, from: BackendId, to: BackendId) {
        let name = |id: BackendId| self.rows.backends[usize::from(id.0)].name.clone();
        let (from, to) = (name(from), name(to));
        let source = self.rows.sources[usize::from(source.0)].address;
        self.strayed(at, source, session, from.as_bytes(), to.as_bytes());
    }

    /// The name of a backend.
    pub fn name_of(&self, backend: BackendId) -> &str {
        self.rows
            .backends
            .get(usize::from(backend.0))
            .map_or("", |row| &row.name)
    }

    /// The other side sees connections of this source as coming from there.
    pub fn seen(&mut self, source: SourceId, seen_as: IpAddr) {
        self.rows.seen(source, seen_as);
    }
}
