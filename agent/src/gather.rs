//! Puts the recordings of a host's threads together: interval by interval, and the whole at the end. Pure.

use crate::recorder::Recording;
use crate::recorder::counts::add_up;
use std::collections::VecDeque;

/// What one thread hands over.
pub enum Handover {
    /// Its interval ended; the recording holds cumulative counts and the interval's samples.
    Cut {
        /// End, us since the start instant.
        at_us: u64,
        /// What it recorded.
        recording: Recording,
    },
    /// Its load is over; a last cut came before.
    Done {
        /// The whole run.
        whole: Recording,
        /// When its load ended, us since the start instant.
        ended_us: u64,
    },
}

/// One interval of the host.
pub struct Gathered {
    /// From 0.
    pub seq: u32,
    /// End, us since the start instant.
    pub at_us: u64,
    /// Of all threads.
    pub recording: Recording,
}

/// Collects the handovers of all threads.
pub struct Gather {
    threads: Vec<Thread>,
    next: u32,
}

#[derive(Default)]
struct Thread {
    cuts: VecDeque<(u64, Recording)>,
    last: Recording,
    done: Option<(Recording, u64)>,
}

impl Gather {
    /// For so many threads.
    pub fn new(threads: usize) -> Self {
        Self {
            threads: (0..threads).map(|_| Thread::default()).collect(),
            next: 0,
        }
    }

    /// Takes a handover and returns the intervals that are whole now: every thread has cut it or is done.
    pub fn take(&mut self, thread: usize, handover: Handover) -> Vec<Gathered> {
        match handover {
            Handover::Cut { at_us, recording } => self.threads[thread].cuts.push_back((at_us, recording)),
            Handover::Done { whole, ended_us } => self.threads[thread].done = Some((whole, ended_us)),
        }
        let mut ready = Vec::new();
        while self.threads.iter().all(|t| !t.cuts.is_empty() || t.done.is_some())
            && self.threads.iter().any(|t| !t.cuts.is_empty())
        {
            ready.push(self.interval());
        }
        ready
    }

    /// The whole run, and when the last thread's load ended; `None` until every thread is done.
    pub fn whole(&self) -> Option<(Recording, u64)> {
        let done: Option<Vec<_>> = self.threads.iter().map(|t| t.done.as_ref()).collect();
        let done = done?;
        let parts: Vec<Recording> = done.iter().map(|(whole, _)| whole.clone()).collect();
        Some((add_up(&parts), done.iter().map(|(_, ended)| *ended).max().unwrap_or(0)))
    }

    /// Sequence number of the last interval.
    pub fn last_seq(&self) -> Option<u32> {
        self.next.checked_sub(1)
    }

    fn interval(&mut self) -> Gathered {
        let mut at = 0;
        let parts: Vec<Recording> = self
            .threads
            .iter_mut()
            .map(|thread| match thread.cuts.pop_front() {
                Some((at_us, recording)) => {
                    at = at.max(at_us);
                    thread.last = Recording {
                        latency: Vec::new(),
                        ..recording.clone()
                    };
                    recording
                }
                None => thread.last.clone(),
            })
            .collect();
        let seq = self.next;
        self.next += 1;
        Gathered {
            seq,
            at_us: at,
            recording: add_up(&parts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(at_us: u64, requests: u64) -> Handover {
        let mut recording = Recording::default();
        recording.counts.tally.requests = requests;
        Handover::Cut { at_us, recording }
    }

    #[test]
    fn an_interval_waits_for_every_thread_and_keeps_those_that_are_done() {
        let mut gather = Gather::new(2);
        assert!(gather.take(0, cut(1_000_000, 5)).is_empty());
        let first = gather.take(1, cut(1_000_100, 7));
        assert_eq!(
            (first[0].seq, first[0].at_us, first[0].recording.counts.tally.requests),
            (0, 1_000_100, 12)
        );
        assert!(gather.take(0, cut(1_200_000, 6)).is_empty());
        assert!(
            gather
                .take(
                    0,
                    Handover::Done {
                        whole: Recording::default(),
                        ended_us: 1
                    }
                )
                .is_empty()
        );
        assert_eq!(gather.take(1, cut(2_000_000, 9))[0].recording.counts.tally.requests, 15);
        assert_eq!(
            gather.take(1, cut(3_000_000, 10))[0].recording.counts.tally.requests,
            16
        );
        assert!(gather.whole().is_none());
        gather.take(
            1,
            Handover::Done {
                whole: Recording::default(),
                ended_us: 9,
            },
        );
        assert_eq!(gather.whole().map(|(_, ended)| ended), Some(9));
        assert_eq!(gather.last_seq(), Some(2));
    }
}
