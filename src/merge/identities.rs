//! The sums that are proven: each identity compares numbers that were kept independently.
//!
//! Per host, for those whose final report came; for the whole, that it is the sum of its parts and that the shares were
//! the plan. A lost host has no final report, so nothing of it can be proven and nothing is. Pure.

use super::mismatch::{Identity, Mismatch, difference, fields};
use super::planned::{planned_hits, whole_hits};
use super::summary::{Latencies, Part};
use crate::conduct::outcome::{HostEnd, HostOutcome, Progress};
use std::collections::BTreeSet;
use swarm_agent::wire::histogram::Histogram;
use swarm_agent::wire::report::{Counts, Latency, Report, Tally};
use swarm_agent::wire::share::{Engine, Load, Share};

/// Proves the sums of one host that reported.
pub fn of_host(host: &HostOutcome, report: &Report, load: &Load) -> Vec<Mismatch> {
    let mut proof = Proof::of(Some(&host.name));
    let counts = &report.counts;
    let tally = &counts.tally;
    let progress = &host.progress;
    let played = host.share.as_ref().filter(|share| share.program.is_some());
    proof.sequence(progress, report.last_seq);
    if let Some(planned) = host.share.as_ref().and_then(planned_hits) {
        let sent = total(&[tally.requests, tally.not_started]);
        proof.equal(
            Identity::Planned,
            ("planned", planned.into()),
            ("requests + not_started", sent),
        );
    }
    proof.tally(tally);
    proof.comebacks(tally, played.is_some() || super::doubts::comes_back(load));
    let whole = super::rows::latencies(&report.latency);
    for (name, histogram) in &whole {
        proof.buckets(name.word(), histogram);
    }
    let only_http = played.is_some_and(|share| matches!(share.engine, Engine::Http(_)));
    proof.samples(&whole, tally, load, !only_http);
    proof.intervals(&whole, progress);
    proof.counters(tally, progress);
    let main = super::rows::row_latency(load, played.is_some(), &whole);
    proof.rows(counts, &whole, main, load);
    super::observed::proof(&mut proof, counts, &whole);
    if played.is_some() {
        super::steps::proof(&mut proof, counts, !only_http);
    }
    let bad = first_bad(progress);
    for mismatch in &mut proof.found {
        let by_interval = matches!(
            mismatch.identity,
            Identity::Samples | Identity::Intervals | Identity::Counters | Identity::Buckets
        );
        mismatch.first_bad = mismatch.first_bad.or(bad.filter(|_| by_interval));
    }
    proof.found
}

/// Proves that the whole is the sum of its parts and that the shares were the plan.
pub fn of_whole(whole: &Part, parts: &[&Part], hosts: &[&HostOutcome], load: &Load) -> Vec<Mismatch> {
    let mut proof = Proof::of(None);
    for (at, (name, n)) in fields(&whole.tally).into_iter().enumerate() {
        let sum = parts.iter().map(|p| u128::from(fields(&p.tally)[at].1)).sum();
        proof.equal(
            Identity::Parts,
            (name, n.into()),
            (&format!("{name} of all hosts"), sum),
        );
    }
    for name in Latency::ALL {
        let merged = whole.latency.get(&name).map_or(0, Histogram::bucket_total);
        let sum: u64 = parts.iter().filter_map(|p| p.latency.get(&name)).map(|h| h.count).sum();
        proof.equal(
            Identity::Parts,
            (&format!("samples in the merged {}", name.word()), merged.into()),
            ("those of all hosts", sum.into()),
        );
    }
    let shares: Vec<&Share> = hosts.iter().filter_map(|h| h.share.as_ref()).collect();
    if let Some(first) = shares.first()
        && hosts.len() == first.hosts as usize
        && let Some(planned) = whole_hits(load)
    {
        let sum = shares.iter().filter_map(|s| planned_hits(s)).map(u128::from).sum();
        proof.equal(
            Identity::Shares,
            ("planned", planned.into()),
            ("planned of all shares", sum),
        );
    }
    proof.found
}

