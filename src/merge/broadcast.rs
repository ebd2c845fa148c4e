//! Broadcasts of all hosts, added up and proven. Pure.
//!
//! Expected on a pair of backends: for every second the emits on the one times the listeners on the other that were due
//! (`wire::broadcast` says who is), less the emitters themselves. Both come from different hosts than the receipts do. Each
//! due receipt counts once, so received + missing = expected on every pair; more received than expected is a sum that does
//! not add up. Where a host was lost nobody knows what it still emitted: then nothing is expected, and there is no reach.

use super::clocks;
use super::mismatch::{Identity, Mismatch};
use crate::balancer::reach::{self, Crossing};
use crate::conduct::outcome::{HostEnd, HostOutcome, Outcome};
use crate::conduct::sync;
use std::collections::BTreeMap;
use swarm_agent::wire::broadcast::{CastRow, Casts, error_at, mark};
use swarm_agent::wire::report::{Latency, Report};

/// What came of the broadcasts of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Broadcasts {
    /// The event by which it reaches the listeners.
    pub event: String,
    /// One client in so many emits.
    pub one_in: u64,
    /// Receipts were told apart and timed.
    pub stamped: bool,
    /// Emits.
    pub emitted: u64,
    /// Receipts that were due; `None` where a host was lost.
    pub expected: Option<u64>,
    /// Those of them that came.
    pub received: u64,
    /// Further receipts of the same emit by the same client.
    pub duplicates: u64,
    /// Receipts by the emitter itself, which are not expected.
    pub own: u64,
    /// First receipts by clients that were not due: they came too late or left too soon.
    pub beyond: u64,
    /// First receipts that took less than the clock error: in no distribution.
    pub below_clock_error: u64,
    /// Receipts without a stamp of this run.
    pub unstamped: u64,
    /// Receipts of emits that were long ago.
    pub forgotten: u64,
    /// What the clocks of two hosts may have differed by at the end, us; 0 for one host. `None`: not measured.
    pub clock_error_us: Option<u64>,
    /// By backends of emitter and listener, where they are known and receipts can be told apart.
    pub pairs: Vec<Pair>,
    /// What the pairs say about the backends, in words, on evidence.
    pub verdict: Option<String>,
}

/// From clients of one backend to those of another; `None`: clients whose backend is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Emitted on.
    pub from: Option<String>,
    /// Heard on.
    pub to: Option<String>,
    /// Receipts due.
    pub expected: u64,
    /// Those that came.
    pub received: u64,
}

impl Broadcasts {
    /// Received of expected, 0 to 1; `None` where nothing was due, or nobody knows what was.
    pub fn reach(&self) -> Option<f64> {
        let expected = self.expected.filter(|n| *n > 0)?;
        // without stamps a receipt may count in another second than its emit
        Some((self.received as f64 / expected as f64).min(1.0))
    }

    /// Why there is no reach.
    pub fn unknown(&self) -> &'static str {
        match self.expected {
            None => "a host was lost, so what it emitted is not known",
            Some(_) => "no emit was due to anybody who was there for a second before and after it",
        }
    }

    /// Drops the pairs: the backends' names are none.
    pub fn forget_pairs(&mut self) {
        self.pairs.clear();
        self.verdict = None;
    }
}

/// Adds up what the hosts know, and what does not add up; `None` when the plan measures no broadcasts.
pub fn broadcasts(outcome: &Outcome, started: &[&HostOutcome]) -> (Option<Broadcasts>, Vec<Mismatch>) {
    let Some(plan) = &outcome.plan.broadcast else {
        return (None, Vec::new());
    };
    let mut found = Vec::new();
    let mut casts = Casts::default();
    let mut lost = false;
    for host in started {
        match &host.end {
            HostEnd::Reported(report) => {
                let of_host = report.casts.as_deref().cloned().unwrap_or_default();
                found.extend(of_one(
                    &host.name,
                    &of_host,
                    report,
                    plan.stamped,
                    outcome.plan.program.is_none(),
                ));
                casts.add(&of_host);
            }
            HostEnd::Lost { .. } | HostEnd::Refused { .. } => lost = true,
        }
    }
    let pairs = pairs(&casts.rows);
    let expected: u64 = pairs.iter().map(|pair| pair.expected).sum();
    if plan.stamped && !lost {
        found.extend(pairs.iter().filter(|pair| pair.received > pair.expected).map(too_many));
    }
    let clocks: Option<Vec<u64>> = started
        .iter()
        .map(|host| host.clock.map(|clock| clock.bound_ns))
        .collect();
    let since_start = (outcome.duration_s.max(0.0) * 1e9) as u64;
    let mut all = Broadcasts {
        event: plan.event.clone(),
        one_in: plan.one_in,
        stamped: plan.stamped,
        emitted: emitted(&casts),
        expected: (!lost).then_some(expected),
        received: received(&casts),
        duplicates: casts.duplicates,
        own: casts.own,
        beyond: casts.beyond,
        below_clock_error: casts.below,
        unstamped: casts.unstamped,
        forgotten: casts.forgotten,
        clock_error_us: match started.len() {
            0 | 1 => Some(0),
            _ => clocks.map(|clocks| clocks::bound_us(error_at(sync::between(clocks), since_start))),
        },
        pairs: Vec::new(),
        verdict: None,
    };
    if plan.stamped && !lost && marks_differ(&casts.rows) && casts.rows.iter().any(|row| row.backend.is_some()) {
        let named = |pair: &'_ Pair| Some((pair.from.clone()?, pair.to.clone()?, pair.expected, pair.received));
        let named: Vec<_> = pairs.iter().filter_map(named).collect();
        let crossings: Vec<Crossing<'_>> = named
            .iter()
            .map(|(from, to, expected, received)| Crossing {
                from,
                to,
                expected: *expected,
                received: *received,
            })
            .collect();
        all.verdict = reach::judge(&crossings);
        all.pairs = pairs;
    }
    (Some(all), found)
}

