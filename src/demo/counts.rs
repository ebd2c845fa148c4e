//! Owns the backends' own counts: who connected where, how many are open, what they sent.
//! Never touches a socket, and knows nothing of what swarm itself measured.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

/// What the demo's servers counted since the start or the last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Socket.IO clients that ever connected, by source address, then by backend name. A pair that never
    /// occurred is absent.
    pub sources: BTreeMap<IpAddr, BTreeMap<String, u64>>,
    /// Totals by backend name; every backend is present, also one that nobody reached.
    pub backends: BTreeMap<String, BackendCounts>,
    /// TCP connections that the balancer accepted and could not pass on to a backend.
    pub unrouted: u64,
}

/// One backend's totals. A client is one Socket.IO connect to the namespace `/`, whatever its carrier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackendCounts {
    /// Clients that ever connected.
    pub clients: u64,
    /// Clients connected now. A polling client that left without a word stays open until its ping times out.
    pub open: u64,
    /// The largest value `open` had.
    pub peak: u64,
    /// Events received from clients, of any name.
    pub emits: u64,
}

/// The counters that all servers of one demo share.
#[derive(Debug)]
pub(super) struct Tally {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Raised by each reset, so that a client from before it is not subtracted after it.
    era: u64,
    counts: Counts,
}

/// One connected client: counted as open until it is dropped.
#[derive(Debug)]
pub(super) struct Visit {
    tally: Arc<Tally>,
    backend: &'static str,
    era: u64,
}

impl Tally {
    pub(super) fn new(backends: &[&'static str]) -> Arc<Self> {
        let backends = backends
            .iter()
            .map(|name| ((*name).to_owned(), BackendCounts::default()));
        let counts = Counts {
            backends: backends.collect(),
            ..Counts::default()
        };
        Arc::new(Self {
            state: Mutex::new(State { era: 0, counts }),
        })
    }

    /// A client from `source` connected to `backend`.
    pub(super) fn connected(self: &Arc<Self>, backend: &'static str, source: IpAddr) -> Visit {
        let mut state = self.lock();
        *state
            .counts
            .sources
            .entry(source)
            .or_default()
            .entry(backend.to_owned())
            .or_default() += 1;
        let totals = state.of(backend);
        totals.clients += 1;
        totals.open += 1;
        totals.peak = totals.peak.max(totals.open);
        Visit {
            tally: Arc::clone(self),
            backend,
            era: state.era,
        }
    }

    /// A client sent an event to `backend`.
    pub(super) fn received(&self, backend: &'static str) {
        self.lock().of(backend).emits += 1;
    }

    /// The balancer could not pass a connection on.
    pub(super) fn unrouted(&self) {
        self.lock().counts.unrouted += 1;
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    /// All counts to zero. Clients that are open now are forgotten, also when they leave later.
    pub(super) fn reset(&self) {
        let mut state = self.lock();
        state.era += 1;
        state.counts.sources.clear();
        state.counts.unrouted = 0;
        for totals in state.counts.backends.values_mut() {
            *totals = BackendCounts::default();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no holder of this lock panics: they only add and copy")
    }
}

impl State {
    fn of(&mut self, backend: &'static str) -> &mut BackendCounts {
        self.counts
            .backends
            .get_mut(backend)
            .expect("the tally was made with every backend's name")
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut state = self.tally.lock();
        if state.era == self.era {
            state.of(self.backend).open -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    #[test]
    fn clients_are_counted_by_source_and_backend() {
        let tally = Tally::new(&["s1", "s2"]);
        let first = tally.connected("s1", source(2));
        let second = tally.connected("s1", source(2));
        let third = tally.connected("s2", source(3));
        tally.received("s2");
        tally.unrouted();
        drop(first);

        let counts = tally.counts();
        assert_eq!(counts.sources[&source(2)], BTreeMap::from([("s1".to_owned(), 2)]));
        assert_eq!(counts.sources[&source(3)], BTreeMap::from([("s2".to_owned(), 1)]));
        assert_eq!(
            counts.backends["s1"],
            BackendCounts {
                clients: 2,
                open: 1,
                peak: 2,
                emits: 0
            }
        );
        assert_eq!(
            counts.backends["s2"],
            BackendCounts {
                clients: 1,
                open: 1,
                peak: 1,
                emits: 1
            }
        );
        assert_eq!(counts.unrouted, 1);
        drop((second, third));
        assert_eq!(tally.counts().backends["s1"].open, 0);
    }

    #[test]
    fn a_client_from_before_a_reset_leaves_no_trace_after_it() {
        let tally = Tally::new(&["s1"]);
        let old = tally.connected("s1", source(2));
        tally.received("s1");
        tally.unrouted();
        tally.reset();
        assert_eq!(tally.counts(), Tally::new(&["s1"]).counts());

        let new = tally.connected("s1", source(3));
        drop(old);
        assert_eq!(tally.counts().backends["s1"].open, 1);
        drop(new);
        assert_eq!(tally.counts().backends["s1"].open, 0);
    }
}
