//! What a recorder hands over: counts so far and the distributions since the last cut, or the whole run. Never here: counting.

use super::{BackendId, Recorder};
use crate::wire::broadcast::Casts;
use crate::wire::histogram::Histogram;
use crate::wire::report::{Counts, Latency, Tally};
use std::time::{Duration, Instant};

/// What a worker hands over once a second and at its end.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// Counts so far.
    pub counts: Counts,
    /// Distributions: of the interval, or of the whole run.
    pub latency: Vec<(Latency, Histogram)>,
    /// Warm-up totals.
    pub warmup: Option<Tally>,
    /// First hit's (or connect's) send less its due instant, ns, and when it was sent (ns since the start).
    pub first: Option<(i64, i64)>,
    /// What is known of broadcasts, of the whole run alone.
    pub casts: Option<Box<Casts>>,
}

impl Recorder {
    /// Counts so far, and the distributions since the last cut.
    pub fn cut(&mut self) -> Recording {
        let latency = Latency::ALL
            .iter()
            .zip(self.interval.iter_mut())
            .filter_map(|(name, pages)| pages.as_mut().filter(|p| !p.is_empty()).map(|p| (*name, p.take())))
            .collect();
        Recording {
            counts: self.counts(false),
            latency,
            warmup: None,
            first: None,
            casts: None,
        }
    }

    /// The whole run.
    pub fn finish(&self) -> Recording {
        let latency = Latency::ALL
            .iter()
            .zip(self.whole.iter())
            .filter_map(|(name, pages)| pages.as_ref().map(|p| (*name, p.snapshot())))
            .collect();
        let first = self
            .first
            .map(|(due, sent)| (nanos_between(due, sent), nanos_between(self.start, sent)));
        Recording {
            counts: self.counts(true),
            latency,
            warmup: self.warmup.clone(),
            first,
            casts: self.casts(),
        }
    }

    fn counts(&self, whole: bool) -> Counts {
        let (sources, backends, targets, faults) = self.rows.report(whole, |at| self.since_start(at));
        let name = |id: BackendId| self.rows.backends.get(usize::from(id.0)).map(|row| row.name.clone());
        Counts {
            tally: self.tally.clone(),
            statuses: self.statuses.iter().map(|(s, n)| (*s, *n)).collect(),
            faults,
            sources,
            backends,
            targets,
            backend_by: self.rows.backend_by.clone(),
            backend_overflow: self.rows.backend_overflow,
            redirected: self.redirected,
            location: self.location.clone(),
            stayed: self.stayed.clone(),
            flows: self.flows.report(whole),
            strays: self.strays.clone(),
            departures: self.departures.report(whole, name),
        }
    }

    fn casts(&self) -> Option<Box<Casts>> {
        let casts = self.casts.as_ref()?;
        let name = |id: usize| self.rows.backends.get(id).map(|backend| backend.name.clone());
        Some(Box::new(casts.report(name)))
    }
}

fn nanos_between(from: Instant, to: Instant) -> i64 {
    let signed = |d: Duration| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX);
    if to >= from {
        signed(to - from)
    } else {
        -signed(from - to)
    }
}
