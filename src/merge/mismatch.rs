//! A sum that did not add up: which, where, and both numbers.

use super::warning::Warning;
use swarm_agent::wire::histogram::{Histogram, highest_of, lowest_of};
use swarm_agent::wire::report::Tally;

/// Which sum did not add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// planned = requests + not_started
    Planned,
    /// requests = ok + failed + unfinished
    Hits,
    /// attempted = opened + failed + unfinished connections
    Connections,
    /// dropped + stormed = reconnected + gave up + still away, where clients come back
    Comebacks,
    /// departures by backend = dropped, stormed and reconnected clients; when sources met backends = which they met
    Departures,
    /// answers expected = acked + lost + unfinished
    Answers,
    /// A histogram's count = what its buckets hold
    Buckets,
    /// A histogram's count = the counter of what it times
    Samples,
    /// Interval histograms added up = the final ones, bucket by bucket
    Intervals,
    /// Counters of the last interval = the final ones
    Counters,
    /// Sequence numbers from 0 to the last one, without gaps
    Sequence,
    /// Rows by source, backend or target = the totals
    Rows,
    /// Steps of all flows of a playbook = the totals
    Flows,
    /// All hosts = the whole
    Parts,
    /// All shares = the plan
    Shares,
    /// Receipts of broadcasts = due ones and others; received at most what was due; emitted = sent
    Broadcasts,
}

impl Identity {
    /// The kind of the warning.
    pub fn word(self) -> &'static str {
        match self {
            Self::Planned => "sum_planned",
            Self::Hits => "sum_hits",
            Self::Connections => "sum_connections",
            Self::Comebacks => "sum_comebacks",
            Self::Departures => "sum_departures",
            Self::Answers => "sum_answers",
            Self::Buckets => "sum_buckets",
            Self::Samples => "sum_samples",
            Self::Intervals => "sum_intervals",
            Self::Counters => "sum_counters",
            Self::Sequence => "sum_sequence",
            Self::Rows => "sum_rows",
            Self::Flows => "sum_flows",
            Self::Parts => "sum_parts",
            Self::Shares => "sum_shares",
            Self::Broadcasts => "sum_broadcasts",
        }
    }
}

/// Two numbers that should be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The identity.
    pub identity: Identity,
    /// The host; `None` for the whole.
    pub host: Option<String>,
    /// What stands on the left and its number.
    pub left: (String, u128),
    /// What stands on the right and its number.
    pub right: (String, u128),
    /// The first interval that is known to be wrong.
    pub first_bad: Option<u32>,
}

impl Mismatch {
    /// As a warning.
    pub fn warning(&self) -> Warning {
        let host = self.host.as_deref().unwrap_or("the whole");
        let (left, right) = (&self.left, &self.right);
        let mut text = format!("{host}: {} is {}, but {} is {}", left.0, left.1, right.0, right.1);
        if let Some(seq) = self.first_bad {
            text += &format!("; first bad interval: {seq}");
        }
        Warning::new(self.identity.word(), text)
            .advise("do not trust these numbers; please report this as a bug of swarm")
    }
}

/// The first number in which two distributions differ.
pub fn difference(left: &Histogram, right: &Histogram) -> Option<(String, u128, u128)> {
    let exact = [
        ("count", u128::from(left.count), u128::from(right.count)),
        ("saturated", left.saturated.into(), right.saturated.into()),
        ("min", left.min.into(), right.min.into()),
        ("max", left.max.into(), right.max.into()),
        ("sum", left.sum, right.sum),
        ("sum of squares", left.sum_of_squares, right.sum_of_squares),
    ];
    if let Some((what, l, r)) = exact.into_iter().find(|(_, l, r)| l != r) {
        return Some((what.to_owned(), l, r));
    }
    let at = |histogram: &Histogram, index: u32| {
        histogram
            .buckets
            .iter()
            .find(|(i, _)| *i == index)
            .map_or(0, |(_, n)| u128::from(*n))
    };
    left.buckets
        .iter()
        .chain(&right.buckets)
        .map(|(index, _)| *index)
        .find(|index| at(left, *index) != at(right, *index))
        .map(|index| {
            let (low, high) = (lowest_of(index as usize), highest_of(index as usize));
            (format!("bucket {low} to {high} us"), at(left, index), at(right, index))
        })
}

/// Every counter by name.
pub fn fields(tally: &Tally) -> [(&'static str, u64); 27] {
    let (c, m) = (&tally.connections, &tally.messages);
    [
        ("requests", tally.requests),
        ("ok", tally.ok),
        ("failed", tally.failed),
        ("unfinished", tally.unfinished),
        ("not_started", tally.not_started),
        ("late", tally.late),
        ("bytes_sent", tally.bytes_sent),
        ("bytes_received", tally.bytes_received),
        ("connections attempted", c.attempted),
        ("connections opened", c.opened),
        ("connections failed", c.failed),
        ("connections unfinished", c.unfinished),
        ("connections dropped", c.dropped),
        ("connections stormed", c.stormed),
        ("clients reconnected", c.reconnected),
        ("clients that gave up", c.gave_up),
        ("clients still away", c.away),
        ("connections open", c.open),
        ("messages sent", m.sent),
        ("messages received", m.received),
        ("answers expected", m.expected),
        ("answers acked", m.acked),
        ("answers lost", m.lost),
        ("answers unfinished", m.unfinished),
        ("heartbeats seen", tally.heartbeats.seen),
        ("heartbeats missed", tally.heartbeats.missed),
        ("clients that stayed on polling", tally.stayed_polling),
    ]
}