/// Collects mismatches of one host or of the whole.
pub(super) struct Proof {
    host: Option<String>,
    found: Vec<Mismatch>,
}

impl Proof {
    fn of(host: Option<&str>) -> Self {
        Self {
            host: host.map(str::to_owned),
            found: Vec::new(),
        }
    }

    pub(super) fn equal(&mut self, identity: Identity, left: (&str, u128), right: (&str, u128)) {
        if left.1 != right.1 {
            self.found.push(Mismatch {
                identity,
                host: self.host.clone(),
                left: (left.0.to_owned(), left.1),
                right: (right.0.to_owned(), right.1),
                first_bad: None,
            });
        }
    }

    fn at_most(&mut self, identity: Identity, left: (&str, u128), right: (&str, u128)) {
        if left.1 > right.1 {
            self.equal(identity, left, right);
        }
    }

    fn sequence(&mut self, progress: &Progress, last: Option<u32>) {
        let sent = last.map_or(0, |seq| u128::from(seq) + 1);
        self.equal(
            Identity::Sequence,
            ("intervals sent", sent),
            ("intervals received", progress.intervals.into()),
        );
        if let Some(at) = progress.broken_at {
            self.found.push(Mismatch {
                identity: Identity::Sequence,
                host: self.host.clone(),
                left: ("intervals in sequence".to_owned(), at.into()),
                right: ("intervals received".to_owned(), progress.points.len() as u128),
                first_bad: Some(at),
            });
        }
    }

    fn tally(&mut self, tally: &Tally) {
        let (c, m) = (&tally.connections, &tally.messages);
        self.equal(
            Identity::Hits,
            ("requests", tally.requests.into()),
            (
                "ok + failed + unfinished",
                total(&[tally.ok, tally.failed, tally.unfinished]),
            ),
        );
        self.equal(
            Identity::Connections,
            ("connections attempted", c.attempted.into()),
            (
                "opened + failed + unfinished",
                total(&[c.opened, c.failed, c.unfinished]),
            ),
        );
        self.equal(
            Identity::Answers,
            ("answers expected", m.expected.into()),
            ("acked + lost + unfinished", total(&[m.acked, m.lost, m.unfinished])),
        );
    }

    /// Every lost client that may come back has done so, has given up, or is on its way.
    fn comebacks(&mut self, tally: &Tally, come_back: bool) {
        let c = &tally.connections;
        let lost = match come_back {
            true => total(&[c.dropped, c.stormed]),
            false => 0,
        };
        self.equal(
            Identity::Comebacks,
            ("dropped + stormed", lost),
            (
                "reconnected + gave up + still away",
                total(&[c.reconnected, c.gave_up, c.away]),
            ),
        );
    }

    fn buckets(&mut self, name: &str, histogram: &Histogram) {
        self.equal(
            Identity::Buckets,
            (&format!("the count of {name}"), histogram.count.into()),
            ("what its buckets hold", histogram.bucket_total().into()),
        );
    }

    /// `greets`: an opened connection has had a handshake.
    fn samples(&mut self, latency: &Latencies, tally: &Tally, load: &Load, greets: bool) {
        let count = |name| latency.get(&name).map_or(0, |h| u128::from(h.count));
        let mut pairs = vec![
            ("service", count(Latency::Service), "ok", tally.ok),
            ("request_failed", count(Latency::RequestFailed), "failed", tally.failed),
            (
                "message and ack",
                count(Latency::Message) + count(Latency::Ack),
                "answers acked",
                tally.messages.acked,
            ),
        ];
        match load {
            Load::Open(_) => {
                pairs.push(("request", count(Latency::Request), "ok", tally.ok));
                pairs.push(("lateness", count(Latency::Lateness), "requests", tally.requests));
            }
            Load::Held(_) => {
                let opened = if greets { tally.connections.opened } else { 0 };
                pairs.push(("handshake", count(Latency::Handshake), "opened", opened));
                let back = tally.connections.reconnected;
                pairs.push(("reconnect", count(Latency::Reconnect), "reconnected", back));
            }
            Load::Closed(_) => {}
        }
        for (histogram, samples, counter, n) in pairs {
            self.equal(
                Identity::Samples,
                (&format!("the count of {histogram}"), samples),
                (counter, n.into()),
            );
        }
    }

