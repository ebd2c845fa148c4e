//! Whether numbers that an agent sent can be true at all: what a hostile or broken agent sends must never overflow a
//! sum or leave the bucket layout. Pure. Never here: whether the numbers agree with each other (that is `merge`).

use swarm_agent::wire::broadcast::Casts;
use swarm_agent::wire::histogram::{BUCKETS, Histogram};
use swarm_agent::wire::observed::Departure;
use swarm_agent::wire::report::{Counts, Interval, Report, Tally};

/// No counter of one host reaches this; the counters of thousands of hosts or intervals add up within 64 bits.
const MOST: u64 = 1 << 48;
/// A host's threads keep 128 departures each, and no host has so many threads.
const MOST_DEPARTURES: usize = 1 << 17;
/// A host's threads keep 8 addresses a source each.
const MOST_SEEN: usize = 1 << 13;
/// No sum of times in us of one host reaches this.
const MOST_SUM: u128 = 1 << 100;
/// No sum of squared times of one host reaches this.
const MOST_SQUARES: u128 = 1 << 108;

/// Whether an interval can be folded in.
pub fn interval(interval: &Interval) -> bool {
    counts(&interval.counts) && interval.at_us < MOST && interval.latency.iter().all(|(_, h)| histogram(h))
}

/// Whether a report can be merged.
pub fn report(report: &Report) -> bool {
    counts(&report.counts)
        && report.ended_us < MOST
        && report.casts.as_deref().is_none_or(casts)
        && report.warmup.as_ref().is_none_or(tally)
        && report.start_offset.is_none_or(|ns| ns.unsigned_abs() < MOST)
        && report.latency.iter().all(|(_, h)| histogram(h))
}

/// Whether a histogram keeps to the layout: known buckets, rising, and sums that can be added.
pub fn histogram(histogram: &Histogram) -> bool {
    histogram.count < MOST
        && histogram.saturated < MOST
        && histogram.max < 1 << 62
        && histogram.sum < MOST_SUM
        && histogram.sum_of_squares < MOST_SQUARES
        && histogram
            .buckets
            .iter()
            .all(|(index, n)| (*index as usize) < BUCKETS && *n < MOST)
        && histogram.buckets.windows(2).all(|pair| pair[0].0 < pair[1].0)
}

fn counts(counts: &Counts) -> bool {
    tally(&counts.tally)
        && counts.backend_overflow < MOST
        && counts.redirected < MOST
        && counts.statuses.iter().all(|(_, n)| *n < MOST)
        && counts
            .faults
            .iter()
            .all(|row| row.count < MOST && row.first_at_us < MOST)
        && counts.sources.iter().all(|row| {
            [row.connections, row.requests, row.errors].iter().all(|n| *n < MOST)
                && row.backends.iter().all(|(_, n)| *n < MOST)
                && row
                    .spans
                    .iter()
                    .all(|span| span.first_us <= span.last_us && span.last_us < MOST)
                && row.seen_as.len() <= MOST_SEEN
                && histogram(&row.latency)
        })
        && counts.strays.sessions < MOST
        && counts.strays.first.as_ref().is_none_or(|stray| stray.at_us < MOST)
        && departures(&counts.departures)
        && counts.backends.iter().all(|row| {
            let counts = [row.connections, row.dropped, row.requests, row.errors, row.polls];
            counts.iter().all(|n| *n < MOST) && histogram(&row.latency)
        })
        && counts.flows.iter().all(|flow| {
            flow.clients < MOST
                && flow.steps.iter().all(|step| {
                    [step.requests, step.ok, step.failed, step.unfinished]
                        .iter()
                        .all(|n| *n < MOST)
                        && histogram(&step.latency)
                })
        })
        && counts.targets.iter().all(|row| {
            row.requests < MOST
                && row.errors < MOST
                && row.addresses.iter().all(|(_, n)| *n < MOST)
                && histogram(&row.latency)
        })
}

fn departures(rows: &[Departure]) -> bool {
    rows.len() <= MOST_DEPARTURES
        && rows.iter().all(|row| {
            row.lost < MOST
                && row.stormed < MOST
                && row.first_us <= row.last_us
                && row.last_us < MOST
                && row.back.iter().all(|back| back.clients < MOST && histogram(&back.away))
        })
}

fn casts(casts: &Casts) -> bool {
    let rising = |seconds: &mut dyn Iterator<Item = u32>| seconds.is_sorted_by(|a, b| a < b);
    [
        casts.heard,
        casts.beyond,
        casts.duplicates,
        casts.own,
        casts.below,
        casts.unstamped,
        casts.forgotten,
    ]
    .iter()
    .all(|n| *n < MOST)
        && casts.rows.iter().all(|row| {
            row.own < MOST
                && row.emits.iter().chain(&row.received).all(|(_, n)| *n < 1 << 40)
                && row.listeners.iter().all(|(_, by)| by.unsigned_abs() < 1 << 40)
                && rising(&mut row.emits.iter().map(|(second, _)| *second))
                && rising(&mut row.listeners.iter().map(|(second, _)| *second))
        })
}

fn tally(tally: &Tally) -> bool {
    let (c, m) = (&tally.connections, &tally.messages);
    [
        tally.requests,
        tally.ok,
        tally.failed,
        tally.unfinished,
        tally.not_started,
        tally.late,
        tally.bytes_sent,
        tally.bytes_received,
        tally.heartbeats.seen,
        tally.heartbeats.missed,
        tally.stayed_polling,
        c.attempted,
        c.opened,
        c.failed,
        c.unfinished,
        c.dropped,
        c.stormed,
        c.reconnected,
        c.gave_up,
        c.away,
        c.open,
        m.sent,
        m.received,
        m.expected,
        m.acked,
        m.lost,
        m.unfinished,
    ]
    .iter()
    .all(|n| *n < MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_cannot_be_true_are_told() {
        let good = Histogram {
            count: 2,
            buckets: vec![(1, 1), (2, 1)],
            ..Histogram::default()
        };
        assert!(histogram(&good));
        let spoil: [fn(&mut Histogram); 5] = [
            |h| h.count = u64::MAX,
            |h| h.sum = u128::MAX,
            |h| h.sum_of_squares = u128::MAX,
            |h| h.buckets = vec![(2, 1), (1, 1)],
            |h| h.buckets = vec![(u32::MAX, 1)],
        ];
        for (case, spoil) in spoil.into_iter().enumerate() {
            let mut bad = good.clone();
            spoil(&mut bad);
            assert!(!histogram(&bad), "case {case}");
        }
        let mut counts = Counts::default();
        counts.tally.messages.lost = u64::MAX;
        assert!(!super::counts(&counts));
        let departure = |first_us, last_us, clients| {
            let back = swarm_agent::wire::observed::Back {
                clients,
                ..Default::default()
            };
            [Departure {
                first_us,
                last_us,
                back: vec![back],
                ..Departure::default()
            }]
        };
        assert!(departures(&departure(1, 2, 3)));
        assert!(!departures(&departure(2, 1, 3)) && !departures(&departure(1, u64::MAX, 3)));
        assert!(!departures(&departure(1, 2, u64::MAX)));
        let row = |listeners: &[(u32, i64)]| Casts {
            rows: vec![swarm_agent::wire::broadcast::CastRow {
                listeners: listeners.to_vec(),
                ..Default::default()
            }],
            ..Casts::default()
        };
        assert!(casts(&row(&[(1, 5), (2, -5)])));
        assert!(!casts(&row(&[(1, i64::MIN)])) && !casts(&row(&[(2, 5), (1, -5)])));
    }
}
