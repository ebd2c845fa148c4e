//! What a run came to, host by host, before anything is merged. Plain values: made by `conduct`, read by `merge`.

use super::plausible;
use crate::plan::Plan;
use crate::watch::watched::Watched;
use std::collections::BTreeMap;
use swarm_agent::wire::histogram::Histogram;
use swarm_agent::wire::message::{Armed, Hello};
use swarm_agent::wire::report::{Counts, Interval, Latency, Report, Tally};
use swarm_agent::wire::share::Share;

/// What the run came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The plan that was run.
    pub plan: Plan,
    /// Wall-clock start, for the report alone.
    pub started_at: jiff::Timestamp,
    /// Seconds from the start instant to the last report.
    pub duration_s: f64,
    /// How it ended.
    pub ended: Ended,
    /// Every host that was asked for, in the order of the list.
    pub hosts: Vec<HostOutcome>,
    /// Doubts that arose on the way (shares cut again, start told late).
    pub warnings: Vec<(String, String)>,
    /// What was read beside it.
    pub watched: Option<Watched>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself.
    Complete,
    /// By the user's first interrupt: drained and reported.
    Interrupted,
}

/// What came of one host.
#[derive(Debug, Clone)]
pub struct HostOutcome {
    /// As the user named it.
    pub name: String,
    /// Address it was reached at, or `local`.
    pub address: String,
    /// `group=` of the host file.
    pub group: Option<String>,
    /// How it ended.
    pub end: HostEnd,
    /// What it said about itself, when it was reached.
    pub hello: Option<Hello>,
    /// What it found when arming, when it got so far.
    pub armed: Option<Armed>,
    /// Its share, when it got one.
    pub share: Option<Share>,
    /// Its clock against the controller's, when it was measured.
    pub clock: Option<Clock>,
    /// Its intervals, added up as they came.
    pub progress: Progress,
}

/// How one host ended.
#[derive(Debug, Clone)]
pub enum HostEnd {
    /// Its final report came.
    Reported(Box<Report>),
    /// It was armed and went missing: seconds after the start instant, and why.
    Lost {
        /// Seconds since the start instant.
        at_s: f64,
        /// Cause.
        why: String,
    },
    /// It never started.
    Refused {
        /// Cause and way out.
        why: String,
    },
}

/// A host's monotonic clock against the controller's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clock {
    /// Agent's clock minus controller's, ns, at the time of the best sample.
    pub offset_ns: i128,
    /// The true offset lies within this of `offset_ns` at the start instant: RTTmin/2 plus drift, ns.
    pub bound_ns: u64,
    /// Round trip of the best sample, ns.
    pub rtt_ns: u64,
    /// Samples that were used.
    pub samples: u32,
}

/// A host's intervals as they came in.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Number of intervals folded in; the next one must have this sequence number.
    pub intervals: u32,
    /// The first sequence number that was missing, doubled or out of order.
    pub broken_at: Option<u32>,
    /// End of the last interval, us since the start instant.
    pub until_us: u64,
    /// Cumulative counts of the last interval.
    pub counts: Counts,
    /// Histograms of all intervals, added up.
    pub latency: BTreeMap<Latency, Histogram>,
    /// One point an interval, for the timeline.
    pub points: Vec<Point>,
}

/// One second of one host, for the timeline.
#[derive(Debug, Clone)]
pub struct Point {
    /// Sequence number of the interval.
    pub seq: u32,
    /// Whether counters and distributions agreed at this cut: ok hits, failed hits and answers each have a sample,
    /// and every distribution of it counts what its buckets hold. It locates a fault that `merge` has proven.
    pub even: bool,
    /// End of the interval, us since the start instant.
    pub at_us: u64,
    /// Hits answered in it.
    pub requests: u64,
    /// Failures in it, of hits and connections.
    pub errors: u64,
    /// Connections open at its end.
    pub open: u64,
    /// Opened in it.
    pub opened: u64,
    /// Messages sent in it.
    pub messages: u64,
    /// The run's main latency in it (`request`, else `service`, `message`, `ack`, `handshake`).
    pub latency: Histogram,
}

impl Progress {
    /// Folds one interval in. A wrong sequence number is remembered and its numbers are still taken.
    ///
    /// An interval whose numbers cannot be true ([`plausible`]) is not taken and counts as missing.
    pub fn fold(&mut self, interval: Interval) {
        if !plausible::interval(&interval) {
            self.broken_at.get_or_insert(self.intervals);
            return;
        }
        if interval.seq != self.intervals && self.broken_at.is_none() {
            self.broken_at = Some(self.intervals.min(interval.seq));
        }
        self.intervals = interval.seq.saturating_add(1);
        let before = &self.counts.tally;
        let now = &interval.counts.tally;
        let main = [
            Latency::Request,
            Latency::Service,
            Latency::Message,
            Latency::Ack,
            Latency::Handshake,
        ]
        .into_iter()
        .find_map(|name| interval.latency.iter().find(|(n, h)| *n == name && h.count > 0))
        .map(|(_, histogram)| histogram.clone());
        for (name, histogram) in &interval.latency {
            self.latency.entry(*name).or_default().add(histogram);
        }
        let even = self.even(now) && interval.latency.iter().all(|(_, h)| h.count == h.bucket_total());
        self.points.push(Point {
            seq: interval.seq,
            even,
            at_us: interval.at_us,
            requests: (now.ok + now.failed).saturating_sub(before.ok + before.failed),
            errors: (now.failed + now.connections.failed + now.connections.dropped)
                .saturating_sub(before.failed + before.connections.failed + before.connections.dropped),
            open: now.connections.open,
            opened: now.connections.opened.saturating_sub(before.connections.opened),
            messages: now.messages.sent.saturating_sub(before.messages.sent),
            latency: main.unwrap_or_default(),
        });
        self.until_us = interval.at_us;
        self.counts = interval.counts;
    }

    /// Whether every counted end of a hit has its sample so far.
    fn even(&self, now: &Tally) -> bool {
        let samples = |name| self.latency.get(&name).map_or(0, |h| h.count);
        samples(Latency::Service) == now.ok
            && samples(Latency::RequestFailed) == now.failed
            && samples(Latency::Message) + samples(Latency::Ack) == now.messages.acked
    }
}