    fn intervals(&mut self, whole: &Latencies, progress: &Progress) {
        let nothing = Histogram::default();
        let names: BTreeSet<Latency> = whole.keys().chain(progress.latency.keys()).copied().collect();
        for name in names {
            let last = whole.get(&name).unwrap_or(&nothing);
            let added = progress.latency.get(&name).unwrap_or(&nothing);
            if let Some((what, left, right)) = difference(added, last) {
                self.equal(
                    Identity::Intervals,
                    (&format!("{what} of {} over the intervals", name.word()), left),
                    ("in the final report", right),
                );
            }
        }
    }

    fn counters(&mut self, tally: &Tally, progress: &Progress) {
        let last = fields(&progress.counts.tally);
        for ((name, n), (_, at_last)) in fields(tally).into_iter().zip(last) {
            self.equal(
                Identity::Counters,
                (&format!("{name} at the last interval"), at_last.into()),
                ("in the final report", n.into()),
            );
        }
    }

    /// Rows hold every answered hit where there are rows at all; the backend of a hit need not be known.
    fn rows(&mut self, counts: &Counts, whole: &Latencies, main: Latency, load: &Load) {
        let answered = total(&[counts.tally.ok, counts.tally.failed]);
        let nothing = Histogram::default();
        let timed = whole.get(&main).unwrap_or(&nothing);
        if !counts.sources.is_empty() {
            let sum = counts.sources.iter().map(|r| u128::from(r.requests)).sum();
            self.equal(
                Identity::Rows,
                ("requests of all sources", sum),
                ("ok + failed", answered),
            );
            self.row_latency("sources", counts.sources.iter().map(|r| &r.latency), timed);
        }
        if !counts.targets.is_empty() {
            let sum = counts.targets.iter().map(|r| u128::from(r.requests)).sum();
            self.equal(
                Identity::Rows,
                ("requests of all targets", sum),
                ("ok + failed", answered),
            );
            self.row_latency("targets", counts.targets.iter().map(|r| &r.latency), timed);
        }
        let of_backends = counts.backends.iter().map(|r| u128::from(r.requests)).sum();
        self.at_most(
            Identity::Rows,
            ("requests of all backends", of_backends),
            ("ok + failed", answered),
        );
        let cells = counts
            .sources
            .iter()
            .flat_map(|r| &r.backends)
            .map(|(_, n)| u128::from(*n))
            .sum();
        if matches!(load, Load::Held(_)) {
            let clients = counts.backends.iter().map(|r| u128::from(r.connections)).sum();
            self.equal(
                Identity::Rows,
                ("clients by source and backend", cells),
                ("clients of all backends", clients),
            );
        } else {
            self.at_most(
                Identity::Rows,
                ("requests by source and backend", cells),
                ("requests of all backends", of_backends),
            );
        }
    }

    fn row_latency<'a>(&mut self, rows: &str, histograms: impl Iterator<Item = &'a Histogram>, whole: &Histogram) {
        let mut sum = Histogram::default();
        histograms.for_each(|h| sum.add(h));
        if let Some((what, left, right)) = difference(&sum, whole) {
            self.equal(
                Identity::Rows,
                (&format!("{what} of all {rows}"), left),
                ("in the totals", right),
            );
        }
    }
}

fn first_bad(progress: &Progress) -> Option<u32> {
    let uneven = progress.points.iter().find(|p| !p.even).map(|p| p.seq);
    match (progress.broken_at, uneven) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn total(counts: &[u64]) -> u128 {
    counts.iter().map(|n| u128::from(*n)).sum()
}

/// Whether a host's final report is there to be proven.
pub fn reported(host: &HostOutcome) -> Option<&Report> {
    match &host.end {
        HostEnd::Reported(report) => Some(report),
        HostEnd::Lost { .. } | HostEnd::Refused { .. } => None,
    }
}
