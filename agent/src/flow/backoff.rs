//! How long a lost client waits before it connects again. Pure: the random number is handed in. Never here: waiting.

use crate::wire::share::BackOff;
use std::time::Duration;

/// The wait before attempt `attempt` (from 0, counted anew whenever the client stands), with `rand` evenly from 0 to below 1.
///
/// As socket.io-client 4.8 does (`lib/manager.ts` over `lib/contrib/backo2.ts`; Socket.IO 2 has the same in the package
/// `backo2`): `least * 2^attempt`, less or more by `rand * jitter` of it, and then cut to `most`. Whether less or more is
/// bit 0 of the first decimal of that same `rand`. It rounds to whole ms, this to whole ns.
pub fn delay(plan: &BackOff, attempt: u32, rand: f64) -> Duration {
    let doubled = u128::from(plan.least) << attempt.min(63);
    let jitter = f64::from(plan.jitter.min(1000)) / 1000.0;
    let deviation = (rand * jitter * doubled as f64) as u128;
    let longer = (rand * 10.0) as u32 & 1 == 1;
    let wait = if longer {
        doubled.saturating_add(deviation)
    } else {
        doubled.saturating_sub(deviation)
    };
    Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX).min(plan.most))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Least, most, jitter in thousandths, rand; then the first six waits in ms of the real client's `Backoff` for them.
    const REAL: [(u64, u64, u32, f64, [u64; 6]); 14] = [
        (1000, 5000, 500, 0.0, [1000, 2000, 4000, 5000, 5000, 5000]),
        (1000, 5000, 500, 0.05, [975, 1950, 3900, 5000, 5000, 5000]),
        (1000, 5000, 500, 0.15, [1075, 2150, 4300, 5000, 5000, 5000]),
        (1000, 5000, 500, 0.5, [1250, 2500, 5000, 5000, 5000, 5000]),
        (1000, 5000, 500, 0.95, [1475, 2950, 5000, 5000, 5000, 5000]),
        (1000, 5000, 500, 0.999, [1499, 2999, 5000, 5000, 5000, 5000]),
        (1000, 5000, 0, 0.95, [1000, 2000, 4000, 5000, 5000, 5000]),
        (200, 60_000, 1000, 0.0, [200, 400, 800, 1600, 3200, 6400]),
        (200, 60_000, 1000, 0.05, [190, 380, 760, 1520, 3040, 6080]),
        (200, 60_000, 1000, 0.15, [230, 460, 920, 1840, 3680, 7360]),
        (200, 60_000, 1000, 0.95, [390, 780, 1560, 3120, 6240, 12_480]),
        (200, 60_000, 1000, 0.999, [399, 799, 1599, 3198, 6396, 12_793]),
        (3000, 2000, 250, 0.0, [2000; 6]),
        (3000, 2000, 250, 0.999, [2000; 6]),
    ];

    #[test]
    fn waits_are_those_of_the_real_client() {
        for (least, most, jitter, rand, expected) in REAL {
            let plan = BackOff {
                least: least * MS,
                most: most * MS,
                jitter,
                attempts: None,
            };
            for (attempt, ms) in expected.into_iter().enumerate() {
                let ours = delay(&plan, attempt as u32, rand).as_secs_f64() * 1e3;
                let off = ours - ms as f64;
                // the real one cuts the deviation and then the wait to whole ms
                assert!(
                    off.abs() < 1.0,
                    "{least} {most} {jitter} {rand}, attempt {attempt}: {ours} ms, not {ms}"
                );
            }
        }
    }

    #[test]
    fn no_attempt_is_too_late_to_be_counted() {
        let plan = BackOff {
            least: 1_000 * MS,
            most: u64::MAX,
            jitter: 1000,
            attempts: None,
        };
        assert_eq!(delay(&plan, u32::MAX, 0.95), Duration::from_nanos(u64::MAX));
        assert_eq!(
            delay(
                &BackOff {
                    most: 5_000 * MS,
                    ..plan
                },
                u32::MAX,
                0.0
            ),
            Duration::from_secs(5)
        );
    }
}
