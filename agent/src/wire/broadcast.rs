//! What agents report of broadcasts, and the arithmetic that both sides share about them: seconds, marks, clocks. Pure.
//!
//! **Who is due to hear what.** Time is cut into whole seconds since the start instant. An emit belongs to the second in
//! which it was stamped, in its emitter's time; a listener is due for the emits of the seconds from [`due_from`] its
//! joining to before [`due_until`] its leaving, in its own time. So every listener that is due was there for at least 1 s
//! before the emit and at least 1 s after it. Both ends are whole numbers that no clock error blurs, so what all hosts
//! report adds up exactly: expected on a pair of backends = sum over seconds of emits x listeners, less the emitters
//! themselves. Clients stay for up to 2 s after their last message, so that the last emits are judged too.
//!
//! Never here: reading clocks, who is a client.

use serde::{Deserialize, Serialize};

/// The drift between two quartz clocks that is allowed for: 50 parts in a million.
pub const DRIFT_PPM: u64 = 50;

const SECOND_US: u64 = 1_000_000;

/// The second of an instant (us since the start instant).
pub fn second(us: u64) -> u32 {
    u32::try_from(us / SECOND_US).unwrap_or(u32::MAX)
}

/// The first second whose emits a listener is due to hear that joined at this instant (us).
pub fn due_from(joined_us: u64) -> u32 {
    u32::try_from(joined_us.div_ceil(SECOND_US) + 1).unwrap_or(u32::MAX)
}

/// The second from which on a listener is due no more that left at this instant (us).
pub fn due_until(left_us: u64) -> u32 {
    second(left_us).saturating_sub(1)
}

/// When a listener may leave that shall still be due for emits up to this instant (both us).
pub fn stay_until(us: u64) -> u64 {
    (us / SECOND_US + 2) * SECOND_US
}

/// What the clocks of two hosts may differ by (ns) so long after the start instant, when they differed by `at_start`.
pub fn error_at(at_start: u64, since_start_ns: u64) -> u64 {
    at_start.saturating_add((since_start_ns / 1_000_000).saturating_mul(DRIFT_PPM))
}

/// A backend's name as stamps carry it: 32 bits of FNV-1a, never 0; 0 is a backend that is not known.
pub fn mark(backend: Option<&str>) -> u32 {
    backend.map_or(0, |name| fnv(name.as_bytes()).max(1))
}

/// 32 bits of FNV-1a.
pub fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash: u32, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

/// Rows of a host about one of its backends; `None`: clients whose backend is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CastRow {
    /// Name.
    pub backend: Option<String>,
    /// Emits of clients on it, by second, rising.
    pub emits: Vec<(u32, u64)>,
    /// How many listeners on it became due (or, below zero, ended to be) with this second, rising.
    pub listeners: Vec<(u32, i64)>,
    /// Emits whose emitter was due to hear them itself: nobody expects that it does.
    pub own: u64,
    /// Receipts that were due, by the [`mark`] of the emitter's backend.
    pub received: Vec<(u32, u64)>,
}

/// What one host knows of broadcasts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Casts {
    /// By backend.
    pub rows: Vec<CastRow>,
    /// First receipts of an emit by a client that did not emit it, due or not.
    pub heard: u64,
    /// Those of them that were not due: joined too late, or left too soon.
    pub beyond: u64,
    /// Further receipts of the same emit by the same client.
    pub duplicates: u64,
    /// Receipts by the emitter itself.
    pub own: u64,
    /// First receipts that took less than the clock error, or less than nothing: they are in no distribution.
    pub below: u64,
    /// Receipts without a stamp of this run.
    pub unstamped: u64,
    /// Receipts of emits that were forgotten, as they were long ago.
    pub forgotten: u64,
}

impl Casts {
    /// Adds what another thread knows.
    pub fn add(&mut self, other: &Self) {
        for row in &other.rows {
            match self.rows.iter_mut().find(|known| known.backend == row.backend) {
                Some(known) => known.add(row),
                None => self.rows.push(row.clone()),
            }
        }
        self.heard += other.heard;
        self.beyond += other.beyond;
        self.duplicates += other.duplicates;
        self.own += other.own;
        self.below += other.below;
        self.unstamped += other.unstamped;
        self.forgotten += other.forgotten;
    }
}

impl CastRow {
    fn add(&mut self, other: &Self) {
        merge(&mut self.emits, &other.emits, |n, more| *n += more);
        merge(&mut self.listeners, &other.listeners, |n, more| *n += more);
        merge(&mut self.received, &other.received, |n, more| *n += more);
        self.own += other.own;
    }
}

fn merge<N: Copy>(into: &mut Vec<(u32, N)>, other: &[(u32, N)], add: impl Fn(&mut N, N)) {
    for (key, n) in other {
        match into.binary_search_by_key(key, |(known, _)| *known) {
            Ok(at) => add(&mut into[at].1, *n),
            Err(at) => into.insert(at, (*key, *n)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_due_was_there_a_second_before_and_after() {
        for (joined, left, from, until) in [
            (0, 5_000_000, 1, 4),
            (1, 5_000_000, 2, 4),
            (999_999, 5_999_999, 2, 4),
            (1_000_000, 6_000_000, 2, 5),
            (0, 0, 1, 0),
        ] {
            assert_eq!((due_from(joined), due_until(left)), (from, until), "{joined} {left}");
            for s in from..until {
                assert!(u64::from(s) * SECOND_US >= joined + SECOND_US);
                assert!(u64::from(s + 1) * SECOND_US + SECOND_US <= left);
            }
        }
        for emit in [0, 1, 999_999, 1_000_000, 7_300_000] {
            let left = stay_until(emit);
            assert!(due_until(left) > second(emit) && left <= emit + 2 * SECOND_US, "{emit}");
        }
    }

    #[test]
    fn clocks_drift_apart() {
        assert_eq!(error_at(1_000, 0), 1_000);
        assert_eq!(error_at(1_000, 10_000_000_000), 1_000 + 500_000);
    }

    #[test]
    fn rows_of_threads_add_up_by_backend() {
        let row = |backend: Option<&str>, emits: &[(u32, u64)], listeners: &[(u32, i64)]| CastRow {
            backend: backend.map(str::to_owned),
            emits: emits.to_vec(),
            listeners: listeners.to_vec(),
            own: 1,
            received: vec![(mark(backend), 2)],
        };
        let mut casts = Casts {
            rows: vec![row(Some("a"), &[(1, 2), (3, 1)], &[(1, 4)])],
            heard: 5,
            ..Casts::default()
        };
        casts.add(&Casts {
            rows: vec![
                row(Some("a"), &[(2, 7), (3, 1)], &[(0, 1), (1, -1)]),
                row(None, &[], &[]),
            ],
            heard: 2,
            ..Casts::default()
        });
        assert_eq!(casts.heard, 7);
        assert_eq!(casts.rows.len(), 2);
        assert_eq!(casts.rows[0].emits, [(1, 2), (2, 7), (3, 2)]);
        assert_eq!(casts.rows[0].listeners, [(0, 1), (1, 3)]);
        assert_eq!(
            (casts.rows[0].own, &casts.rows[0].received[..]),
            (2, &[(mark(Some("a")), 4)][..])
        );
        assert_eq!(casts.rows[1].received, [(0, 2)]);
    }
}
