//! Clocks: the offset of a host's monotonic clock from ours, by the sample with the least round trip. Pure.
//!
//! A ping is stamped when it is written (t0), when the agent read it (t1), when the agent answered (t2) and when the
//! answer came (t3). The round trip is (t3 - t0) - (t2 - t1); the offset ((t1 - t0) + (t2 - t3)) / 2 is off by at most
//! half of the round trip, however unequal the two directions are. Clocks drift apart; what that adds is bounded too.

use crate::conduct::outcome::Clock;
use swarm_agent::wire::broadcast::error_at;

/// Samples that an estimate needs.
pub const ENOUGH: u32 = 8;
/// Samples older than this give way to newer ones of a similar round trip, ns.
const FORGET: u64 = 120_000_000_000;

/// One ping and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// t0, our clock, ns.
    pub sent: u64,
    /// t1, the agent's clock.
    pub agent_received: u64,
    /// t2, the agent's clock.
    pub agent_sent: u64,
    /// t3, our clock.
    pub received: u64,
}

impl Sample {
    /// Time on the way, ns.
    pub fn round_trip(&self) -> u64 {
        self.received
            .saturating_sub(self.sent)
            .saturating_sub(self.agent_sent.saturating_sub(self.agent_received))
    }

    /// Agent's clock minus ours, ns.
    pub fn offset(&self) -> i128 {
        let there = i128::from(self.agent_received) - i128::from(self.sent);
        let back = i128::from(self.agent_sent) - i128::from(self.received);
        (there + back) / 2
    }
}

/// The samples of one host.
#[derive(Debug, Clone, Default)]
pub struct Sync {
    best: Option<Sample>,
    count: u32,
}

impl Sync {
    /// Takes a sample; one that stood behind a queue must not be given.
    pub fn add(&mut self, sample: Sample) {
        self.count += 1;
        let better = self.best.is_none_or(|best| {
            let old = sample.received.saturating_sub(best.received) > FORGET;
            sample.round_trip() < best.round_trip() || (old && sample.round_trip() < best.round_trip() * 2)
        });
        if better {
            self.best = Some(sample);
        }
    }

    /// Whether the estimate may be used.
    pub fn ready(&self) -> bool {
        self.count >= ENOUGH
    }

    /// The clock as it is known for the instant `now` of our clock.
    pub fn clock(&self, now: u64) -> Option<Clock> {
        let best = self.best?;
        let age = now.saturating_sub(best.received);
        Some(Clock {
            offset_ns: best.offset(),
            bound_ns: error_at(best.round_trip() / 2, age) + 1,
            rtt_ns: best.round_trip(),
            samples: self.count,
        })
    }
}

/// What the clocks of two hosts may differ by at most, ns, from each one's bound: the two largest together. 0 for one host.
pub fn between(bounds: impl IntoIterator<Item = u64>) -> u64 {
    let mut bounds: Vec<u64> = bounds.into_iter().collect();
    bounds.sort_unstable_by(|a, b| b.cmp(a));
    match bounds.as_slice() {
        [first, second, ..] => first.saturating_add(*second),
        _ => 0,
    }
}

/// An instant of our clock in the agent's.
pub fn in_agents_clock(clock: &Clock, ours: u64) -> u64 {
    u64::try_from(i128::from(ours) + clock.offset_ns).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(sent: u64, there: u64, stay: u64, back: u64, offset: i64) -> Sample {
        let agent = |ours: u64| u64::try_from(i128::from(ours) + i128::from(offset)).unwrap();
        Sample {
            sent,
            agent_received: agent(sent + there),
            agent_sent: agent(sent + there + stay),
            received: sent + there + stay + back,
        }
    }

    #[test]
    fn the_least_round_trip_wins() {
        let mut sync = Sync::default();
        for (there, back) in [(9_000_000, 1_000_000), (1_000_000, 1_000_000), (5_000_000, 50_000_000)] {
            sync.add(sample(1_000_000_000, there, 20_000, back, 86_400_000_000_000));
        }
        let clock = sync.clock(1_000_000_000).unwrap();
        assert_eq!((clock.offset_ns, clock.rtt_ns), (86_400_000_000_000, 2_000_000));
        assert!(!sync.ready());
    }

    #[test]
    fn two_hosts_are_off_by_the_two_largest_bounds() {
        for (bounds, between_them) in [(vec![], 0), (vec![7], 0), (vec![1, 9], 10), (vec![5, 1, 9], 14)] {
            assert_eq!(between(bounds.clone()), between_them, "{bounds:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn the_true_offset_lies_within_the_bound(
            offset in -500_000_000i64..900_000_000_000_000,
            ways in prop::collection::vec((0u64..200_000_000, 0u64..5_000_000, 0u64..200_000_000), 1..20),
        ) {
            let mut sync = Sync::default();
            let mut now = 1_000_000_000;
            for (there, stay, back) in ways {
                let sample = sample(now, there, stay, back, offset);
                now = sample.received;
                sync.add(sample);
            }
            let clock = sync.clock(now).unwrap();
            prop_assert!((clock.offset_ns - i128::from(offset)).unsigned_abs() <= u128::from(clock.bound_ns));
            prop_assert!(clock.bound_ns <= clock.rtt_ns / 2 + 1_000_000);
        }
    }
}
