//! A live histogram: HdrHistogram's bucket layout in pages that are allocated on first use.
//!
//! A whole array for 1 us to 1 h at three digits is 188 KB; a service answers within a few pages of 1 KiB each. Counts
//! are 32 bits wide; what passes that spills. Never here: clocks, locks.

use crate::wire::histogram::{BUCKETS, HIGHEST_US, Histogram, bucket_of};

const PAGE: usize = 256;
const PAGES: usize = BUCKETS.div_ceil(PAGE);

type Page = [u32; PAGE];

/// A histogram that is being recorded.
pub struct Pages {
    pages: [Option<Box<Page>>; PAGES],
    dirty: u128,
    spilled: Vec<(u32, u64)>,
    count: u64,
    saturated: u64,
    min: u64,
    max: u64,
    sum: u128,
    sum_of_squares: u128,
}

impl Default for Pages {
    fn default() -> Self {
        Self {
            pages: [const { None }; PAGES],
            dirty: 0,
            spilled: Vec::new(),
            count: 0,
            saturated: 0,
            min: u64::MAX,
            max: 0,
            sum: 0,
            sum_of_squares: 0,
        }
    }
}

impl Pages {
    /// Bytes of one that has seen every time there is.
    pub const MOST: usize = size_of::<Self>() + PAGES * size_of::<Page>();

    /// Records one time in us; over one hour it saturates and is counted as such.
    #[inline]
    pub fn record(&mut self, us: u64) {
        let index = bucket_of(us);
        let (page, slot) = (index / PAGE, index % PAGE);
        let counts = self.pages[page].get_or_insert_with(|| Box::new([0; PAGE]));
        self.dirty |= 1 << page;
        if counts[slot] == u32::MAX {
            self.spilled.push((index as u32, u64::from(u32::MAX)));
            counts[slot] = 0;
        }
        counts[slot] += 1;
        self.count += 1;
        self.saturated += u64::from(us > HIGHEST_US);
        self.min = self.min.min(us);
        self.max = self.max.max(us);
        self.sum += u128::from(us);
        self.sum_of_squares += u128::from(us) * u128::from(us);
    }

    /// Whether nothing was recorded since the last [`Pages::take`].
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The distribution so far.
    pub fn snapshot(&self) -> Histogram {
        let mut buckets: Vec<(u32, u64)> = Vec::new();
        for (number, page) in self.pages.iter().enumerate() {
            let Some(page) = page.as_ref().filter(|_| self.dirty & (1 << number) != 0) else {
                continue;
            };
            let first = (number * PAGE) as u32;
            buckets.extend(
                (first..)
                    .zip(page.iter())
                    .filter(|(_, n)| **n > 0)
                    .map(|(index, n)| (index, u64::from(*n))),
            );
        }
        for (index, more) in &self.spilled {
            match buckets.binary_search_by_key(index, |(i, _)| *i) {
                Ok(at) => buckets[at].1 += more,
                Err(at) => buckets.insert(at, (*index, *more)),
            }
        }
        Histogram {
            count: self.count,
            saturated: self.saturated,
            min: if self.count == 0 { 0 } else { self.min },
            max: self.max,
            sum: self.sum,
            sum_of_squares: self.sum_of_squares,
            buckets,
        }
    }

    /// The distribution since the last take; the pages stay allocated for the next one.
    pub fn take(&mut self) -> Histogram {
        let taken = self.snapshot();
        for (number, page) in self.pages.iter_mut().enumerate() {
            if let Some(page) = page.as_mut().filter(|_| self.dirty & (1 << number) != 0) {
                page.fill(0);
            }
        }
        let pages = std::mem::replace(&mut self.pages, [const { None }; PAGES]);
        *self = Self {
            pages,
            ..Self::default()
        };
        taken
    }

    /// Bytes this histogram holds.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.pages.iter().flatten().count() * size_of::<Page>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn counts_what_hdrhistogram_counts(samples in prop::collection::vec(0u64..HIGHEST_US * 2, 0..400)) {
            let mut pages = Pages::default();
            let mut reference = hdrhistogram::Histogram::<u64>::new_with_bounds(1, HIGHEST_US, 3).unwrap();
            for sample in &samples {
                pages.record(*sample);
                reference.saturating_record((*sample).min(HIGHEST_US));
            }
            let ours = pages.snapshot();
            prop_assert_eq!(ours.count, samples.len() as u64);
            prop_assert_eq!(ours.bucket_total(), ours.count);
            prop_assert_eq!(ours.max, samples.iter().copied().max().unwrap_or(0));
            prop_assert_eq!(ours.sum, samples.iter().map(|s| u128::from(*s)).sum::<u128>());
            prop_assert_eq!(ours.saturated, samples.iter().filter(|s| **s > HIGHEST_US).count() as u64);
            for (index, n) in &ours.buckets {
                prop_assert_eq!(reference.count_at(crate::wire::histogram::lowest_of(*index as usize)), *n);
            }
        }

        #[test]
        fn takes_add_up_to_one_recorder_fed_everything(samples in prop::collection::vec(0u64..10_000_000, 0..400), cut in 1usize..50) {
            let (mut whole, mut parts) = (Pages::default(), Pages::default());
            let mut sum = Histogram::default();
            for group in samples.chunks(cut) {
                for sample in group {
                    whole.record(*sample);
                    parts.record(*sample);
                }
                sum.add(&parts.take());
            }
            prop_assert_eq!(sum, whole.snapshot());
        }
    }
}
