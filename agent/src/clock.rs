//! The monotonic clock of this host, as the controller speaks of it. Never here: the wall clock.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// Now, ns.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    (now.tv_sec as u64) * 1_000_000_000 + now.tv_nsec as u64
}

/// The instant at `ns` of the monotonic clock; one that has passed is now.
pub fn instant_of(ns: u64) -> Instant {
    let now = Instant::now();
    let until = ns.saturating_sub(monotonic_ns());
    now + Duration::from_nanos(until)
}
