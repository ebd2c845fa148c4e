//! The controller's clocks: the monotonic one, in nanoseconds, for all that is measured; the wall clock for what clients
//! of a playbook are told of the time.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the monotonic clock; only differences mean something.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or_default() * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default()
}

/// Milliseconds since 1970, by the wall clock. Nothing is measured with it.
pub fn unix_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default()
}