fn emitted(casts: &Casts) -> u64 {
    casts.rows.iter().flat_map(|row| &row.emits).map(|(_, n)| n).sum()
}

fn received(casts: &Casts) -> u64 {
    casts.rows.iter().flat_map(|row| &row.received).map(|(_, n)| n).sum()
}

/// Whether no two names share a mark: 32 bits seldom do.
fn marks_differ(rows: &[CastRow]) -> bool {
    let mut marks: Vec<u32> = rows.iter().map(|row| mark(row.backend.as_deref())).collect();
    marks.sort_unstable();
    marks.windows(2).all(|pair| pair[0] != pair[1])
}

/// Where something was emitted and where it was heard, by name.
type Ends<'a> = (Option<&'a str>, Option<&'a str>);

/// Every pair on which something was due or came. A mark that is no backend's stands for one that is not known.
fn pairs(rows: &[CastRow]) -> Vec<Pair> {
    let names: BTreeMap<u32, Option<&str>> = rows
        .iter()
        .map(|row| (mark(row.backend.as_deref()), row.backend.as_deref()))
        .collect();
    let mut pairs: BTreeMap<Ends<'_>, (u64, u64)> = BTreeMap::new();
    for to in rows {
        let heard_on = to.backend.as_deref();
        for from in rows {
            let due = due(&from.emits, &to.listeners);
            let own = if from.backend == to.backend { to.own } else { 0 };
            let expected = u64::try_from(due.saturating_sub(u128::from(own))).unwrap_or(u64::MAX);
            pairs.entry((from.backend.as_deref(), heard_on)).or_default().0 += expected;
        }
        for (mark, n) in &to.received {
            let emitted_on = names.get(mark).copied().flatten();
            pairs.entry((emitted_on, heard_on)).or_default().1 += n;
        }
    }
    pairs
        .into_iter()
        .filter(|(_, (expected, received))| expected + received > 0)
        .map(|((from, to), (expected, received))| Pair {
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
            expected,
            received,
        })
        .collect()
}

/// Sum over seconds of emits times listeners.
fn due(emits: &[(u32, u64)], listeners: &[(u32, i64)]) -> u128 {
    let mut changes = listeners.iter().peekable();
    let mut listening: i128 = 0;
    let mut sum: u128 = 0;
    for (second, n) in emits {
        while let Some((_, by)) = changes.next_if(|(at, _)| at <= second) {
            listening += i128::from(*by);
        }
        sum = sum.saturating_add(u128::from(*n).saturating_mul(u128::try_from(listening).unwrap_or(0)));
    }
    sum
}

/// Proves the sums of one host.
fn of_one(host: &str, casts: &Casts, report: &Report, stamped: bool, by_flags: bool) -> Vec<Mismatch> {
    let timed = report.latency.iter().find(|(name, _)| *name == Latency::Broadcast);
    let timed = timed.map_or(0, |(_, histogram)| histogram.count);
    let mut pairs = vec![(
        (
            "receipts that were due and those beyond",
            received(casts) + casts.beyond,
        ),
        ("first receipts of broadcasts", casts.heard),
    )];
    if stamped {
        pairs.push((
            (
                "the count of broadcast and what is below the clock error",
                timed + casts.below,
            ),
            ("first receipts of broadcasts", casts.heard),
        ));
    }
    if by_flags {
        pairs.push((
            ("broadcasts emitted", emitted(casts)),
            ("messages sent", report.counts.tally.messages.sent),
        ));
    }
    let still: i64 = casts.rows.iter().flat_map(|row| &row.listeners).map(|(_, by)| by).sum();
    pairs.push((
        ("listeners that never left", still.unsigned_abs()),
        ("listeners that may stay", 0),
    ));
    pairs
        .into_iter()
        .filter(|(left, right)| left.1 != right.1)
        .map(|(left, right)| Mismatch {
            identity: Identity::Broadcasts,
            host: Some(host.to_owned()),
            left: (left.0.to_owned(), left.1.into()),
            right: (right.0.to_owned(), right.1.into()),
            first_bad: None,
        })
        .collect()
}

fn too_many(pair: &Pair) -> Mismatch {
    let name = |backend: &Option<String>| backend.clone().unwrap_or_else(|| "an unknown backend".to_owned());
    Mismatch {
        identity: Identity::Broadcasts,
        host: None,
        left: (
            format!(
                "receipts on {} of what was emitted on {}",
                name(&pair.to),
                name(&pair.from)
            ),
            pair.received.into(),
        ),
        right: ("what was due there, at most".to_owned(), pair.expected.into()),
        first_bad: None,
    }
}
