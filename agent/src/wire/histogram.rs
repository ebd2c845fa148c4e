//! The bucket layout of every histogram, and a histogram as it crosses the wire.
//!
//! The layout is HdrHistogram's for 1 us to 1 h with three significant digits (2,048 sub-buckets, unit magnitude 0), so
//! that adding histograms is exact and the result can be written as HdrHistogram V2. Times are whole microseconds.
//! Exact count, minimum, maximum, sum and sum of squares travel beside the buckets, which round to three digits.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// The largest time that is recorded as it is: one hour. Longer ones saturate and are counted as such.
pub const HIGHEST_US: u64 = 3_600_000_000;
/// Significant decimal digits of a bucket.
pub const DIGITS: u8 = 3;
/// Number of buckets of the layout.
pub const BUCKETS: usize = 23 * HALF as usize;

const SUB_BUCKETS: u64 = 2048;
const HALF: u64 = SUB_BUCKETS / 2;
const HALF_MAGNITUDE: u32 = 10;

/// The bucket of a time; times over [`HIGHEST_US`] go to its bucket.
#[inline]
pub fn bucket_of(us: u64) -> usize {
    let value = us.min(HIGHEST_US);
    let magnitude = 64 - (SUB_BUCKETS - 1).leading_zeros();
    let bucket = (64 - (value | (SUB_BUCKETS - 1)).leading_zeros()) - magnitude;
    let sub = value >> bucket;
    let base = u64::from(bucket + 1) << HALF_MAGNITUDE;
    // sub >= HALF for every bucket but the first, so this never goes below zero
    usize::try_from(base + sub - HALF).expect("a bucket index fits usize")
}

/// The lowest time that falls into bucket `index`.
pub fn lowest_of(index: usize) -> u64 {
    let index = index as u64;
    let bucket = index >> HALF_MAGNITUDE;
    let sub = index & (HALF - 1);
    match bucket {
        0 => sub,
        n => (sub + HALF) << (n - 1),
    }
}

/// The highest time that falls into bucket `index`.
pub fn highest_of(index: usize) -> u64 {
    lowest_of(index + 1) - 1
}

/// A distribution of times: sparse buckets in rising order and the exact figures beside them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// Samples, counted on their own and not from the buckets.
    pub count: u64,
    /// Samples over one hour, counted in the last bucket.
    pub saturated: u64,
    /// Smallest sample in us; 0 when there is none.
    pub min: u64,
    /// Largest sample in us, before saturation.
    pub max: u64,
    /// Sum of all samples in us.
    pub sum: u128,
    /// Sum of their squares in us squared.
    pub sum_of_squares: u128,
    /// `(bucket index, samples in it)`, rising, no zero.
    pub buckets: Vec<(u32, u64)>,
}

impl Histogram {
    /// Records one time in us. For what is rare: it looks for the bucket's place.
    pub fn record(&mut self, us: u64) {
        self.min = if self.count == 0 { us } else { self.min.min(us) };
        self.max = self.max.max(us);
        self.count += 1;
        self.saturated += u64::from(us > HIGHEST_US);
        self.sum += u128::from(us);
        self.sum_of_squares += u128::from(us) * u128::from(us);
        let index = bucket_of(us) as u32;
        match self.buckets.binary_search_by_key(&index, |(index, _)| *index) {
            Ok(at) => self.buckets[at].1 += 1,
            Err(at) => self.buckets.insert(at, (index, 1)),
        }
    }

    /// Takes back one time that was recorded, in all but minimum and maximum where others remain; false when its bucket is empty.
    pub fn forget(&mut self, us: u64) -> bool {
        let index = bucket_of(us) as u32;
        let Ok(at) = self.buckets.binary_search_by_key(&index, |(index, _)| *index) else {
            return false;
        };
        self.buckets[at].1 -= 1;
        if self.buckets[at].1 == 0 {
            self.buckets.remove(at);
        }
        self.count -= 1;
        self.saturated -= u64::from(us > HIGHEST_US);
        self.sum -= u128::from(us);
        self.sum_of_squares -= u128::from(us) * u128::from(us);
        if self.count == 0 {
            *self = Self::default();
        }
        true
    }

    /// Adds another distribution, bucket by bucket.
    pub fn add(&mut self, other: &Self) {
        if other.count == 0 && other.buckets.is_empty() {
            return;
        }
        self.min = if self.count == 0 {
            other.min
        } else {
            self.min.min(other.min)
        };
        self.max = self.max.max(other.max);
        self.count += other.count;
        self.saturated += other.saturated;
        self.sum += other.sum;
        self.sum_of_squares += other.sum_of_squares;
        self.buckets = merged(&self.buckets, &other.buckets);
    }

    /// What the buckets hold; equals `count` in an honest histogram.
    pub fn bucket_total(&self) -> u64 {
        self.buckets.iter().map(|(_, n)| n).sum()
    }

    /// The time in us at or under which a share of `quantile` (0 to 1) of the samples lies: the highest time of its
    /// bucket, never above the exact maximum. `None` without samples.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        let total = self.bucket_total();
        if total == 0 {
            return None;
        }
        let wanted = ((quantile.clamp(0.0, 1.0) * total as f64).ceil() as u64).clamp(1, total);
        let mut seen = 0;
        for (index, n) in &self.buckets {
            seen += n;
            if seen >= wanted {
                return Some(highest_of(*index as usize).min(self.max).max(self.min));
            }
        }
        Some(self.max)
    }

    /// Mean in us; `None` without samples.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    /// Standard deviation in us over all samples; `None` without samples.
    pub fn stddev(&self) -> Option<f64> {
        let mean = self.mean()?;
        let variance = self.sum_of_squares as f64 / self.count as f64 - mean * mean;
        Some(variance.max(0.0).sqrt())
    }
}

fn merged(left: &[(u32, u64)], right: &[(u32, u64)]) -> Vec<(u32, u64)> {
    let mut out = Vec::with_capacity(left.len().max(right.len()));
    let (mut l, mut r) = (0, 0);
    while l < left.len() && r < right.len() {
        match left[l].0.cmp(&right[r].0) {
            Ordering::Less => out.push(left[l]),
            Ordering::Greater => out.push(right[r]),
            Ordering::Equal => out.push((left[l].0, left[l].1 + right[r].1)),
        }
        let step = left[l].0.cmp(&right[r].0);
        l += usize::from(step != Ordering::Greater);
        r += usize::from(step != Ordering::Less);
    }
    out.extend_from_slice(&left[l..]);
    out.extend_from_slice(&right[r..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_hdrhistograms() {
        let reference = hdrhistogram::Histogram::<u64>::new_with_bounds(1, HIGHEST_US, DIGITS).unwrap();
        assert_eq!(reference.distinct_values(), BUCKETS);
        for value in (0..5000)
            .chain((1..22).flat_map(|k| [(2048u64 << k) - 1, 2048 << k, (2048 << k) + 1]))
            .filter(|v| *v <= HIGHEST_US)
        {
            let index = bucket_of(value);
            assert_eq!(lowest_of(index), reference.lowest_equivalent(value), "{value}");
            assert_eq!(highest_of(index), reference.highest_equivalent(value), "{value}");
        }
        assert!(bucket_of(u64::MAX) < BUCKETS);
    }
}
