//! What was read beside a run, as plain values: made by `record`, read by `merge` and `show`.

use super::row::{Figures, Row};
use super::source::Kind;

/// What was read beside a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Watched {
    /// The balancer's statistics.
    pub balancer: Option<Balancer>,
    /// Metrics, in the order of the pages and of their names.
    pub metrics: Vec<Series>,
    /// How the reading went, page by page.
    pub pages: Vec<Pages>,
}

/// How the reading of one page went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pages {
    /// Its address, as it may be shown.
    pub address: String,
    /// Readings while the run went on, the one after it among them.
    pub reads: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// The first that failed: us since the start instant, and why.
    pub first_failure: Option<(u64, String)>,
    /// Series beyond the most that are kept.
    pub beyond: u64,
}

/// A balancer's statistics over a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Balancer {
    /// Where they were read.
    pub address: String,
    /// What it is.
    pub kind: Kind,
    /// Proxies that were named; none: all.
    pub proxies: Vec<String>,
    /// Every row, in the balancer's order.
    pub rows: Vec<Tracked>,
    /// Second by second, those rows that had traffic.
    pub timeline: Vec<Instant>,
    /// When the reading before the run was made, us before the start instant.
    pub before_us: u64,
    /// When the last one was made, us after it; `None` when none was made after the start.
    pub after_us: Option<u64>,
    /// Whether that one came after the last report of the hosts.
    pub whole: bool,
    /// Requests of our own that these counts hold: the readings themselves, where they count at all.
    pub own: u64,
    /// Servers that went or came, in the order of time.
    pub changes: Vec<Change>,
}

/// One row over the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracked {
    /// Before; `None` for a row that came while the run went on.
    pub before: Option<Row>,
    /// As it was read last.
    pub after: Row,
    /// How far each counter rose.
    pub risen: Figures,
    /// The most sessions that stood at once.
    pub most_sessions: u64,
    /// The most that waited at once.
    pub most_queued: u64,
    /// Its counters fell in between: the balancer was started again, or they were cleared.
    pub anew: bool,
}

/// One moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Instant {
    /// us since the start instant.
    pub at_us: u64,
    /// Places in the list of rows, each with what stood and what came since the last moment.
    pub rows: Vec<(usize, Figures)>,
}

/// A server went or came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// us since the start instant.
    pub at_us: u64,
    /// In words.
    pub text: String,
    /// Its state from then on.
    pub state: String,
}

/// One metric over the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Page, as it may be shown.
    pub source: String,
    /// Name.
    pub name: String,
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// us since the start instant, and the value.
    pub points: Vec<(u64, f64)>,
}
