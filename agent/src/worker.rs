//! One load thread: what its clients share. Everything in it stays on that thread.

use crate::net::Dialer;
use crate::recorder::Recorder;
use crate::wire::share::Share;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How far the run has come, as every worker sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Load goes on.
    Running,
    /// No new hits or connections; what is in flight may finish within the grace period; held clients close.
    Draining,
}

/// What the clients of one thread share.
pub struct Worker {
    /// This host's part of the plan.
    pub share: Arc<Share>,
    /// Number of this thread, from 0.
    pub index: u32,
    /// Threads of this host.
    pub threads: u32,
    /// The start instant.
    pub start: Instant,
    /// What the clocks of two hosts may differ by at the start instant, ns.
    pub clock_error: u64,
    /// Counts and histograms.
    pub recorder: RefCell<Recorder>,
    /// Connects.
    pub dialer: Rc<Dialer>,
    /// How far the run has come.
    pub phase: watch::Receiver<Phase>,
    /// Hits that all threads of this host have claimed so far, for plans that end by count.
    pub claimed: Arc<AtomicU64>,
    /// Prints packets of one client, when asked for.
    pub trace: Option<crate::trace::Trace>,
}

impl Worker {
    /// The instant `ns` after the start.
    pub fn at(&self, ns: u64) -> Instant {
        self.start + Duration::from_nanos(ns)
    }

    /// Whether new work may begin.
    pub fn running(&self) -> bool {
        *self.phase.borrow() == Phase::Running
    }

    /// Ends when the run drains.
    pub async fn drained(&self) {
        let mut phase = self.phase.clone();
        // the sender lives as long as the run; were it gone, the run would be over
        let _ = phase.wait_for(|phase| *phase == Phase::Draining).await;
    }

    /// The target of hit or client `n` of the whole plan, by weight.
    pub fn target_of(&self, n: u64) -> u16 {
        let targets = &self.share.targets;
        if targets.len() == 1 {
            return 0;
        }
        let whole: u64 = targets.iter().map(|t| u64::from(t.weight)).sum();
        let mut place = n % whole.max(1);
        for (number, target) in targets.iter().enumerate() {
            let weight = u64::from(target.weight);
            if place < weight {
                return number as u16;
            }
            place -= weight;
        }
        0
    }
}
