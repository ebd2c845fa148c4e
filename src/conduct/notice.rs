//! What a conductor tells whoever watches: values, never text on a screen.

use super::outcome::Point;
use swarm_agent::wire::histogram::Histogram;

/// One thing worth showing while a run goes on.
#[derive(Debug, Clone)]
pub enum Notice {
    /// A host refused or went missing.
    Gone {
        /// Its name.
        host: String,
        /// Cause and way out.
        why: String,
    },
    /// A host goes on, and not quite as it was asked to.
    Doubt {
        /// Its name.
        host: String,
        /// What is different.
        text: String,
    },
    /// What the servers said of themselves.
    Server {
        /// As a line of the attack's head.
        line: String,
    },
    /// What is read beside the run tells something.
    Beside {
        /// As a line.
        line: String,
    },
    /// The start instant was told.
    Started {
        /// Hosts that start.
        hosts: usize,
    },
    /// One more second is known from all running hosts.
    Second(Second),
    /// The first interrupt came.
    Draining,
    /// A packet of `--trace-one`.
    Trace {
        /// us since the start instant.
        at_us: u64,
        /// What was sent or received.
        line: String,
    },
}

/// One second of the whole swarm.
#[derive(Debug, Clone, Default)]
pub struct Second {
    /// Its end, seconds since the start instant.
    pub t_s: f64,
    /// Hits answered in it.
    pub requests: u64,
    /// Failures in it.
    pub errors: u64,
    /// Connections open at its end.
    pub open: u64,
    /// Messages sent in it.
    pub messages: u64,
    /// Main latency in it.
    pub latency: Histogram,
    /// Hosts that run.
    pub running: usize,
    /// Hosts that were asked for.
    pub asked: usize,
}

impl Second {
    /// The hosts' points of the same second, added up.
    pub fn add_up(points: &[&Point], running: usize, asked: usize) -> Self {
        let mut second = Self {
            running,
            asked,
            ..Self::default()
        };
        for point in points {
            second.t_s = second.t_s.max(point.at_us as f64 / 1e6);
            second.requests += point.requests;
            second.errors += point.errors;
            second.open += point.open;
            second.messages += point.messages;
            second.latency.add(&point.latency);
        }
        second
    }
}
