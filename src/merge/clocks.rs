//! How well the hosts started together, from their start offsets and clock bounds. Pure arithmetic.
//!
//! A host's first send lies at *start instant + start offset* in controller time, wrong by at most its clock bound. The
//! skew is the latest less the earliest of them; two ends that are each off by their own bound put it off by at most
//! the two largest bounds together. One host alone has no skew: both are 0.

use super::summary::{HostRow, Sync};

/// The skew of those hosts that sent something; `None` when none did.
pub fn sync(hosts: &[HostRow]) -> Option<Sync> {
    let hosts: Vec<_> = hosts.iter().map(|h| (h.start_offset_us, h.clock_error_us)).collect();
    sync_of(&hosts)
}

/// The same from each host's start offset and clock error, us.
pub fn sync_of(hosts: &[(Option<i64>, Option<u64>)]) -> Option<Sync> {
    let started: Vec<_> = hosts.iter().filter(|(offset, _)| offset.is_some()).collect();
    let offsets = || started.iter().filter_map(|(offset, _)| *offset);
    let (first, last) = (offsets().min()?, offsets().max()?);
    let bounds: Option<Vec<u64>> = started.iter().map(|(_, error)| *error).collect();
    let start_skew_bound_us = match (started.len(), bounds) {
        (1, _) => Some(0),
        (_, Some(mut bounds)) => {
            bounds.sort_unstable_by(|a, b| b.cmp(a));
            Some(bounds.iter().take(2).sum())
        }
        (_, None) => None,
    };
    Some(Sync {
        start_skew_us: last.abs_diff(first),
        start_skew_bound_us,
        clock_error_us: hosts.iter().filter_map(|(_, error)| *error).max(),
    })
}

/// Nanoseconds as microseconds, rounded up: a bound must not shrink.
pub fn bound_us(ns: u64) -> u64 {
    ns.div_ceil(1000)
}

/// Nanoseconds as microseconds, rounded to the nearest.
pub fn offset_us(ns: i64) -> i64 {
    ns.saturating_add(500).div_euclid(1000)
}
